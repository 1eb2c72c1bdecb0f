"""Causal readings of the same weights: autoregressive, self-speculative, and checking a draft.

Owns decoding by causal rows. Each forward verifies the present draft by causal rows and, where a
block of masks stands behind it, drafts what may follow: verifying and drafting cost one forward
together, and greedy text equals the autoregressive one (drafts of the same weights verified by
their causal rows: Nemotron-Labs-Diffusion, arXiv 2607.05722; drafted in the verifying forward:
TiDAR, arXiv 2511.08923).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from torch import Tensor

from midfill_engine.decode.rows import RowStats
from midfill_engine.fill.canvas import Canvas
from midfill_engine.fill.run import Run
from midfill_engine.fill.steps import Steps
from midfill_engine.hole import Placed
from midfill_engine.models.family import DiffusionSpec
from midfill_engine.wire import FinishReason

#: A draft goes on while all of it together is at least so probable: what is behind a refused token
#: is lost, and so is the block drafted behind it.
LIKELY = 0.1
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

    Raises
    ------
    Halted
        Stopped or out of time; ``canvas`` holds what was settled so far.
    """
    block = [spec.mask_id] * width
    while True:
        if canvas.placed:
            stats = run.stats(hidden, asked=draft)
        else:
            stats = run.first_stats(hidden, allow_empty=allow_empty, asked=draft)
        said = verify(stats, draft, tolerance)
        run.drop(len(draft) - len(said.agreed))
        canvas.write(zip(said.agreed, stats.end, strict=False))
        stopped = canvas.reached_stop()
        over = stopped or canvas.ending.decided
        canvas.ended = said.follower.token == spec.eom_id and not over
        guesses: list[Placed] = []
        if canvas.room and not canvas.ended and not over:
            canvas.write([(said.follower, stats.end[len(said.agreed)])])
            stopped = canvas.reached_stop()
            guesses = _guesses(stats, len(draft) + 1, spec) if said.whole else []
        canvas.report(guesses[: canvas.room])
        if canvas.ended:
            return "end"
        if stopped:
            return "stop"
        if canvas.room == 0 or canvas.ending.decided:
            return canvas.cut_back()
        likely = _likely(guesses)
        draft = [guess.token for guess in likely]
        if width and not draft:
            place = [*before, *(placed.token for placed in canvas.placed)]
            draft = repeated(earlier, place)[:width] or repeated(run.cache.ids, place)[: width // 2]
        draft = draft[: canvas.room - 1]
        if run.last_chance(1 + len(draft) + width):
            # No time to verify: what was likely as a whole is the best that there is.
            canvas.placed.extend(_likely(guesses, HURRIED)[: canvas.room])
            return "deadline"
        hidden = yield from run.step([said.follower.token, *draft], block)


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


def _guesses(stats: RowStats, start: int, spec: DiffusionSpec) -> list[Placed]:
    """What the masks from row ``start`` on guess behind the follower, up to their end marker.

    The first mask stands where the follower now is.
    """
    guesses = [
        Placed(*p)
        for p in zip(stats.tokens[start + 1 :], stats.probability[start + 1 :], strict=True)
    ]
    end = next((n for n, guess in enumerate(guesses) if guess.token == spec.eom_id), None)
    return guesses[:end]


def _likely(guesses: Sequence[Placed], least: float = LIKELY) -> list[Placed]:
    """The longest front of ``guesses`` that is at least so probable as a whole."""
    likely, together = [], 1.0
    for guess in guesses:
        together *= guess.confidence
        if together < least:
            break
        likely.append(guess)
    return likely
