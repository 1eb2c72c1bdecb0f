"""What one check of `midfill doctor` found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """A fact about this machine; ``hint`` says what to do and is empty where nothing need be."""

    name: str
    state: Literal["good", "note", "bad"]
    detail: str
    hint: str = ""
