"""Where the rows of a lane stand in the text, and which of one another they see.

The one place that knows causal rows, the open block and branches apart: `models.decoder` makes its
masks of what this says, `models.kernels` its table. Knows neither caches nor devices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Branch(NamedTuple):
    """An open block that stands behind a place inside a lane, in the stead of what is there.

    Attributes
    ----------
    behind
        How many of the lane's rows stand before it.
    rows
        Its own; they see one another, those before it, and the cache.
    """

    behind: int
    rows: int


def sight(rows: int, open_rows: int = 0, branches: Sequence[Branch] = ()) -> NDArray[np.int32]:
    """Positions of ``rows`` rows and what they see; see `Decoder.forward` for their kinds.

    Returns
    -------
    NDArray[np.int32]
        ``(rows, 4)``: ``position, upto, low, high``, counted from the first row.
        A row sees the rows ``[0, upto)`` and ``[low, high)``, and all before the first one.
    """
    order = np.arange(rows, dtype=np.int32)
    seen = np.zeros((rows, 4), np.int32)
    seen[:, 0], seen[:, 1] = order, order + 1
    first = rows - sum(branch.rows for branch in branches)
    seen[first - open_rows : first, 1] = first
    for branch in branches:
        own = slice(first, first + branch.rows)
        seen[own, 0] = branch.behind + order[: branch.rows]
        seen[own, 1:] = branch.behind, own.start, own.stop
        first = own.stop
    return seen
