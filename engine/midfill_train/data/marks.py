"""Special token ids of a checkpoint, as training needs them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from midfill_engine.errors import CheckpointError
from midfill_engine.models.locate import base_of


@dataclass(frozen=True, slots=True)
class Marks:
    """Ids of the special tokens; ``first_special`` and all above are never text."""

    eom: int
    mask: int
    suffix: int
    prefix: int
    path: int
    near: int
    middle: int
    first_special: int


def read_marks(folder: Path) -> Marks:
    """Marks of a Midfill checkpoint, or of an adapter's base.

    The near suffix is introduced by the suffix mark as well: ``P <suffix> S <middle>`` is how the
    base models of the Qwen family were taught to fill a middle, and position tells both apart.

    Raises
    ------
    CheckpointError
        It is none, or of a layout that is not trained here.
    """
    try:
        return _read(folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{folder} is not a Midfill checkpoint that can be trained "
            f"({type(error).__name__}: {error}).",
            "`midfill train convert` makes one of a Qwen2 or Llama shaped model.",
        ) from error


def _read(folder: Path) -> Marks:
    folder = base_of(folder)
    section = json.loads((folder / "config.json").read_text())["diffusion"]
    tokens = json.loads((folder / "tokenizer.json").read_text())["added_tokens"]
    by_name = {token["content"]: int(token["id"]) for token in tokens}
    suffix = int(section["suffix_token_id"])
    return Marks(
        eom=int(section["eom_token_id"]),
        mask=int(section["mask_token_id"]),
        suffix=suffix,
        prefix=int(section["prefix_token_id"]),
        path=int(section["path_token_id"]),
        near=int(section.get("near_token_id") or suffix),
        middle=int(section.get("middle_token_id") or by_name["<|fim_middle|>"]),
        first_special=min(by_name.values()),
    )
