"""Where checkpoints are on this machine: a name or a path becomes a directory.

Owns the search order, also for the base of an adapter. Knows nothing more of what is inside.
"""

from __future__ import annotations

import sysconfig
from pathlib import Path

from midfill_engine.errors import CheckpointError, CorruptCheckpoint
from midfill_engine.models.configuration import ADAPTER_FILE, CONFIG_FILE, read_json
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
    """Whether ``path`` looks like a checkpoint directory, or an adapter's."""
    return (path / CONFIG_FILE).is_file() or is_adapter(path)


def is_adapter(path: Path) -> bool:
    """Whether ``path`` holds an adapter, which works on top of another checkpoint."""
    return (path / ADAPTER_FILE).is_file()


def base_of(path: Path) -> Path:
    """The checkpoint whose configuration and tokenizer count: an adapter's base, else ``path``.

    Raises
    ------
    CheckpointError
        The base is not on this machine, or an adapter itself.
    """
    if not is_adapter(path):
        return path
    name = base_name(path)
    base = find_base(path, name)
    if base is None:
        raise CheckpointError(
            f"{path} is an adapter of {name}, and there is no such model.",
            f"Put {Path(name).name} beside it, or a path into its {ADAPTER_FILE}. {_what_exists()}",
        )
    if is_adapter(base):
        raise CheckpointError(
            f"{path} is an adapter of {base}, which is an adapter itself.",
            f"Merge that one first: `midfill train export {base} OUT --precision int8`.",
        )
    return base


def find_base(adapter: Path, name: str) -> Path | None:
    """The checkpoint that ``name`` means in the directory ``adapter``, which itself is none."""
    named, itself = Path(name).expanduser(), adapter.resolve()
    # OWNER/NAME, or a path on another machine, ends with what the model is called here.
    places = (itself.parent / named, named, itself.parent / named.name)
    same = (model for model in installed() if model.name == named.name)
    found = (place.resolve() for place in (*places, *same) if is_checkpoint(place))
    return next((place for place in found if place != itself), None)


def base_name(adapter: Path) -> str:
    """Name or path of an adapter's base, as its configuration says.

    Raises
    ------
    CorruptCheckpoint
        It says none.
    """
    name = read_json(adapter / ADAPTER_FILE).get("base_model_name_or_path")
    if not isinstance(name, str) or not name:
        raise CorruptCheckpoint(
            f"{adapter / ADAPTER_FILE} names no base_model_name_or_path.",
            "Write there which model it is an adapter of.",
        )
    return name


def _what_exists() -> str:
    names = ", ".join(path.name for path in installed())
    if names:
        return f"Installed: {names}."
    looked = ", ".join(str(path) for path in search_path())
    return f"No model is installed; looked in {looked}. Get one with `midfill models fetch`."
