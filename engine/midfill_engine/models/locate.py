"""Where a model's name or path leads."""

from __future__ import annotations

from pathlib import Path

from midfill_engine.errors import CheckpointError


def locate(name_or_path: str) -> Path:
    """The directory of a model.

    Raises
    ------
    CheckpointError
        There is none.
    """
    here = Path(__file__).resolve().parents[3] / "models" / name_or_path
    for path in (Path(name_or_path), here):
        if path.is_dir():
            return path
    raise CheckpointError(f"There is no model {name_or_path!r}.", "See `midfill models list`.")
