"""Text that only grows, out of drafts that may change."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midfill_engine.api.streams import SteadyText
from midfill_engine.wire import Draft, Token


def draft(*tokens: tuple[str, bool]) -> Draft:
    return Draft(1, tuple(Token(text, 0.5, committed) for text, committed in tokens))


def test_sends_what_is_committed_without_a_gap():
    steady = SteadyText()
    assert steady.grown(draft(("a", True), ("b", False), ("c", True))) == "a"
    assert steady.grown(draft(("a", True), ("B", True), ("c", True))) == "Bc"
    assert steady.rest("aBcd") == "d"


@pytest.mark.parametrize("stop", [("END",), ("EN", "END")])
def test_never_sends_the_beginning_of_a_stop_string(stop):
    steady = SteadyText(stop)
    sent = steady.grown(draft(("ab", True), ("E", True)))
    sent += steady.grown(draft(("ab", True), ("E", True), ("ND", True), ("more", True)))
    assert sent == "ab"
    assert steady.rest("ab") == ""


def test_half_a_character_waits():
    steady = SteadyText()
    assert steady.grown(draft(("x", True), ("\ufffd", True))) == "x"
    assert steady.grown(draft(("x", True), ("é", True))) == "é"


def test_a_middle_that_does_not_continue_what_was_sent_adds_nothing():
    steady = SteadyText()
    steady.grown(draft(("abc", True)))
    assert steady.rest("ab") == ""
    assert steady.rest("xyz") == ""


@given(
    st.lists(st.lists(st.tuples(st.text("ab", max_size=2), st.booleans()), max_size=4), max_size=4),
    st.text("ab", max_size=6),
)
def test_what_is_sent_is_never_taken_back(drafts, final):
    steady, sent = SteadyText(), ""
    for tokens in drafts:
        sent += steady.grown(draft(*tokens))
    rest = steady.rest(final)
    assert not rest or sent + rest == final
