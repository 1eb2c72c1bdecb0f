"""Causal readings of the same weights: autoregressive, self-speculative, and checking a draft.

Owns decoding by causal rows. Self-speculation drafts a block by diffusion and keeps what one
causal pass agrees with, so that greedy output equals autoregressive output
(Nemotron-Labs-Diffusion, arXiv 2607.05722, there with an adapter).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from midfill_engine.fill.canvas import Canvas
from midfill_engine.fill.run import Run
from midfill_engine.hole import Placed
from midfill_engine.models.family import DiffusionSpec
from midfill_engine.wire import FinishReason


def causal(
    run: Run,
    canvas: Canvas,
    row: Tensor,
    spec: DiffusionSpec,
    *,
    draft_rows: int = 1,
    allow_empty: bool = True,
) -> FinishReason:
    """Write what the causal rows say, from left to right.

    Parameters
    ----------
    draft_rows
        Rows of a block that is drafted by one bidirectional forward and verified by one causal
        forward; 1 writes one token a forward. Greedy text is the same.

    Raises
    ------
    Halted
        Stopped or out of time; ``canvas`` holds what was settled so far.
    """
    while canvas.room > 0:
        empty = not canvas.placed
        stats = run.stats(row, forbid=spec.eom_id if empty and not allow_empty else None)
        token = stats.tokens[0]
        if token == spec.eom_id:
            canvas.ended = True
            return "end"
        canvas.placed.append(Placed(token, stats.probability[0]))
        if canvas.room > 0 and not canvas.reached_stop():
            canvas.report()
            draft = _draft(run, token, spec, draft_rows)[: canvas.room]
            at = len(run.cache.ids) + 1
            row = accept(run, canvas, run.causal([token, *draft]), draft, at)
        canvas.report()
        if canvas.reached_stop():
            return "stop"
    return "length"


def _draft(run: Run, token: int, spec: DiffusionSpec, rows: int) -> list[int]:
    """What a block of ``rows`` that begins with ``token`` guesses to follow, up to its end."""
    if rows < 2:
        return []
    guesses = run.stats(run.block([token, *[spec.mask_id] * (rows - 1)])).tokens[1:]
    return guesses[: guesses.index(spec.eom_id)] if spec.eom_id in guesses else guesses


def accept(run: Run, canvas: Canvas, hidden: Tensor, draft: Sequence[int], start: int) -> Tensor:
    """Place the longest front of ``draft`` that the causal rows themselves would write.

    Parameters
    ----------
    hidden
        ``(len(draft) + 1, hidden)``: the row before the draft, then the rows of the draft.
    start
        Position of the draft's first token; cached rows of refused tokens are forgotten.

    Returns
    -------
    Tensor
        ``(1, hidden)``: the row that predicts what comes after the accepted part.
    """
    if not draft:
        return hidden
    stats = run.stats(hidden)
    agreed = next((n for n, token in enumerate(draft) if stats.tokens[n] != token), len(draft))
    canvas.placed.extend(
        Placed(token, p)
        for token, p in zip(draft[:agreed], stats.probability[:agreed], strict=True)
    )
    run.rewind(start + agreed)
    return hidden[agreed : agreed + 1]
