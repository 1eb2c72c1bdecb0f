r"""The suffix-first layout of a training context.

    [<path> other-path \n text]* <suffix> S_far <prefix> [<path> path \n] P
    [<suffix> S_near <middle>]

Owns where each segment stands and how often each is there. The engine has its own reading of the
same layout; ``config.json`` carries the facts between both.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from midfill_train.data.marks import Marks

Encode = Callable[[str], list[int]]

#: How often the suffix is split into a far and a near part, and after how many newlines.
NEAR = 0.85
_NEAR_LINES = (1, 2, 3, 4, 5, 6, 8, 10)
_NEAR_WEIGHTS = (4, 8, 3, 2, 1, 1, 1, 1)


def near_lines(rng: random.Random) -> int | None:
    """Newlines in the near suffix; ``None`` for no near suffix."""
    return rng.choices(_NEAR_LINES, _NEAR_WEIGHTS)[0] if rng.random() < NEAR else None


def context(
    marks: Marks,
    encode: Encode,
    prefix: str,
    suffix: str,
    *,
    path: str = "",
    near: int | None = None,
    snippets: Sequence[tuple[str, str]] = (),
) -> list[int]:
    """Token ids of everything before the middle; the last row predicts its first token."""
    cut_at = _after_newlines(suffix, near) if near else 0
    ids: list[int] = []
    for other, text in snippets:
        ids += [marks.path, *encode(f"{other}\n{text}")]
    ids += [marks.suffix, *encode(suffix[cut_at:]), marks.prefix]
    if path:
        ids += [marks.path, *encode(f"{path}\n")]
    ids += encode(prefix)
    if cut_at:
        ids += [marks.near, *encode(suffix[:cut_at]), marks.middle]
    return ids


def _after_newlines(text: str, count: int) -> int:
    """Where ``text`` goes on after its ``count``-th newline; its end if it has fewer."""
    at = 0
    for _ in range(count):
        newline = text.find("\n", at)
        if newline < 0:
            return len(text)
        at = newline + 1
    return at
