"""Middles that are drawn beside the best one, and what follows the gap as their judge.

The score of a search is a middle's own probability, which knows little of whether the next lines
make sense behind it. The same model read from left to right, without a look ahead, says how
probable a middle and these lines are together. Ways of one search differ too little to be judged
so; drawn middles do (docs/decisions/0022-what-follows-is-the-judge.md).

Owns when it is worth it, how middles are drawn, and which one wins.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import torch

from midfill_engine.fill.around import Around
from midfill_engine.fill.canvas import Canvas
from midfill_engine.fill.ending import Ending, log
from midfill_engine.fill.run import Run
from midfill_engine.fill.search import Search
from midfill_engine.fill.steps import Halted, Steps
from midfill_engine.hole import Placed
from midfill_engine.wire import FinishReason

#: The temperature at which middles are drawn.
TEMPERATURE = 0.6
#: Lines behind the gap that judge.
LINES = 3
#: By how many nats another has to be more probable together with these lines.
MARGIN = 1.0
#: A middle that is so probable by itself is not doubted.
SURE = 0.6
#: Who asks for fewer tokens wants them at once.
LONG = 32
#: Rows that are read at a time: hardly longer than a step with masks inside its draft.
READ = 64

#: A middle and how it ended.
Drawn = tuple[Canvas, FinishReason]


def draw(search: Search, seed: int, *, most: int, allow_empty: bool) -> Steps[Drawn | None]:
    """Draw a middle, as if from its first token on; ``None`` if it is the one that was found.

    What is drawn as that one says is not decoded again: its rows are known, and what is drawn
    depends on the place alone.

    Parameters
    ----------
    search
        One that is over.
    most
        Tokens that it may have.

    Raises
    ------
    Halted
        Stopped or out of time.
    """
    sampler = replace(search.run.sampler, temperature=TEMPERATURE, seed=seed)
    run, found = replace(search.run, sampler=sampler, nfe=0), search.canvas.placed
    rows = torch.stack(search.trail.rows[: len(found) + 1])
    stats = run.first_stats(rows, allow_empty=allow_empty, at=range(len(rows)))
    tokens = [placed.token for placed in found]
    same = [*tokens, run.sampler.end]
    place = next((n for n, token in enumerate(stats.tokens) if token != same[n]), None)
    if place is None:
        return None
    room = min(most, 2 * len(found) + 16)
    canvas = Canvas(search.canvas.tokenizer, room, search.canvas.stop, ending=Ending(early=False))
    canvas.write(zip(found[:place], stats.end, strict=False))
    if stats.tokens[place] == run.sampler.end:
        canvas.ended = True
        return canvas, "end"
    other = Placed(stats.tokens[place], stats.probability[place])
    canvas.write([(other, stats.end[place])])
    if canvas.reached_stop():
        return canvas, "stop"
    try:
        reason = yield from search.go_on(run, canvas, tokens, earlier=tokens)
    finally:
        search.run.nfe += run.nfe
    return canvas, reason


@dataclass(frozen=True, slots=True)
class Judge:
    """What says how probable middles are together with what follows.

    Attributes
    ----------
    context
        Token ids up to the cursor, which the cache holds.
    follows
        The lines that judge, see `following`.
    """

    run: Run
    around: Around
    encode: Callable[[str], list[int]]
    context: list[int]
    follows: str

    def choose(
        self, canvas: Canvas, others: Iterable[Drawn], reason: FinishReason
    ) -> Steps[FinishReason]:
        """Put on ``canvas``, which holds the best middle so far, a better one of ``others``.

        One that has more faults is none, nor is one without an end.

        Raises
        ------
        Halted
            Stopped. Out of time, it is the best so far.
        """
        first = canvas.text_of(canvas.placed)
        faults = self.around.faults(first)
        known = {first}
        top, least = -math.inf, MARGIN
        for other, ends in others:
            text = other.text_of(other.placed)
            if ends not in ("end", "stop") or text in known or not text.strip():
                continue
            known.add(text)
            if self.around.repeats(text) or self.around.faults(text) > faults:
                continue
            try:
                if top == -math.inf:
                    top = yield from self._score(first)
                score = yield from self._score(text)
            except Halted as halt:
                if halt.reason != "deadline":
                    raise
                break
            if score > top + least:
                top, least, reason = score, 0.0, ends
                canvas.placed, canvas.ended = other.placed, other.ended
        return reason

    def _score(self, text: str) -> Steps[float]:
        """The logarithm of the probability of ``text`` and what follows, behind the context."""
        said = self.encode(text + self.follows)
        start = self.run.cache.keep(self.context)
        ids = [*self.context, *said]
        total = 0.0
        for at in range(start, len(ids) - 1, READ):
            rows = ids[at : min(at + READ, len(ids) - 1)]
            if self.run.last_chance(len(rows)):
                raise Halted("deadline")
            hidden = yield from self.run.step(rows)
            first = max(len(self.context) - 1 - at, 0)  # the row that says the middle's first token
            asked = ids[at + 1 + first : at + 1 + len(rows)]
            if asked:
                total += sum(map(log, self.run.stats(hidden[first:], asked=asked).asked))
        return total


def following(suffix: str) -> str:
    """The lines of ``suffix`` that judge, the rest of the cursor's first; empty if blank."""
    lines = "".join(suffix.splitlines(keepends=True)[:LINES])
    return lines if lines.strip() else ""


def doubtful(canvas: Canvas) -> bool:
    """Whether the middle on ``canvas`` is so improbable that another may be right."""
    return sum(log(one.confidence) for one in canvas.placed) < log(SURE)
