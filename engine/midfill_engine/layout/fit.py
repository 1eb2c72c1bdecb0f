"""How long texts are cut to the context that a checkpoint was trained with, whatever the layout."""

from __future__ import annotations

#: Share of the context that the suffix may take.
SUFFIX_SHARE = 0.25
#: Tokens by which a too long prefix is cut at a time: typing then moves the cut seldom.
CUT_STEP = 256


def fit(ids: list[int], room: int) -> list[int]:
    """``ids`` without its front where it does not fit, cut in steps of `CUT_STEP`."""
    over = len(ids) - max(room, 1)
    return ids if over <= 0 else ids[min(-(-over // CUT_STEP) * CUT_STEP, len(ids) - 1) :]
