"""Causal readings of the same weights: autoregressive, self-speculative, and checking a draft.

Owns decoding by causal rows. Each forward verifies the present draft by causal rows and, where a
block of masks stands behind it, drafts what may follow: verifying and drafting cost one forward
together, and greedy text equals the autoregressive one (drafts of the same weights verified by
their causal rows: Nemotron-Labs-Diffusion, arXiv 2607.05722; drafted in the verifying forward, for
each place where it may be refused: TiDAR, arXiv 2511.08923).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from torch import Tensor

from midfill_engine.decode.rows import RowStats
from midfill_engine.fill.canvas import Canvas
from midfill_engine.fill.governor import ACCEPTED, BRANCH, branches
from midfill_engine.fill.run import Run
from midfill_engine.fill.steps import Steps
from midfill_engine.hole import Placed
from midfill_engine.models.family import DiffusionSpec
from midfill_engine.wire import FinishReason

#: A draft goes on while all of it together is at least so probable: what is behind a refused token
#: is lost, and so is the block drafted behind it, unless another stands where it was refused.
LIKELY, LIKELY_WITH_BRANCHES = 0.1, 0.05
#: How many tokens before a place say whether another is like it.
FAR_BACK = 8
#: With no time to verify a draft, what is together at least this probable is taken as it stands.
HURRIED = 0.5


@dataclass(frozen=True, slots=True)
class Verified:
    """What the causal rows say of a draft.

    Attributes
    ----------
    agreed
        Tokens from the draft's front that the rows would write themselves.
    follower
        What they write behind these.
    whole
        Whether they agreed with all of it.
    """

    agreed: list[Placed]
    follower: Placed
    whole: bool


@dataclass(slots=True)
class Trail:
    """What the causal rows said where each token of a middle was written, and behind the last.

    Attributes
    ----------
    rows
        ``(hidden,)`` each: the row that predicted the token.
    ends
        How probable the end was in the token's stead.
    """

    rows: list[Tensor] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)

    def add(self, hidden: Tensor, ends: Sequence[float]) -> None:
        """Keep rows of ``hidden``, which the next forward may overwrite, as many as ``ends``."""
        self.rows.extend(hidden[: len(ends)].clone())
        self.ends.extend(ends)

    def front(self, length: int) -> Trail:
        """The first ``length`` of it."""
        return Trail(self.rows[:length], self.ends[:length])


def verify(stats: RowStats, draft: Sequence[int], tolerance: float = 1.0) -> Verified:
    """Compare ``draft`` with ``stats`` of the row before it and of its own rows.

    Parameters
    ----------
    stats
        With the draft asked for, where ``tolerance`` (see `decode.table.Verify`) is below 1.
    """
    agreed: list[Placed] = []
    for n, token in enumerate(draft):
        if token == stats.tokens[n]:
            agreed.append(Placed(token, stats.probability[n]))
        elif tolerance < 1 and stats.asked[n] >= tolerance * stats.probability[n]:
            agreed.append(Placed(token, stats.asked[n]))
        else:
            break
    count = len(agreed)
    follower = Placed(stats.tokens[count], stats.probability[count])
    return Verified(agreed, follower, count == len(draft))


def causal(
    run: Run,
    canvas: Canvas,
    hidden: Tensor,
    draft: Sequence[int],
    spec: DiffusionSpec,
    *,
    before: Sequence[int] = (),
    earlier: Sequence[int] = (),
    tolerance: float = 1.0,
    width: int = 0,
    allow_empty: bool = True,
    trail: Trail | None = None,
) -> Steps[FinishReason]:
    """Write what the causal rows say, from left to right.

    Parameters
    ----------
    hidden
        ``(1 + len(draft) + width, hidden)``: the row that predicts the middle's first token, the
        rows of ``draft``, and ``width`` masks behind it.
    before
        The last tokens of the prefix.
    earlier
        The middle that was written before the last keystroke. Where the masks have no draft, what
        of it may still be true is one, or what stands in the context behind a place like this.
    tolerance
        See `decode.table.Verify`.
    width
        Masks of the block that drafts; 0 drafts nothing and writes one token a forward.
    trail
        Takes what the rows say.

    Raises
    ------
    Halted
        Stopped or out of time; ``canvas`` holds what was settled so far.
    """
    block = [spec.mask_id] * width
    branch = [spec.mask_id] * BRANCH
    device = run.decoder.device.type
    branching = bool(width) and run.decoder.branching
    places: list[int] = []
    while True:
        # Of several blocks one at most is looked at, once it is known which.
        read = hidden[: 1 + len(draft)] if places or run.chains else hidden
        first = len(canvas.placed)
        # Behind the draft a mask stands for what the draft's last row says, too.
        at = [first + n - (n > len(draft)) for n in range(len(read))]
        if canvas.placed:
            stats = run.stats(read, asked=draft, at=at)
        else:
            stats = run.first_stats(read, allow_empty=allow_empty, asked=draft, at=at)
        said = verify(stats, draft, tolerance)
        _note(trail, hidden, stats.end[: len(said.agreed) + 1])
        run.drop(len(draft) - len(said.agreed))
        canvas.write(zip(said.agreed, stats.end, strict=False))
        stopped = canvas.reached_stop()
        over = stopped or canvas.ending.decided
        canvas.ended = said.follower.token == spec.eom_id and not over
        guesses: list[Placed] = []
        if canvas.room and not canvas.ended and not over:
            canvas.write([(said.follower, stats.end[len(said.agreed)])])
            stopped = canvas.reached_stop()
            masks = masks_behind(said, len(draft), width, places)
            follower = (said.follower.token, first + len(said.agreed))
            guesses = _guesses(run, hidden, stats, masks, follower)
        canvas.report(guesses[: canvas.room])
        if canvas.ended:
            return "end"
        if stopped:
            return "stop"
        if canvas.room == 0 or canvas.ending.decided:
            return canvas.cut_back()
        likely = _likely(guesses, LIKELY_WITH_BRANCHES if branching else LIKELY)
        draft = [guess.token for guess in likely][: canvas.room - 1]
        chances = [guess.confidence for guess in likely]
        if width and not likely:
            place = [*before, *(placed.token for placed in canvas.placed)]
            draft = _copied(earlier, run.cache.ids, place, width)[: canvas.room - 1]
            chances = [ACCEPTED] * len(draft)
        rows = 1 + len(draft) + width
        chances = chances[: len(draft)]
        places = branches(run.costs, chances, rows, device) if branching else []
        if places and run.last_chance(rows + len(places) * BRANCH):
            places = []
        if run.last_chance(rows):
            # No time to verify: what was likely as a whole is the best that there is.
            canvas.placed.extend(_likely(guesses, HURRIED)[: canvas.room])
            return "deadline"
        causal_rows = [said.follower.token, *draft]
        hidden = yield from run.step(causal_rows, block, [1 + place for place in places], branch)


def _note(trail: Trail | None, hidden: Tensor, ends: Sequence[float]) -> None:
    if trail is not None:
        trail.add(hidden, ends)


def repeated(written: Sequence[int], place: Sequence[int]) -> list[int]:
    """What followed in ``written`` where it went as it goes at the end of ``place``.

    That is where most of the last tokens agree: two of them, or the last one if it stands there
    once only. Of several such places it is the last. (Prompt lookup: Saxena 2023.)
    """
    if not place:
        return []
    last = list(place[: -FAR_BACK - 1 : -1])

    def agreeing(end: int) -> int:
        back = zip(reversed(written[max(end - FAR_BACK, 0) : end]), last, strict=False)
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], back))

    ends = [n for n, token in enumerate(written, 1) if token == place[-1]]
    best = max(reversed(ends), key=agreeing, default=0)
    if not best or (len(ends) > 1 and agreeing(best) < 2):
        return []
    return list(written[best:])


def _copied(
    earlier: Sequence[int], context: Sequence[int], place: Sequence[int], width: int
) -> list[int]:
    """A draft for where masks have none: from the middle before, else from the context."""
    return repeated(earlier, place)[:width] or repeated(context, place)[: width // 2]


def masks_behind(said: Verified, drafted: int, width: int, places: Sequence[int]) -> slice:
    """The rows of the masks that stand behind what was agreed; none where none stand there.

    Parameters
    ----------
    drafted, width, places
        Tokens of the draft, masks behind it, and the places in it that have masks of their own.
    """
    first = 1 + drafted
    if said.whole:
        return slice(first, first + width)
    if len(said.agreed) not in places:
        return slice(0)
    first += width + BRANCH * places.index(len(said.agreed))
    return slice(first, first + BRANCH)


def _guesses(
    run: Run, hidden: Tensor, stats: RowStats, masks: slice, follower: tuple[int, int]
) -> list[Placed]:
    """What ``masks`` of the rows ``hidden`` guess behind the follower, up to their end marker.

    The first mask stands where the ``follower`` now is, a token and its place in the middle.
    ``stats`` are of all rows or of those before the masks.
    """
    token, place = follower
    if run.chains:
        guesses = run.guesses(hidden[masks][1:], token)
    else:
        if masks.stop > len(stats.tokens):
            rows = hidden[masks]
            stats, masks = run.stats(rows, at=range(place, place + len(rows))), slice(None)
        pairs = zip(stats.tokens[masks], stats.probability[masks], strict=True)
        guesses = [Placed(*pair) for pair in pairs][1:]
    ends = (n for n, guess in enumerate(guesses) if guess.token == run.sampler.end)
    return guesses[: next(ends, None)]


def _likely(guesses: Sequence[Placed], least: float) -> list[Placed]:
    """The longest front of ``guesses`` that is at least so probable as a whole."""
    likely, together = [], 1.0
    for guess in guesses:
        together *= guess.confidence
        if together < least:
            break
        likely.append(guess)
    return likely
