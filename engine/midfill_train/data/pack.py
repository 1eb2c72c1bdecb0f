"""Packed batches: cuts side by side in rows of fixed length, drawn without end.

Owns the mixture (languages, plain text, snippets, paths) and the packing. One process draws one
stream; streams differ by their seed.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch.utils.data import IterableDataset, get_worker_info

from midfill_engine.models.locate import base_of
from midfill_train.corpus.store import Corpus, Document
from midfill_train.data import layout
from midfill_train.data.answered import Store
from midfill_train.data.cuts import EXERCISE_HABITS, HABITS, Cut, cut, draw_habit
from midfill_train.data.marks import Marks, read_marks
from midfill_train.data.rows import Rows, build

LANGUAGE_SHARES = {
    "python": 0.34,
    "typescript": 0.14,
    "javascript": 0.13,
    "go": 0.09,
    "rust": 0.08,
    "c": 0.05,
    "cpp": 0.07,
    "java": 0.10,
}
PATH_SHARE, SNIPPET_SHARE, PLAIN_SHARE = 0.6, 0.07, 0.04
MAX_CONTEXT, MAX_MIDDLE = 2300, 126
#: Widest noisy block.
BLOCK = 32
#: Documents tried for a habit before another is drawn.
_TRIES = 6

Batch = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Mixture:
    """What cuts are drawn from besides the corpus.

    Attributes
    ----------
    answers
        Folders of answered cuts: of all cuts the share ``answered``, if there are any.
    exercises
        A second corpus, cut by `EXERCISE_HABITS`, its languages by their numbers of files: of the
        cuts without answers the share ``exercised``.
    """

    answers: tuple[Path, ...] = ()
    answered: float = 0.6
    exercises: Path | None = None
    exercised: float = 0.5


@dataclass(frozen=True, slots=True)
class Drawn:
    """A cut, its context and its middle as token ids."""

    cut: Cut
    context: list[int]
    middle: list[int]


@dataclass(slots=True)
class Sampler:
    """Draws cuts of a corpus as `Rows`, and by ``mixture`` some answered and some of exercises."""

    corpus: Corpus
    tokenizer: Tokenizer
    marks: Marks
    block_size: int
    rng: random.Random
    shares: dict[str, float] = field(default_factory=lambda: dict(LANGUAGE_SHARES))
    habits: Mapping[str, float] = field(default_factory=lambda: HABITS)
    mixture: Mixture = field(default_factory=Mixture)
    answered: Sequence[Store] = ()
    exercises: Sampler | None = None
    _by_language: dict[str, NDArray[np.int64]] = field(init=False)
    _chances: dict[str, NDArray[np.float64]] = field(init=False)
    _by_package: dict[str, list[int]] = field(init=False)

    def __post_init__(self) -> None:
        self.share(self.shares)
        self._by_package = {}
        for i, package in enumerate(self.corpus.packages):
            self._by_package.setdefault(package, []).append(i)

    def share(self, shares: dict[str, float]) -> None:
        """Draw languages by ``shares``, those that the corpus has."""
        languages = np.array(self.corpus.languages)
        self._by_language = {name: np.flatnonzero(languages == name) for name in shares}
        self.shares = {n: s for n, s in shares.items() if len(self._by_language[n])}
        roots = np.sqrt(self.corpus.sizes())
        self._chances = {n: np.cumsum(roots[self._by_language[n]]) for n in self.shares}

    def __iter__(self) -> Iterator[Rows]:
        while True:
            if self.answered and self.rng.random() < self.mixture.answered:
                yield self._answered()
                continue
            source = self
            if self.exercises and self.rng.random() < self.mixture.exercised:
                source = self.exercises
            rows = source.another()
            if rows is not None:
                yield rows

    def another(self) -> Rows | None:
        """A cut without answers, or a piece of a file; ``None`` as `draw`."""
        return self._plain() if self.rng.random() < PLAIN_SHARE else self._cut()

    def _document(self) -> Document:
        """A document: language by share, then by the square root of its size."""
        name = self.rng.choices(list(self.shares), list(self.shares.values()))[0]
        chances = self._chances[name]
        at = np.searchsorted(chances, self.rng.random() * chances[-1], side="right")
        return self.corpus[int(self._by_language[name][at])]

    def _answered(self) -> Rows:
        """An answered cut: as any other, and its answers."""
        one = self.rng.choice(self.rng.choices(self.answered, list(map(len, self.answered)))[0])
        middle, answers = one.answers[0][:-1], list(zip(one.answers, one.costs, strict=True))
        size = self.block_size
        return build(self.rng, self.marks, one.context, middle, block_size=size, answers=answers)

    def _cut(self) -> Rows | None:
        drawn = self.draw()
        if drawn is None:
            return None
        return build(self.rng, self.marks, drawn.context, drawn.middle, block_size=self.block_size)

    def draw(self) -> Drawn | None:
        """One cut; ``None`` where a file has no place for one, or it is too long."""
        document, made = self._document_with(draw_habit(self.rng, self.habits))
        if made is None:
            return None
        context = layout.context(
            self.marks,
            self.encode,
            made.prefix,
            made.suffix,
            path=document.path if self.rng.random() < PATH_SHARE else "",
            near=layout.near_lines(self.rng),
            snippets=self._snippets(document) if self.rng.random() < SNIPPET_SHARE else (),
        )
        middle = self.encode(made.middle)
        if len(context) > MAX_CONTEXT or len(middle) > MAX_MIDDLE:
            return None
        return Drawn(made, context, middle)

    def _document_with(self, habit: str) -> tuple[Document, Cut | None]:
        """A document that has a place for ``habit``, and the cut: the mixture stays as stated."""
        document, made = self._document(), None
        for _ in range(_TRIES):
            made = cut(self.rng, document, habit)
            if made is not None:
                break
            document = self._document()
        return document, made

    def _plain(self) -> Rows | None:
        """A piece of a file from left to right, so that the causal reading stays what it was."""
        document = self._document()
        text = document.text.decode()
        size = int(math.exp(self.rng.uniform(math.log(500), math.log(3600))))
        start = text.find("\n", self.rng.randrange(max(1, len(text) - size))) + 1
        tokens = self.encode(text[start : start + size])[:900]
        if len(tokens) < 40:
            return None
        head = [self.marks.prefix, self.marks.path, *self.encode(f"{document.path}\n")]
        return build(self.rng, self.marks, head, tokens, block_size=self.block_size, ends=False)

    def _snippets(self, document: Document) -> list[tuple[str, str]]:
        """Pieces of other files of the same package."""
        found = []
        for i in self.rng.choices(self._by_package[document.package], k=self.rng.randrange(1, 3)):
            other = self.corpus[i]
            if other.path != document.path:
                lines = other.text.decode().split("\n")
                start = self.rng.randrange(max(1, len(lines) - 8))
                text = "\n".join(lines[start : start + self.rng.randrange(4, 20)])
                found.append((other.path, text[:900] + "\n"))
        return found

    def encode(self, text: str) -> list[int]:
        """Token ids of ``text``; special tokens in it are text."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids


