"""Held-out cuts as a file of JSON lines, and how one is drawn from a corpus."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from midfill_train.corpus.store import Corpus
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
            yield from _of_group(rng, corpus, files, group, habits, a_group)


def _of_group(
    rng: random.Random,
    corpus: Corpus,
    files: list[int],
    group: str,
    habits: tuple[str, ...],
    count: int,
) -> Iterator[HeldOut]:
    weights = [HABITS[habit] for habit in habits]
    for _ in range(count * 50):
        if not count:
            return
        document = corpus[rng.choice(files)]
        habit = rng.choices(habits, weights)[0]
        made = cut(rng, document, habit)
        if made is None or not 0 < len(made.middle.strip()) <= LONGEST_MIDDLE:
            continue
        if len(made.prefix) + len(made.suffix) > LONGEST_CONTEXT:
            continue
        count -= 1
        place = (document.language, group, habit, document.package, document.path)
        yield HeldOut(*place, made.prefix, made.middle, made.suffix)


def write(path: Path, cuts: Iterable[HeldOut]) -> int:
    """Write ``cuts`` as JSON lines; how many."""
    lines = [json.dumps(asdict(item), ensure_ascii=False) for item in cuts]
    path.write_text("\n".join(lines) + "\n")
    return len(lines)


def read(path: Path) -> list[HeldOut]:
    """Cuts of a file that `write` wrote."""
    return [HeldOut(**json.loads(line)) for line in path.read_text().splitlines()]
