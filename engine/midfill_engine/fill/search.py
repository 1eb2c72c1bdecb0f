"""The most probable middle, looked for beside the greedy one.

Greedy decoding takes the most probable token each time, and so misses a middle that begins less
probably and goes on more surely. Other ways branch off where another token is probable enough that
what follows it could make up for it; the most promising is followed first, and given up once it
cannot win any more. Where a middle is sure there are none, and nothing is computed. (Uniform-cost
search with the best complete hypothesis as bound: Stahlberg and Byrne, arXiv 1908.10090.)

Owns which other ways are followed, and which middle wins, or that nothing is missing. What it finds
does not depend on what forwards cost, but for the deadline.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple

import torch

from midfill_engine.fill.around import Around
from midfill_engine.fill.canvas import Canvas
from midfill_engine.fill.causal import Trail, causal
from midfill_engine.fill.ending import Ending, log, starts_line
from midfill_engine.fill.run import Run
from midfill_engine.fill.steps import Halted, Steps
from midfill_engine.hole import Placed
from midfill_engine.models.family import DiffusionSpec
from midfill_engine.wire import FinishReason

#: Other tokens of a row that are looked at.
OTHERS = 4
#: Scores are logarithms of probabilities over this power of the length, the end included: the sum
#: alone prefers what is short (Wu et al., arXiv 1609.08144). Chosen on held-out cuts, as the next.
LENGTH = 0.6
#: Tokens of the longest greedy middle that is worth it: longer ones seldom became any better.
LONGEST = 24
#: What a fault costs a score (`fill.around`), and how many times as many tokens other ways may have
#: while the best middle has one.
FAULT, FAULTY = 1.5, 3
#: As how many tokens one other way counts at least: each takes a forward.
LEAST = 4
#: From this probability of an end at once on, nothing is missing. Below one half, since greedy
#: decoding writes where nothing has to be written far more often than it is silent where something
#: has (chosen on held-out cuts, with their middle in place and without). Far below it where the
#: middle begins with a new line: then what stands before the cursor is finished.
NOTHING, NO_MORE = 0.3, 0.1
#: Tokens of a middle that draft what may follow another token in it.
REDRAFTED = 16


class Found(NamedTuple):
    """A middle that was decoded, and its score. One that says nothing new loses to any other.

    Attributes
    ----------
    faults
        How many it has (`fill.around`).
    written
        Tokens that had to be decoded, of which some may have been cut back.
    """

    placed: list[Placed]
    trail: Trail
    reason: FinishReason
    ended: bool
    score: float
    faults: int
    written: int


class Way(NamedTuple):
    """Another token at a place of a middle; ``hope`` is the score if all behind it were certain."""

    hope: float
    middle: Found
    place: int
    other: Placed


@dataclass(slots=True)
class Search:
    """A search for one gap.

    Attributes
    ----------
    prompt
        Token ids of the context.
    before
        The last tokens of the prefix.
    width
        Masks that draft.
    trail
        Once it is over, that of the middle on the canvas.
    """

    run: Run
    canvas: Canvas
    spec: DiffusionSpec
    prompt: list[int]
    before: list[int]
    width: int
    around: Around
    trail: Trail = field(default_factory=Trail, init=False)
    _ways: list[tuple[float, int, Way]] = field(default_factory=list, init=False)
    _order: count[int] = field(default_factory=count, init=False)

    def improve(self, trail: Trail, reason: FinishReason, tokens: int) -> Steps[FinishReason]:
        """Put on the canvas, which holds the greedy middle, the best that is found.

        Parameters
        ----------
        tokens
            How many tokens other ways may have, all of them together; `FAULTY` times as many while
            the best middle has a fault.

        Raises
        ------
        Halted
            Stopped. Out of time, it is the best so far.
        """
        text, self.trail = self.canvas.text_of(self.canvas.placed), trail
        # The end's probability is 0 where a middle must not be empty.
        if trail.ends[0] > (NO_MORE if starts_line(text) else NOTHING):
            self.canvas.placed, self.canvas.ended = [], True
            return "end"
        if len(self.canvas.placed) > LONGEST or self.around.repeats(text):
            return reason
        first = self._found(self.canvas, trail, reason)
        best, spent = self._see(first, first, 0), 0
        while self._ways and -self._ways[0][0] > best.score:
            left = tokens * (FAULTY if best.faults else 1) - spent
            if left <= 0:
                break
            way = heapq.heappop(self._ways)[-1]
            try:
                new = yield from self._follow(way, best.score, left)
            except Halted as halt:
                if halt.reason != "deadline":
                    raise
                break
            spent += max(new.written - way.place, LEAST)
            best = self._see(new, best, way.place + 1)
        self.canvas.placed, self.canvas.ended = best.placed, best.ended
        self.trail = best.trail
        return best.reason

    def _see(self, new: Found, best: Found, start: int) -> Found:
        """The best of ``best``, ``new`` and what ends before it; takes note of other ways off it.

        Of ``new`` the first ``start`` tokens have been seen.
        """
        better = self._shorter(new, max(best, new, key=lambda found: found.score), start)
        if better is not best or new is best:  # ways off one that has lost seldom win
            for way in self._others(new, better.score, start):
                heapq.heappush(self._ways, (-way.hope, next(self._order), way))
        return better

    def _follow(self, way: Way, least: float, most: int) -> Steps[Found]:
        """Decode ``way`` greedily, up to ``most`` tokens, until it is below ``least`` or ends."""
        place, middle = way.place, way.middle
        tokens = [placed.token for placed in middle.placed]
        room = min(self.canvas.max_tokens, place + most)
        trail = middle.trail.front(place + 1)
        ending = Ending(least=least * divisor(len(tokens)))
        canvas = Canvas(self.canvas.tokenizer, room, self.canvas.stop, ending=ending)
        canvas.write(zip([*middle.placed[:place], way.other], trail.ends, strict=True))
        reason = yield from self.go_on(self.run, canvas, tokens, trail=trail)
        return self._found(canvas, trail, reason)

    def go_on(
        self,
        run: Run,
        canvas: Canvas,
        tokens: list[int],
        *,
        earlier: Sequence[int] = (),
        trail: Trail | None = None,
    ) -> Steps[FinishReason]:
        """Write on behind what stands on ``canvas``, in the stead of ``tokens`` from there on.

        What ``tokens`` say behind is the first draft.

        Parameters
        ----------
        earlier, trail
            As `causal` takes them.

        Raises
        ------
        Halted
            Stopped or out of time.
        """
        written = [placed.token for placed in canvas.placed]
        ids = [*self.prompt, *written]
        draft = tokens[len(written) :][: max(0, min(canvas.room - 1, REDRAFTED))]
        start = run.cache.keep(ids)
        rows, masks = [*ids[start:], *draft], [self.spec.mask_id] * self.width
        if run.last_chance(len(rows) + len(masks)):
            raise Halted("deadline")
        hidden = yield from run.step(rows, masks)
        reason = yield from causal(
            run,
            canvas,
            hidden[len(ids) - 1 - start :],
            draft,
            self.spec,
            before=self.before,
            earlier=earlier,
            width=self.width,
            trail=trail,
        )
        return reason

    def _found(self, canvas: Canvas, trail: Trail, reason: FinishReason) -> Found:
        """What stands on ``canvas``, decoded to its end for ``reason``."""
        placed = list(canvas.placed)
        total = sum(log(one.confidence) for one in placed)
        if canvas.ended:
            total += log(trail.ends[len(placed)])
        score, faults = self._score(placed, total)
        score = -math.inf if reason == "length" else score
        return Found(placed, trail, reason, canvas.ended, score, faults, canvas.ending.count)

    def _score(self, placed: list[Placed], total: float) -> tuple[float, int]:
        """The score of a middle of the probability's logarithm ``total``, and its faults."""
        text = self.canvas.text_of(placed)
        faults = self.around.faults(text)
        if not text.strip() or self.around.repeats(text):
            return -math.inf, faults
        return total / divisor(len(placed)) - FAULT * faults, faults

    def _shorter(self, found: Found, best: Found, start: int) -> Found:
        """``best``, or a better one that ends before ``found`` does, behind its first ``start``."""
        total = 0.0
        for n, placed in enumerate(found.placed):
            with_end = total + log(found.trail.ends[n])
            total += log(placed.confidence)
            if n < start or with_end / divisor(n) <= best.score:
                continue
            score, faults = self._score(found.placed[:n], with_end)
            if score > best.score:
                ends = found._replace(placed=found.placed[:n], reason="end", ended=True)
                best = ends._replace(score=score, faults=faults)
        return best

    def _others(self, found: Found, least: float, start: int) -> list[Way]:
        """Ways off ``found`` behind its first ``start`` tokens that could be above ``least``."""
        by, total = divisor(len(found.placed)), 0.0
        places: list[tuple[int, float]] = []
        for n in range(min(len(found.trail.rows), len(found.placed) + 1)):
            said = found.placed[n].confidence if n < len(found.placed) else found.trail.ends[n]
            if n >= start and (total + log(1 - said)) / by > least:
                places.append((n, total))
            total += log(said)
        if not places:
            return []
        end = self.run.sampler.end
        logits = self.run.decoder.logits(torch.stack([found.trail.rows[n] for n, _ in places]))
        logits = logits + self.run.sampler.bias
        if places[0][0] == 0 and not found.trail.ends[0]:
            logits[0, end] = -torch.inf  # it was forbidden
        top = logits.topk(OTHERS + 2)
        logarithms = top.values - logits.logsumexp(-1, keepdim=True)
        table = torch.stack((top.indices.double(), logarithms.double()), -1).tolist()
        ways = []
        for (n, before), row in zip(places, table, strict=True):
            written = found.placed[n].token if n < len(found.placed) else end
            for token, logarithm in row:
                hope = (before + logarithm) / by
                if token not in (written, end) and hope > least:
                    other = Placed(int(token), math.exp(logarithm))
                    ways.append(Way(hope, found, n, other))
        return ways


def divisor(tokens: int) -> float:
    """By what the logarithm of a middle's probability is divided, for its length."""
    return float((tokens + 1) ** LENGTH)
