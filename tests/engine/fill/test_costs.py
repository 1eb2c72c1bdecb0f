"""Expectations of forwards: quick to trust, never stuck."""

from __future__ import annotations

from midfill_engine.fill.costs import REMEMBERED, Costs


def test_the_least_recent_cost_is_expected():
    costs = Costs()
    assert costs.expected(32, causal=False) == 0
    for ms in (50, 9000, 40):
        costs.add(32, ms, causal=False)
    assert costs.expected(33, causal=False) == 40
    assert costs.expected(32, causal=True) == 0
    assert costs.expected(1, causal=False) == 0


def test_an_expectation_that_forbids_forwards_fades():
    costs = Costs()
    for _ in range(2 * REMEMBERED):
        costs.add(32, 9000, causal=False)
    refusals = 0
    while costs.expected(32, causal=False) > 100:
        costs.doubt(32, causal=False)
        refusals += 1
    assert refusals == REMEMBERED
