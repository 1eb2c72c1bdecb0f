"""Cuts of a corpus to be answered: drawn as in training, those that are quickly answered.

Owns their limits and their order.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from torch.utils.data import IterableDataset

from midfill_train.answers.tested import Program
from midfill_train.data.cuts import EXERCISE_HABITS
from midfill_train.data.pack import BLOCK, Drawn, open_sampler

#: Longest context in tokens.
MAX_CONTEXT = 1200
#: Cuts that are sorted by length before they are batched.
POOL = 2048
#: So many draws without a cut that can be taken, and the corpus is thought to have none.
_MISSES = 3000


class DrawnCuts(IterableDataset[Drawn]):
    """Cuts whose middle has at most ``longest`` tokens, without end where there are any.

    With ``tested`` of exercises: those whose examples tell right answers from wrong ones.
    """

    def __init__(
        self, corpus: Path, checkpoint: Path, *, longest: int, seed: int, tested: bool = False
    ) -> None:
        self._corpus, self._checkpoint = corpus, checkpoint
        self._longest, self._seed, self._tested = longest, seed, tested

    def __iter__(self) -> Iterator[Drawn]:
        sampler = open_sampler(self._corpus, self._checkpoint, BLOCK, f"answers {self._seed}")
        if self._tested:
            sampler.habits = EXERCISE_HABITS
            sampler.share({"python": 1.0})
        misses = 0
        while misses < _MISSES:
            drawn = sampler.draw()
            misses += 1
            if drawn and self._takes(drawn):
                misses = 0
                yield drawn

    def _takes(self, drawn: Drawn) -> bool:
        if len(drawn.middle) > self._longest or len(drawn.context) > MAX_CONTEXT:
            return False
        return not self._tested or Program.of(drawn.cut) is not None


def batches(source: Iterator[Drawn], size: int) -> Iterator[list[Drawn]]:
    """``size`` cuts at a time; of all but the first batch contexts of like lengths."""
    if first := list(islice(source, size)):
        yield first
    while pool := sorted(islice(source, POOL), key=lambda drawn: len(drawn.context)):
        yield from (pool[at : at + size] for at in range(0, len(pool), size))
