"""Text that only grows, out of drafts that may change."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midfill_engine.api.streams import SteadyText, begun
from midfill_engine.wire import Draft, FillRequest, Middle, Token


def draft(*tokens: tuple[str, bool]) -> Draft:
    return Draft(1, tuple(Token(text, 0.5, committed) for text, committed in tokens))


def steady_text(suffix: str = "", **fields: object) -> SteadyText:
    return SteadyText(FillRequest("", suffix, **fields))


def last(steady: SteadyText, text: str) -> tuple[str, str]:
    middle = steady.last(Middle(text, (), 0.0, "end"))
    return middle.text, middle.finish_reason


def test_sends_what_is_committed_without_a_gap():
    steady = steady_text()
    assert steady.grown(draft(("a", True), ("b", False), ("c", True))) == "a"
    assert steady.grown(draft(("a", True), ("B", True), ("c", True))) == "Bc"
    assert last(steady, "aBcd") == ("d", "end")


@pytest.mark.parametrize("stop", [("END",), ("EN", "END")])
def test_never_sends_the_beginning_of_a_stop_string(stop):
    steady = steady_text(stop=stop)
    sent = steady.grown(draft(("ab", True), ("E", True)))
    sent += steady.grown(draft(("ab", True), ("E", True), ("ND", True), ("more", True)))
    assert sent == "ab"
    assert last(steady, "ab") == ("", "end")


def test_never_sends_the_line_that_follows():
    steady = steady_text("\n    return x\n")
    sent = steady.grown(draft(("y = 1", True), ("\n    ", True)))
    assert sent == "y = 1"
    sent += steady.grown(draft(("y = 1", True), ("\n    ", True), ("return", True)))
    assert sent == "y = 1"
    assert steady.grown(draft(("y = 1\n    return", True), ("ed", True))) == "\n    returned"


def test_half_a_character_waits():
    steady = steady_text()
    assert steady.grown(draft(("x", True), ("\ufffd", True))) == "x"
    assert steady.grown(draft(("x", True), ("é", True))) == "é"


@pytest.mark.parametrize("final", ["ab", "xyz"])
def test_a_middle_that_does_not_continue_what_was_sent_adds_nothing(final):
    steady = steady_text()
    steady.grown(draft(("abc", True)))
    assert last(steady, final) == ("", "length")


@given(st.text("ab", max_size=8), st.text("ab", min_size=1, max_size=4))
def test_what_has_begun_is_what_more_text_could_complete(text, stop):
    if stop not in text:
        held = begun(text, stop)
        assert text.endswith(stop[:held])
        assert not any(text.endswith(stop[:n]) for n in range(held + 1, len(stop)))


@given(
    st.lists(st.lists(st.tuples(st.text("ab", max_size=2), st.booleans()), max_size=4), max_size=4),
    st.text("ab", max_size=6),
)
def test_what_is_sent_is_never_taken_back(drafts, final):
    steady, sent = steady_text(), ""
    for tokens in drafts:
        sent += steady.grown(draft(*tokens))
    rest, reason = last(steady, final)
    assert (sent + rest == final) == (reason == "end")
    assert sent + rest == final or not rest
