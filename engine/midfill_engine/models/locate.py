"""Where checkpoints are on this machine: a name or a path becomes a directory.

Owns the search order. Knows nothing of what is inside a checkpoint beyond its ``config.json``.
"""

from __future__ import annotations

import sysconfig
from pathlib import Path

from midfill_engine.errors import CheckpointError
from midfill_engine.settings import model_directories


def locate(name_or_path: str) -> Path:
    """The directory of an installed model, or of the checkpoint at a path.

    Raises
    ------
    CheckpointError
        When there is none; the hint lists what is installed.
    """
    path = Path(name_or_path).expanduser()
    if is_checkpoint(path):
        return path.resolve()
    for directory in installed():
        if directory.name == name_or_path:
            return directory
    if path.is_dir():
        return path.resolve()  # opening it says what is missing
    raise CheckpointError(f"There is no model {name_or_path!r}.", _what_exists())


def installed() -> list[Path]:
    """Directories of all installed models, in search order; of equal names the first counts."""
    found: dict[str, Path] = {}
    for directory in search_path():
        for path in sorted(directory.iterdir()) if directory.is_dir() else ():
            if is_checkpoint(path):
                found.setdefault(path.name, path.resolve())
    return list(found.values())


def search_path() -> tuple[Path, ...]:
    """Directories whose subdirectories are models: the user's, the repository's, the package's."""
    repository = Path(__file__).parents[3] / "models"
    package = Path(sysconfig.get_path("data")) / "share" / "midfill" / "models"
    *named, data = model_directories()
    return (*named, repository, package, data)


def is_checkpoint(path: Path) -> bool:
    """Whether ``path`` looks like a checkpoint directory."""
    return (path / "config.json").is_file()


def _what_exists() -> str:
    names = ", ".join(path.name for path in installed())
    if names:
        return f"Installed: {names}."
    looked = ", ".join(str(path) for path in search_path())
    return f"No model is installed; looked in {looked}. Get one with `midfill models fetch`."
