"""How wide and where to draft, and how many rows to run together: from what forwards cost here.

Owns these choices; what forwards cost is measured in `fill.costs`. Knows neither models nor
requests.
"""

from __future__ import annotations

from collections.abc import Sequence

from midfill_engine.fill.costs import Costs

#: Masks of a drafting block while costs are not known yet.
FIRST_CHOICE = {"cpu": 8, "cuda": 16}
#: The widest block that is worth a thought: drafts are refused before they get so long.
WIDEST = 16
#: Causal rows of a usual step: the newest token and the draft that is verified.
VERIFIED = 4
#: How often the next token of a draft is right, given that those before it are: a guess that fits
#: what held-out cuts gave (docs/decisions/0006-presets-verify-what-they-draft.md).
ACCEPTED = 0.7
#: Masks of a block that drafts behind a place where a draft may be refused.
BRANCH = 4
#: What such a block saves where the draft is refused there, in forwards: it then stands where the
#: next forward would have to draft first (docs/decisions/0011-masks-inside-a-draft.md).
SAVED = 0.6
#: Rows of a forward with such blocks. On a CPU the line that costs are taken for bends upwards with
#: more; on a GPU more fit in no captured graph (`models.product.MOST_ROWS`).
MOST_ROWS = {"cpu": 28, "cuda": 64}
#: Rows that join the forward of another request while costs are not known yet.
JOINING = 16


def draft_width(costs: Costs, widths: Sequence[int], device: str) -> int:
    """The width of ``widths`` that writes most tokens a millisecond.

    Parameters
    ----------
    widths
        Widths that the checkpoint was trained with, ascending.
    device
        ``cpu`` or ``cuda``.
    """
    some = [width for width in widths if width <= WIDEST] or [widths[0]]
    line = costs.line()
    if line is None:
        return next((w for w in some if w >= FIRST_CHOICE[device]), some[-1])
    forward, row = line

    def tokens_a_ms(width: int) -> float:
        return tokens(width) / max(forward + row * (width + VERIFIED), 1e-6)

    return max(some, key=tokens_a_ms)


def tokens(width: int) -> float:
    """Tokens to expect of a forward behind a draft of ``width`` masks."""
    return sum(ACCEPTED**n for n in range(width))


def branches(costs: Costs, draft: Sequence[float], rows: int, device: str) -> list[int]:
    """Before which tokens of a draft masks should stand as well, in case they are refused.

    Parameters
    ----------
    draft
        How probable each token is, if those before it are right.
    rows
        Rows that the forward has without.
    device
        ``cpu`` or ``cuda``.
    """
    line = costs.line()
    if line is None:
        return []
    forward, row = line
    least = BRANCH * row / max(SAVED * forward, 1e-6)
    refused, reached = [], 1.0
    for probability in draft:
        refused.append(reached * (1 - probability))
        reached *= probability
    places = sorted(range(len(draft)), key=lambda place: -refused[place])
    worth = [place for place in places if refused[place] > least]
    return sorted(worth[: max(MOST_ROWS[device] - rows, 0) // BRANCH])


def joining_rows(costs: Costs) -> int:
    """How many rows of others should at most join the forward of a request.

    As many as cost what the forward costs without any: with more, those who join would save little
    and make each other wait for all their rows.
    """
    line = costs.line()
    if line is None:
        return JOINING
    forward, row = line
    return int(forward / max(row, 1e-6))
