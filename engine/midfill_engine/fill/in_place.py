"""Infilling by fully bidirectional models: masks inside the text, denoised where they stand.

Owns the number of masks and the forwards over the window of `cache.window`; the loop itself is
`fill.denoise`'s. Knows no family and no dialect.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile

import torch

from midfill_engine.cache.window import WindowCache
from midfill_engine.decode.confidence import Threshold
from midfill_engine.decode.rows import RowStats
from midfill_engine.decode.table import DecodeStrategy
from midfill_engine.fill.agreement import Agreement
from midfill_engine.fill.canvas import Canvas
from midfill_engine.fill.denoise import denoise_hole
from midfill_engine.fill.run import Run
from midfill_engine.fill.steps import Steps
from midfill_engine.hole import Hole
from midfill_engine.layout.in_place import Frame, lengths
from midfill_engine.models.family import InPlaceSpec
from midfill_engine.wire import FinishReason

#: With fewer masks left in their place, the number of masks is chosen anew.
LEAST_MASKS = 4
#: The presets, where there are no causal rows to verify with.
DENOISING: dict[str, DecodeStrategy] = {
    "quality": Threshold(0.95),
    "balanced": Threshold(0.9),
    "fast": Threshold(0.7),
}
#: Positions of a hole that are denoised together. A longer one is filled in blocks from the left,
#: as LLaDA fills long answers; a GPU computes so many rows in the time of a few.
BLOCK_ROWS = 64


@dataclass(frozen=True, slots=True)
class InPlaceOptions:
    """What the engine's settings say; see there."""

    refresh_steps: int = 8
    hole_tokens: int = 0
    agreement: bool = False


@dataclass(slots=True)
class Text:
    """One request's text on the device: reads the masks of its hole.

    Attributes
    ----------
    agreement
        Where given, each step runs once more, exactly, and is compared; not what is drawn at a
        temperature.
    """

    run: Run
    spec: InPlaceSpec
    frame: Frame
    cache: WindowCache
    allow_empty: bool = True
    agreement: Agreement | None = None

    def read(self, frame: Frame, hole: Sequence[int], rows: Sequence[int]) -> Steps[RowStats]:
        """One forward of ``frame`` with ``hole`` in it; statistics of the hole's ``rows``."""
        ids = frame.around(hole)
        # The row that predicts a position: its own, or the one before it.
        start = len(frame.before) - self.spec.shift
        window = self.cache.window(ids, start + rows[0], start + rows[-1] + 1)
        if not self.run.nfe:
            self.run.cached = len(ids) - len(window)
        hidden = yield from self.run.within(ids[window.start : window.stop], window.start, len(ids))
        self.cache.ran(ids, window)
        no_end = (
            start + rows[0] + self.spec.shift == len(self.frame.before) and not self.allow_empty
        )
        forbid = self.spec.eom_id if no_end else None
        stats = self.run.stats(hidden[[start - window.start + n for n in rows]], forbid=forbid)
        if self.agreement is not None and not self.run.sampler.temperature:
            decoder = self.run.decoder
            every = torch.tensor(ids, dtype=torch.long, device=decoder.device)
            hidden = decoder.forward_within(every, decoder.new_cache(), 0, len(ids))
            exact = self.run.stats(hidden[[start + n for n in rows]], forbid=forbid)
            self.agreement.compare(rows, stats, exact)
        return stats

    def look(self, frame: Frame, hole: Hole) -> Steps[RowStats]:
        """As `read`, of the whole hole: a committed position says its own token."""
        rows = [n for n, cell in enumerate(hole.cells) if cell is None]
        read = yield from self.read(frame, hole.ids(self.spec.mask_id), rows)
        size = len(hole.cells)
        stats = RowStats([0] * size, [1.0] * size, [1.0] * size, [0.0] * size, [], [0.0] * size)
        for n, cell in enumerate(hole.cells):
            if cell is not None:
                stats.tokens[n], stats.probability[n] = cell
        for at, n in enumerate(rows):
            stats.tokens[n], stats.probability[n] = read.tokens[at], read.probability[at]
            stats.margin[n], stats.entropy[n] = read.margin[at], read.entropy[at]
            stats.end[n] = read.end[at]
        return stats


def choose_length(text: Text, limit: int, wanted: int) -> Steps[int]:
    """How many masks to put into ``text``, at most ``limit``; ``wanted`` of them if not 0.

    Masks that stand in the session's text stay. Otherwise one forward a candidate says how sure its
    masks are, which is compared with how sure masks of that number are anywhere (CAL, arXiv
    2602.00476, whose fit this is; it climbs in steps of one, here a handful of lengths is tried).
    """
    if text.cache.refresh_steps > 1:
        kept = text.cache.masks(len(text.frame.before), text.frame.after)
        if min(LEAST_MASKS, limit) <= kept <= limit:
            return kept
    if wanted:
        return min(wanted, limit)
    choices = lengths(limit)
    if len(choices) == 1:
        return choices[0]
    sure: dict[int, float] = {}
    for masks in choices:
        sure[masks] = yield from _calibrated(text, masks)
    return max(choices, key=sure.__getitem__)


def _calibrated(text: Text, masks: int) -> Steps[float]:
    stats = yield from text.read(text.frame, [text.spec.mask_id] * masks, range(masks))
    usual = math.exp(-1.77 * masks) + 0.56 * math.exp(-0.06 * masks) + 0.24
    return sum(stats.probability) / masks / usual


def infill(
    text: Text, canvas: Canvas, strategy: DecodeStrategy, masks: int, draft: Sequence[int] = ()
) -> Steps[FinishReason]:
    """Fill ``masks`` positions inside ``text``, a long hole block after block from the left.

    Parameters
    ----------
    draft
        What the middle probably begins with: a guess that says the same, from the left, is
        committed at any probability.

    Raises
    ------
    Halted
        Stopped or out of time; ``canvas`` holds the best state so far.
    """
    before, after, mask = text.frame.before, text.frame.after, text.spec.mask_id
    for start in range(0, masks, BLOCK_ROWS):
        size = min(BLOCK_ROWS, masks - start)
        placed = [placed.token for placed in canvas.placed]
        frame = Frame([*before, *placed], [*[mask] * (masks - start - size), *after])
        chosen = _drafted(strategy, draft[start : start + size])
        if text.agreement is not None:
            chosen = text.agreement.watching(chosen)
        hole = canvas.hole = Hole.masked(size, canvas.room)
        look = partial(text.look, frame)
        eom = text.spec.eom_id
        canvas.ended = yield from denoise_hole(text.run, canvas, hole, chosen, look, eom_id=eom)
        canvas.close()
        if canvas.reached_stop():
            return "stop"
        if canvas.ended:
            break
    # Whatever its length, the middle was written to meet what follows it.
    return "end"


def _drafted(strategy: DecodeStrategy, draft: Sequence[int]) -> DecodeStrategy:
    """``strategy``, and beside it what says the same as ``draft`` from the left."""

    def commits(stats: RowStats, rows: Sequence[int]) -> list[int]:
        pairs = zip(stats.tokens, draft, strict=False)
        same = [n for n, _ in takewhile(lambda p: p[1][0] == p[1][1], enumerate(pairs))]
        return sorted({*strategy(stats, rows), *(set(same) & set(rows))})

    return commits
