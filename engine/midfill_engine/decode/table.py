"""Names of decoding strategies to the strategies and their parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from midfill_engine.decode.rows import RowStats
from midfill_engine.decode.threshold import Threshold

#: ``(stats of a block's rows, open rows) -> rows to commit``: pure, and never empty.
DecodeStrategy = Callable[[RowStats, Sequence[int]], list[int]]

#: Diffusion presets; the other names of `wire.STRATEGIES` are modes of their own.
PRESETS: dict[str, DecodeStrategy] = {
    "quality": Threshold(0.95),
    "balanced": Threshold(0.9),
    "fast": Threshold(0.7),
}
