"""The table from a checkpoint's architecture to the family that reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from midfill_engine.errors import UnsupportedArchitecture
from midfill_engine.models.families import dream, llada, qwen2
from midfill_engine.models.family import ModelFamily

FAMILIES: tuple[ModelFamily, ...] = (qwen2.FAMILY, llada.FAMILY, dream.FAMILY)


def family_of(config: Mapping[str, Any]) -> ModelFamily:
    """The family for ``config["architectures"]``; never a guess.

    Raises
    ------
    UnsupportedArchitecture
        Naming what was found and what is read.
    """
    named = config.get("architectures")
    found = named[0] if isinstance(named, list) and named else None
    for family in FAMILIES:
        if found in family.architectures:
            return family
    known = ", ".join(a for family in FAMILIES for a in family.architectures)
    raise UnsupportedArchitecture(
        f"config.json names the architecture {found!r}, which no family reads.",
        f"Supported: {known}.",
    )
