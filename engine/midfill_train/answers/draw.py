"""Cuts of a corpus to be answered: drawn as in training, those that are quickly answered.

Owns their limits and their order.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from torch.utils.data import IterableDataset

from midfill_train.data.pack import BLOCK, Drawn, open_sampler

#: Longest context in tokens.
MAX_CONTEXT = 1200
#: Cuts that are sorted by length before they are batched.
POOL = 2048


class DrawnCuts(IterableDataset[Drawn]):
    """Cuts without end, whose middle has at most ``longest`` tokens."""

    def __init__(self, corpus: Path, checkpoint: Path, *, longest: int, seed: int) -> None:
        self._corpus, self._checkpoint = corpus, checkpoint
        self._longest, self._seed = longest, seed

    def __iter__(self) -> Iterator[Drawn]:
        sampler = open_sampler(self._corpus, self._checkpoint, BLOCK, f"answers {self._seed}")
        while True:
            drawn = sampler.draw()
            if drawn and len(drawn.middle) <= self._longest and len(drawn.context) <= MAX_CONTEXT:
                yield drawn


def batches(source: Iterator[Drawn], size: int) -> Iterator[list[Drawn]]:
    """``size`` cuts at a time; of all but the first batch contexts of like lengths."""
    yield list(islice(source, size))
    while True:
        pool = sorted(islice(source, POOL), key=lambda drawn: len(drawn.context))
        yield from (pool[at : at + size] for at in range(0, len(pool), size))
