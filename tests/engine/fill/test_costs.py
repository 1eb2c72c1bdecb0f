"""Expectations of forwards: quick to trust, never stuck."""

from __future__ import annotations

from midfill_engine.fill.costs import REMEMBERED, Costs


def test_the_least_recent_cost_is_expected():
    costs = Costs()
    assert costs.expected(32, "open") == 0
    for ms in (50, 9000, 40):
        costs.add(32, ms, "open")
    assert costs.expected(33, "open") == 40
    assert costs.expected(32, "causal") == 0
    assert costs.expected(1, "open") == 0


def test_an_expectation_that_forbids_forwards_fades():
    costs = Costs()
    for _ in range(2 * REMEMBERED):
        costs.add(32, 9000, "open")
    refusals = 0
    while costs.expected(32, "open") > 100:
        costs.doubt(32, "open")
        refusals += 1
    assert refusals == REMEMBERED


def test_shared_forwards_say_nothing_of_what_a_row_costs_alone():
    costs = Costs()
    for rows in (1, 16):
        costs.add(rows, 10.0 + rows, "open")
    line = costs.line()
    costs.add(64, 500.0, "shared")
    assert costs.line() == line
    assert costs.expected(64, "shared") == 500
    assert costs.expected(64, "open") == 0
