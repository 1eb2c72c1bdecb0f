"""The one wait of the editor tests: for a condition, never for a time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# A ceiling for a loaded machine; every wait ends with its condition.
PATIENCE_S = float(os.environ.get("MIDFILL_PATIENCE_S", "30"))


def wait_for(
    condition: Callable[[], T],
    what: str,
    *,
    look: Callable[[], object],
    screen: Callable[[], str] = lambda: "",
    patience_s: float = PATIENCE_S,
) -> T:
    """Wait until the condition holds and return what it gave.

    ``look`` takes in what happened meanwhile and takes a little time over it.

    Raises
    ------
    AssertionError
        When it never happened; with the screen as it was last.
    """
    end = time.monotonic() + patience_s
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"never happened: {what}\n{screen()}")
        look()
    return value
