"""Block diffusion: each block's first token from the causal row before it, the rest denoised.

Owns the denoising loop, that of `fill.in_place` too. Strategies decide what is committed, `Run` how
forwards happen, `Hole` where the middle ends. Knows no family and no dialect.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from midfill_engine.decode.rows import RowStats
from midfill_engine.decode.table import DecodeStrategy
from midfill_engine.fill.canvas import Canvas
from midfill_engine.fill.run import Run
from midfill_engine.fill.steps import Steps
from midfill_engine.hole import Hole, Placed
from midfill_engine.models.family import DiffusionSpec
from midfill_engine.wire import FinishReason

#: An end marker at least this sure needs no further forward to confirm it.
SURE_END = 0.9
#: With no time for another step, what is at least this sure is committed as it stands.
HURRIED = 0.5


def denoise(
    run: Run,
    canvas: Canvas,
    row: Tensor,
    spec: DiffusionSpec,
    strategy: DecodeStrategy,
    *,
    width: int,
    allow_empty: bool = True,
) -> Steps[FinishReason]:
    """Fill ``canvas`` block after block.

    Parameters
    ----------
    row
        ``(1, hidden)``: the hidden state that predicts the next token of the middle.
    width
        Rows of a block, one that the checkpoint was trained with.

    Raises
    ------
    Halted
        Stopped or out of time; ``canvas`` holds the best state so far.
    """

    def look(hole: Hole) -> Steps[RowStats]:
        hidden = yield from run.step(block=hole.ids(spec.mask_id))
        return run.stats(hidden)

    while canvas.room > 0:
        first = run.stats(row) if canvas.placed else run.first_stats(row, allow_empty=allow_empty)
        if first.tokens[0] == spec.eom_id:
            canvas.ended = True
            return "end"
        hole = canvas.hole = Hole.masked(width, canvas.room)
        hole.commit(0, first.tokens[0], first.probability[0])
        canvas.report()
        ended = yield from denoise_hole(run, canvas, hole, strategy, look, eom_id=spec.eom_id)
        block = [cell.token for cell in hole.settled()]
        canvas.close()
        if canvas.reached_stop():
            return "stop"
        if ended:
            canvas.ended = True
            return "end"
        if canvas.room > 0:
            # The block's rows become context: causal, as the next block expects them.
            hidden = yield from run.step(block)
            row = hidden[-1:]
    return "length"


def end_with_a_line(run: Run, canvas: Canvas, prompt: int) -> Steps[FinishReason]:
    """Cut ``canvas``, which has no room left, back to where it had best ended.

    One causal forward over what was written says how likely the end was at each place.

    Parameters
    ----------
    prompt
        Rows of the context; the middle's rows behind it are computed again.

    Raises
    ------
    Halted
        Stopped or out of time; ``canvas`` holds all that was written.
    """
    last = run.cache.ids[prompt - 1]
    run.drop(len(run.cache.ids) - prompt + 1)
    hidden = yield from run.step([last, *(p.token for p in canvas.placed[:-1])])
    written, canvas.placed = canvas.placed, []
    canvas.write(zip(written, run.stats(hidden).end, strict=True))
    return canvas.cut_back()


def denoise_hole(
    run: Run,
    canvas: Canvas,
    hole: Hole,
    strategy: DecodeStrategy,
    look: Callable[[Hole], Steps[RowStats]],
    *,
    eom_id: int,
) -> Steps[bool]:
    """Denoise until no mask stands before the end; whether the end marker closed the hole.

    Parameters
    ----------
    look
        One forward: statistics of all positions of the hole.
    """
    limit = hole.end
    while hole.open_rows() and not canvas.reached_stop():
        stats = yield from look(hole)
        hole.guesses = [Placed(*p) for p in zip(stats.tokens, stats.probability, strict=True)]
        marked = hole.find_end(stats.tokens, eom_id, limit)
        rows = hole.open_rows()
        if rows:
            for n in _commits(run, stats, rows, strategy):
                hole.commit(n, stats.tokens[n], stats.probability[n])
        canvas.report()
        if marked and not hole.open_rows() and (not rows or stats.probability[hole.end] > SURE_END):
            return True
        if marked and not hole.open_rows():
            # Not sure of the end: look once more with all tokens in place.
            hole.end = limit
    return False


def _commits(run: Run, stats: RowStats, rows: list[int], strategy: DecodeStrategy) -> list[int]:
    chosen = strategy(stats, rows)
    if not run.last_chance(len(stats.tokens)):
        return chosen
    hurried = list(chosen)
    for n in rows:
        if n not in hurried:
            if stats.probability[n] < HURRIED:
                break
            hurried.append(n)
    return hurried
