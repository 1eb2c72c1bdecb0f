"""Held-out cuts as a file of JSON lines, and how one is drawn from a corpus."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from midfill_train.corpus.store import Corpus, Document
from midfill_train.data.cuts import HABITS, cut

#: Groups of habits that are reported together.
GROUPS: dict[str, tuple[str, ...]] = {
    "syntax": ("statement", "block", "brackets", "expression", "string"),
    "line": ("line", "inline", "closed"),
    "lines": ("lines", "next", "rest"),
    "random": ("random",),
}
#: Characters: so that a CPU can measure, and that a middle says something.
LONGEST_CONTEXT, LONGEST_MIDDLE = 3200, 260
#: Files tried for a cut.
_TRIES = 50


@dataclass(frozen=True, slots=True)
class HeldOut:
    """One cut to be measured on, and where it comes from."""

    language: str
    group: str
    habit: str
    package: str
    path: str
    prefix: str
    middle: str
    suffix: str


def draw(corpus: Corpus, a_group: int, *, seed: int = 0) -> Iterator[HeldOut]:
    """``a_group`` cuts of each language and group, files drawn evenly."""
    rng = random.Random(seed)
    for language in sorted(set(corpus.languages)):
        files = [i for i, name in enumerate(corpus.languages) if name == language]
        for group, habits in GROUPS.items():
            places = (corpus[rng.choice(files)] for _ in range(a_group * _TRIES))
            yield from islice(_of_group(rng, places, group, habits), a_group)


def _of_group(
    rng: random.Random, documents: Iterable[Document], group: str, habits: tuple[str, ...]
) -> Iterator[HeldOut]:
    weights = [HABITS[habit] for habit in habits]
    for document in documents:
        habit = rng.choices(habits, weights)[0]
        made = cut(rng, document, habit)
        if made is None or not 0 < len(made.middle.strip()) <= LONGEST_MIDDLE:
            continue
        if len(made.prefix) + len(made.suffix) > LONGEST_CONTEXT:
            continue
        place = (document.language, group, habit, document.package, document.path)
        yield HeldOut(*place, made.prefix, made.middle, made.suffix)


def write(path: Path, cuts: Iterable[HeldOut]) -> int:
    """Write ``cuts`` as JSON lines, packed if ``path`` ends in ``.gz``; how many."""
    lines = [json.dumps(asdict(item), ensure_ascii=False) + "\n" for item in cuts]
    data = "".join(lines).encode()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return len(lines)


def sample(path: Path, count: int = 0) -> list[HeldOut]:
    """``count`` cuts of a file (0: all): the same each time, of all languages and groups."""
    cuts = read(path)
    random.Random(0).shuffle(cuts)
    return cuts[:: max(1, len(cuts) // count)][:count] if count else cuts


def read(path: Path) -> list[HeldOut]:
    """Cuts of a file that `write` wrote."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [HeldOut(**json.loads(line)) for line in data.decode().split("\n")[:-1]]