def open_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a checkpoint, which reads special tokens in user text as text."""
    tokenizer = Tokenizer.from_file(str(base_of(folder) / "tokenizer.json"))
    tokenizer.encode_special_tokens = True
    return tokenizer


class PackedBatches(IterableDataset[Batch]):
    """Batches of ``rows`` packed rows of ``length`` positions.

    Each batch holds int32 tensors ``(rows, length)``: ``ids``, ``labels``, ``position``,
    ``limit``, ``block``, ``teacher`` (a position of the same row), ``segment`` (the cut's number in
    its row, -1 for padding), and float32 ``weight`` and ``cost``.
    """

    def __init__(
        self,
        corpus: Path,
        checkpoint: Path,
        *,
        block_size: int = BLOCK,
        rows: int,
        length: int,
        seed: int,
        mixture: Mixture | None = None,
    ) -> None:
        self._corpus, self._checkpoint, self._mixture = corpus, checkpoint, mixture or Mixture()
        self._block_size, self._rows, self._length, self._seed = block_size, rows, length, seed

    def __iter__(self) -> Iterator[Batch]:
        sampler = self._open(self._corpus, str(self._seed))
        sampler.mixture = self._mixture
        sampler.answered = [Store(folder) for folder in self._mixture.answers]
        if self._mixture.exercises:
            written = self._open(self._mixture.exercises, f"{self._seed} exercises")
            written.habits = EXERCISE_HABITS
            written.share({n: float(c) for n, c in Counter(written.corpus.languages).items()})
            sampler.exercises = written
        source = iter(sampler)
        while True:
            yield pack(source, self._rows, self._length)

    def _open(self, corpus: Path, seed: str) -> Sampler:
        return open_sampler(corpus, self._checkpoint, self._block_size, seed)


def open_sampler(corpus: Path, checkpoint: Path, block_size: int, seed: str) -> Sampler:
    """A sampler of this loader process: each draws a stream of its own."""
    worker: Any = get_worker_info()
    return Sampler(
        Corpus(corpus),
        open_tokenizer(checkpoint),
        read_marks(checkpoint),
        block_size,
        random.Random(f"{seed}/{worker.id if worker else 0}"),
    )


def pack(source: Iterator[Rows], rows: int, length: int) -> Batch:
    """Fill a batch from ``source``; each row takes what fits until four cuts have not.

    The last that did not fit opens the next row, so that long cuts are not thinned out.
    """
    names = [f.name for f in fields(Rows)]
    arrays = {name: np.zeros((rows, length), np.int32) for name in names}
    arrays |= {name: np.zeros((rows, length), np.float32) for name in ("weight", "cost")}
    segment, arrays["teacher"] = (np.full((rows, length), -1, np.int32) for _ in range(2))
    waiting: Rows | None = None
    for row in range(rows):
        used = number = misses = 0
        while misses < 4:
            piece, waiting = waiting or next(source), None
            if used + len(piece) > length:
                misses += 1
                waiting = piece if misses == 4 and len(piece) <= length else None
                continue
            place = slice(used, used + len(piece))
            for name in names:
                arrays[name][row, place] = getattr(piece, name)
            taught = arrays["teacher"][row, place]
            taught[taught >= 0] += used
            segment[row, place] = number
            used, number = used + len(piece), number + 1
        arrays["limit"][row, used:] = 1  # padding sees padding, so that no row sees nothing
    return {
        **{k: torch.from_numpy(v) for k, v in arrays.items()},
        "segment": torch.from_numpy(segment),
    }
