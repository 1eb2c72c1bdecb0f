"""Where benchmarks type: places in real files, chosen by a seed, the same for every engine.

Owns the files, the places and the texts around a cursor. Knows no engine.
"""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FILES = [Path(m.__file__) for m in (textwrap, argparse, shutil, statistics)]
#: Characters typed at a place.
KEYS = 10
#: Share of the context that stands before the cursor.
BEFORE = 3 / 4


@dataclass(frozen=True)
class Keystroke:
    """The texts around the cursor after one more character; ``rest`` really follows on the line."""

    prefix: str
    suffix: str
    rest: str


@dataclass(frozen=True)
class Place:
    """An offset in a line of code of ``file``, and the text in which it stands."""

    file: str
    at: int
    text: str

    @property
    def name(self) -> str:
        """What a result calls it."""
        return f"{self.file}:{self.at}"

    def keystrokes(self, chars: int, keys: int = KEYS) -> Iterator[Keystroke]:
        """Type what really stands here, one character at a time; the rest of the line is not there.

        The window of ``chars`` characters does not move while typing.
        """
        start = max(0, self.at - int(chars * BEFORE))
        end = self.text.find("\n", self.at)
        suffix = self.text[end : end + chars - int(chars * BEFORE)]
        for cursor in range(self.at, min(self.at + keys, end)):
            yield Keystroke(self.text[start:cursor], suffix, self.text[cursor:end])


def places(count: int, chars: int, *, seed: int = 1) -> list[Place]:
    """``count`` places in each file, file after file in turn."""
    rng = random.Random(seed)
    chosen = []
    for path in FILES:
        text = path.read_text()
        chosen.append([Place(path.name, at, text) for at in _offsets(text, count, chars, rng)])
    return [place for turn in zip(*chosen, strict=True) for place in turn]


def _offsets(text: str, count: int, chars: int, rng: random.Random) -> list[int]:
    """Offsets inside lines of code, far enough from both ends of the file."""
    found: list[int] = []
    while len(found) < count:
        at = rng.randrange(min(chars // 2, len(text) // 3), len(text) - 600)
        end = text.find("\n", at)
        line = text[text.rfind("\n", 0, at) + 1 : end].strip()
        if end - at > KEYS and len(line) > KEYS + 12 and not line.startswith(("#", '"')):
            found.append(at)
    return found


def percentile(values: list[float], share: float) -> float:
    """The value below which ``share`` of ``values`` lie."""
    return sorted(values)[int(share * (len(values) - 1))]
