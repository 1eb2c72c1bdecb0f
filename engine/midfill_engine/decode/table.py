"""From the name in a request to a way of decoding: a denoising strategy, or verified drafts.

``balanced`` and the other presets are what people use; ``threshold:0.8`` and the like name one
strategy with its parameter, for measuring.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from midfill_engine.decode.confidence import Factor, FixedSteps, LocalLeap, Threshold
from midfill_engine.decode.entropy import EntropyBound
from midfill_engine.decode.margin import Margin
from midfill_engine.decode.rows import RowStats
from midfill_engine.wire import InvalidRequest

#: ``(stats of a block's rows, open rows) -> rows to commit``: pure, and never empty.
DecodeStrategy = Callable[[RowStats, Sequence[int]], list[int]]


@dataclass(frozen=True, slots=True)
class Verify:
    """The causal reading: what causal rows write, or let pass of a draft.

    Attributes
    ----------
    drafts
        Whether masks draft what the next forward verifies; else one token a forward is written.
    tolerance
        A drafted token passes that is at least so probable, as a share of the most probable one.
        At 1 greedy text is the autoregressive one.
    search
        Tokens that other ways than the greedy one may have, in search of a more probable middle;
        0 searches none.
    drawn
        Middles that are drawn besides, to be judged by what follows.
    """

    drafts: bool = True
    tolerance: float = 1.0
    search: int = 0
    drawn: int = 0


PRESETS: dict[str, DecodeStrategy | Verify] = {
    "quality": Verify(search=12, drawn=3),
    "balanced": Verify(),
    "fast": Verify(tolerance=0.3),
    "self-speculative": Verify(),
    "autoregressive": Verify(drafts=False),
}

_WITH_PARAMETER: dict[str, Callable[[float], DecodeStrategy | Verify]] = {
    "search": lambda n: Verify(search=int(n)),
    "tolerance": lambda share: Verify(tolerance=share),
    "threshold": Threshold,
    "factor": Factor,
    "local-leap": lambda bar: LocalLeap(threshold=bar),
    "entropy": EntropyBound,
    "margin": Margin,
    "steps": lambda n: FixedSteps(int(n)),
}


def strategy_of(name: str) -> DecodeStrategy | Verify:
    """The strategy called ``name``: a preset, or ``strategy:number``.

    Raises
    ------
    InvalidRequest
        There is none of that name, or its parameter is not a number.
    """
    if name in PRESETS:
        return PRESETS[name]
    kind, _, parameter = name.partition(":")
    try:
        return _WITH_PARAMETER[kind](float(parameter))
    except (KeyError, ValueError, OverflowError):
        known = [*PRESETS, *(f"{kind}:NUMBER" for kind in _WITH_PARAMETER)]
        raise InvalidRequest(
            f"There is no strategy {name!r}.", f"Use one of {', '.join(known)}."
        ) from None
