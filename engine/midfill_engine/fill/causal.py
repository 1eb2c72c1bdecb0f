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


def autoregressive(
    run: Run, canvas: Canvas, row: Tensor, spec: DiffusionSpec, *, allow_empty: bool = True
) -> FinishReason:
    """One token a forward, from left to right.

    Raises
    ------
    Halted
        Stopped or out of time; ``canvas`` holds what was written so far.
    """
    while canvas.room > 0:
        token = _next(run, canvas, row, spec, allow_empty=allow_empty)
        if token is None:
            return "end"
        canvas.placed.append(token)
        canvas.report()
        if canvas.reached_stop():
            return "stop"
        if canvas.room > 0:
            row = run.causal([token.token])
    return "length"


def self_speculative(
    run: Run, canvas: Canvas, row: Tensor, spec: DiffusionSpec, *, allow_empty: bool = True
) -> FinishReason:
    """Draft a block in one bidirectional forward, verify it in one causal forward.

    Raises
    ------
    Halted
        Stopped or out of time; ``canvas`` holds what was verified so far.
    """
    while canvas.room > 0:
        token = _next(run, canvas, row, spec, allow_empty=allow_empty)
        if token is None:
            return "end"
        canvas.placed.append(token)
        canvas.report()
        if canvas.reached_stop():
            return "stop"
        if canvas.room <= 0:
            break
        block = [token.token, *[spec.mask_id] * (spec.block_size - 1)]
        draft = run.stats(run.block(block)).tokens
        draft[0] = token.token
        if spec.eom_id in draft:
            del draft[draft.index(spec.eom_id) :]
        at = len(run.cache.ids)
        hidden = run.causal(draft[: canvas.room + 1])
        row = accept(run, canvas, hidden, draft[1 : canvas.room + 1], at + 1)
        canvas.report()
        if canvas.reached_stop():
            return "stop"
    return "length"


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
    stats = run.stats(hidden)
    agreed = next((n for n, token in enumerate(draft) if stats.tokens[n] != token), len(draft))
    canvas.placed.extend(
        Placed(token, p)
        for token, p in zip(draft[:agreed], stats.probability[:agreed], strict=True)
    )
    run.rewind(start + agreed)
    return hidden[agreed : agreed + 1]


def _next(
    run: Run, canvas: Canvas, row: Tensor, spec: DiffusionSpec, *, allow_empty: bool
) -> Placed | None:
    """The next token by the causal ``row``; ``None`` at the end of the middle."""
    empty = not canvas.placed
    stats = run.stats(row, forbid=spec.eom_id if empty and not allow_empty else None)
    if stats.tokens[0] == spec.eom_id:
        canvas.ended = True
        return None
    return Placed(stats.tokens[0], stats.probability[0])
