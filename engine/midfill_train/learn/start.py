"""Brings a run up: loaders, weights, adapters, and where an interrupted run was left.

Owns their order. Knows neither arguments nor what is saved where.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from torch.utils.data import DataLoader

from midfill_engine.models.locate import base_of
from midfill_train.data.marks import read_marks
from midfill_train.data.pack import BLOCK, Batch, Mixture, PackedBatches
from midfill_train.learn.loop import Run, Trainer
from midfill_train.learn.workers import Workers
from midfill_train.model import files, lora


@dataclass(frozen=True, slots=True)
class Feed:
    """Batches of ``rows`` packed rows of ``length`` positions, drawn by ``loaders`` processes."""

    rows: int
    length: int
    loaders: int
    seed: int
    mixture: Mixture | None = None


@dataclass(frozen=True, slots=True)
class Adapters:
    """Train low-rank updates of ``rank``, scaled by ``alpha / rank``, instead of all weights.

    With ``further`` they begin as the checkpoint's own adapter; else beside it, if it is one.
    """

    rank: int
    alpha: float
    further: bool = False


def feed(checkpoint: Path, corpus: Path, how: Feed, workers: Workers) -> Iterator[Batch]:
    """The batches of this process; their loaders start here, before it touches the weights."""
    batches = PackedBatches(
        corpus,
        checkpoint,
        block_size=BLOCK,
        rows=how.rows,
        length=how.length,
        seed=how.seed * 1000 + workers.rank,
        mixture=how.mixture,
    )
    loader = DataLoader(
        batches,
        batch_size=None,
        num_workers=how.loaders,
        prefetch_factor=4 if how.loaders else None,
        pin_memory=workers.device.type == "cuda",
    )
    return iter(loader)


def start(
    checkpoint: Path,
    corpus: Path,
    run: Run,
    feeding: Feed,
    workers: Workers,
    *,
    adapters: Adapters | None = None,
    state: Path | None = None,
) -> tuple[Trainer, Iterator[Batch]]:
    """A trainer and its batches.

    Parameters
    ----------
    state
        File of `Trainer.save_state`; if it is there, the run goes on from it with the batches that
        it would have seen next.
    """
    marks = read_marks(checkpoint)
    source = feed(checkpoint, corpus, feeding, workers)
    further = adapters is not None and adapters.further
    network = files.load(base_of(checkpoint) if further else checkpoint).to(workers.device)
    if adapters:
        lora.attach(network, rank=adapters.rank, alpha=adapters.alpha, seed=feeding.seed)
    if further:
        files.load_adapter(network, checkpoint)
    trainer = Trainer(network, run, workers, eom=marks.eom)
    if state and state.exists():
        trainer.load_state(state)
        for _ in range(trainer.step):
            next(source)
    return trainer, source
