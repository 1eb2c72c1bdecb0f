"""From the name in a request to a decoding strategy.

``balanced`` and the other presets are what people use; ``threshold:0.8`` and the like name one
strategy with its parameter, for measuring.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from midfill_engine.decode.confidence import Factor, FixedSteps, LocalLeap, Threshold
from midfill_engine.decode.entropy import EntropyBound
from midfill_engine.decode.margin import Margin
from midfill_engine.decode.rows import RowStats
from midfill_engine.wire import InvalidRequest

#: ``(stats of a block's rows, open rows) -> rows to commit``: pure, and never empty.
DecodeStrategy = Callable[[RowStats, Sequence[int]], list[int]]

PRESETS: dict[str, DecodeStrategy] = {
    "quality": Threshold(0.95),
    "balanced": Threshold(0.9),
    "fast": Threshold(0.7),
}

_WITH_PARAMETER: dict[str, Callable[[float], DecodeStrategy]] = {
    "threshold": Threshold,
    "factor": Factor,
    "local-leap": lambda bar: LocalLeap(threshold=bar),
    "entropy": EntropyBound,
    "margin": Margin,
    "steps": lambda n: FixedSteps(int(n)),
}


def strategy_of(name: str) -> DecodeStrategy:
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
