"""Where a middle that came to its limit without an end had best ended.

Owns that choice. What runs on is a list or a loop, and of these whole lines are of use: of the
lines that it went through, it ends behind the one that makes the most probable complete middle.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

from midfill_engine.fill.canvas import Canvas
from midfill_engine.fill.run import Run
from midfill_engine.fill.steps import Steps
from midfill_engine.wire import FinishReason


def end_with_a_line(run: Run, canvas: Canvas, prompt: int, eom_id: int) -> Steps[FinishReason]:
    """Cut ``canvas``, which has no room left, back to its most probable end.

    One causal forward over what was written says how likely the end was at each place. Without
    a whole line everything stays as it is.

    Parameters
    ----------
    prompt
        Rows of the context; the middle's rows behind it are computed again.

    Raises
    ------
    Halted
        Stopped or out of time; ``canvas`` holds all that was written.
    """
    tokens = [p.token for p in canvas.placed]
    places = line_ends(list(canvas.tokenizer.texts(tokens)))
    if not places:
        return "length"
    last = run.cache.ids[prompt - 1]
    run.drop(len(run.cache.ids) - prompt + 1)
    rows = [last, *tokens]
    hidden = yield from run.step(rows)
    stats = run.stats(hidden, asked=[eom_id] * len(rows))
    best = likeliest_end(places, [p.confidence for p in canvas.placed], stats.asked)
    del canvas.placed[best:]
    canvas.ended = True
    return "end"


def line_ends(texts: Sequence[str]) -> list[int]:
    """After how many of the tokens ``texts`` a line is over, before its newline or behind it."""
    places, before = [], ""
    for n, text in enumerate(texts):
        starts = text.lstrip(" \t").startswith(("\n", "\r"))
        if before.strip() and (starts or before.endswith("\n")):
            places.append(n)
        before += text
    return places


def likeliest_end(places: Sequence[int], written: Sequence[float], end: Sequence[float]) -> int:
    """That of ``places`` where all before it and the end together are most probable.

    Parameters
    ----------
    written
        ``(N,)``: how probable each token was.
    end
        ``(N + 1,)``: how probable the end is before each token, and behind the last.
    """
    total = [0.0, *accumulate(map(_log, written))]
    return max(places, key=lambda n: total[n] + _log(end[n]))


def _log(probability: float) -> float:
    return math.log(max(probability, 1e-12))
