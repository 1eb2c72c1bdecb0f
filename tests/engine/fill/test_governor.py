"""The width of a drafting block follows what rows cost."""

from __future__ import annotations

import pytest

from midfill_engine.fill.costs import Costs
from midfill_engine.fill.governor import (
    BRANCH,
    FIRST_CHOICE,
    MOST_ROWS,
    WIDEST,
    branches,
    draft_width,
    tokens,
)

WIDTHS = tuple(range(4, 33))


def costs(forward: float, row: float) -> Costs:
    known = Costs()
    for rows in (12, 20, 32):
        for noise in (0, 7):
            known.add(rows, forward + row * rows + noise, "causal" if rows == 32 else "open")
    return known


def test_without_measurements_the_device_decides():
    assert draft_width(Costs(), WIDTHS, "cpu") == FIRST_CHOICE["cpu"]
    assert draft_width(Costs(), WIDTHS, "cuda") == FIRST_CHOICE["cuda"]
    assert draft_width(Costs(), (4,), "cuda") == 4
    assert draft_width(Costs(), (32,), "cpu") == 32


def test_the_dearer_a_row_the_narrower_the_block():
    free = draft_width(costs(forward=20, row=0), WIDTHS, "cpu")
    usual = draft_width(costs(forward=30, row=2), WIDTHS, "cpu")
    dear = draft_width(costs(forward=1, row=10), WIDTHS, "cpu")
    assert free == WIDEST > usual > dear == 4


def test_a_wider_draft_is_worth_more_but_less_and_less():
    gains = [tokens(width + 1) - tokens(width) for width in range(1, 16)]
    assert gains == sorted(gains, reverse=True)
    assert gains[-1] > 0


def test_masks_stand_where_a_refusal_is_worth_their_rows():
    draft = [0.99, 0.6, 0.97, 0.5]

    def places(known: Costs) -> list[int]:
        return branches(known, draft, 8, "cpu")

    assert places(Costs()) == []
    assert places(costs(forward=30, row=0)) == [0, 1, 2, 3]
    assert places(costs(forward=30, row=1)) == [1, 3]
    assert places(costs(forward=30, row=9)) == []
    assert branches(costs(forward=30, row=1), [1.0, 1.0], 8, "cpu") == []


@pytest.mark.parametrize(("device", "most"), [("cpu", 28), ("cuda", 64)])
def test_masks_stand_in_as_many_rows_as_the_device_runs_well(device, most):
    free = costs(forward=30, row=0)

    def places(rows: int) -> list[int]:
        return branches(free, [0.99, 0.6, 0.97, 0.5], rows, device)

    assert places(most - 4 * BRANCH) == [0, 1, 2, 3]
    assert places(most - 2 * BRANCH) == [1, 3]
    assert places(most - 2 * BRANCH + 1) == places(most - BRANCH) == [1]
    assert places(most - BRANCH + 1) == places(most + 9) == []


def test_a_gpu_runs_as_many_rows_as_its_kernels_do():
    pytest.importorskip("triton")
    from midfill_engine.models import product

    assert MOST_ROWS["cuda"] == product.MOST_ROWS


def test_costs_of_two_sizes_are_a_line():
    known = Costs()
    assert known.line() is None
    known.add(10, 30, "open")
    known.add(10, 40, "open")
    assert known.line() is None
    known.add(30, 70, "causal")
    assert known.line() == pytest.approx((10, 2))
