"""The in-place layout of fully bidirectional models: prefix, masks, suffix.

    [bos] P [mask]*L S [eos]

Owns where each text stands, how long it may be, and which numbers of masks come into question.
Knows neither weights nor caches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from midfill_engine.layout.fit import SUFFIX_SHARE, fit
from midfill_engine.models.family import InPlaceSpec

#: Numbers of masks that are tried, up to what the request allows.
LENGTHS = (8, 16, 32, 64, 128)


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands before and behind the hole, as token ids."""

    before: list[int]
    after: list[int]

    def around(self, hole: Sequence[int]) -> list[int]:
        """The whole text, with ``hole`` in it."""
        return [*self.before, *hole, *self.after]


def place(
    spec: InPlaceSpec,
    encode: Callable[[str], list[int]],
    prefix: str,
    suffix: str,
    *,
    room: int,
) -> Frame:
    """Arrange one request.

    Parameters
    ----------
    room
        Tokens that prefix and suffix may take with what stands around them.
    """
    after = encode(suffix)[: int(room * SUFFIX_SHARE)]
    if spec.eos_id is not None:
        after = [*after, spec.eos_id]
    front = [] if spec.bos_id is None else [spec.bos_id]
    return Frame([*front, *fit(encode(prefix), room - len(front) - len(after))], after)


def lengths(limit: int) -> list[int]:
    """Numbers of masks to try where the middle may have ``limit`` tokens, ascending."""
    return [*(n for n in LENGTHS if n < limit), limit]
