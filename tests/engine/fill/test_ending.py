"""Where a middle without an end is cut, and when going on cannot mend it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midfill_engine.fill.ending import Ending

PROBABILITIES = st.floats(0.001, 1)
WRITTEN = st.lists(
    st.tuples(st.text(alphabet="ab \n", min_size=1, max_size=4), PROBABILITIES, PROBABILITIES),
    max_size=12,
)


def place(texts, probabilities, ends):
    ending = Ending()
    for token in zip(texts, probabilities, ends, strict=True):
        ending.add(*token)
    return ending.place


@pytest.mark.parametrize(
    ("texts", "places"),
    [
        (["a", " = ", "1", "\n  ", "b", ";\n", "c"], [3, 6]),
        (["a", " = ", "1"], []),
        (["\n", "  ", "a", "\r\n", "b"], [3, 4]),
        (["  ", "\n", "\n"], []),
    ],
)
def test_lines_end_before_their_newline_and_behind_it(texts, places):
    for likely in range(len(texts)):
        ends = [float(n == likely) for n in range(len(texts))]
        found = place(texts, [1.0] * len(texts), ends)
        assert (found == likely) == (likely in places)
        assert (found is None) == (not places)


TEXTS = ["a", "\n", "b", "\n"]


@pytest.mark.parametrize(
    ("probabilities", "ends", "best"),
    [
        ([0.9] * 4, [0, 0.01, 0, 0.3], 3),
        ([0.9] * 4, [0, 0.3, 0, 0.3], 1),
        # What was unlikely on the way counts against a later end, however sure of itself it is.
        ([0.9, 0.1, 0.1, 1], [0, 0.02, 0, 1.0], 1),
        ([0.9, 0.2, 0.2, 1], [0, 0.02, 0, 1.0], 3),
    ],
)
def test_the_most_probable_middle_of_whole_lines_is_kept(probabilities, ends, best):
    assert place(TEXTS, probabilities, ends) == best


@given(WRITTEN, WRITTEN)
def test_once_decided_nothing_that_follows_is_better(written, more):
    ending = Ending()
    for token in written:
        ending.add(*token)
    decided, best = ending.decided, ending.place
    for token in more:
        ending.add(*token)
    if decided:
        assert ending.decided
        assert ending.place == best


@given(WRITTEN)
def test_a_cut_middle_is_whole_lines_and_not_blank(written):
    texts = [text for text, _, _ in written]
    found = place(*zip(*written, strict=True)) if written else None
    if found is not None:
        kept, rest = "".join(texts[:found]), "".join(texts[found:])
        assert kept.strip()
        assert kept.endswith("\n") or rest.lstrip(" ").startswith("\n")


def test_a_line_that_closes_what_was_opened_is_preferred():
    texts = ["f(", "\n", "1", ")", "\n", "{", "\n"]
    assert place(texts, [1.0] * 7, [0, 0.9, 0, 0, 0.1, 0, 0.9]) == 4
    assert place(texts[:3], [1.0] * 3, [0, 0.9, 0]) == 1, "there is no other"
    closing = ["}", "\n", "a"]  # of the prefix: nothing that was written is open
    assert place(closing, [1.0] * 3, [0, 0.9, 0]) == 1


@pytest.mark.parametrize("last", [":", " =", " &&", " \\"])
def test_a_line_that_goes_on_is_no_end_if_there_is_another(last):
    texts = ["a", "\n", f"b{last}", "\n", "c"]
    assert place(texts, [1.0] * 5, [0, 0.1, 0, 0.9, 0]) == 1


def test_only_what_is_far_less_probable_is_decided():
    ending = Ending()
    for token in [("a", 1.0, 0.0), ("\n", 0.5, 0.5), ("b", 0.01, 0.0)]:
        ending.add(*token)
    assert not ending.decided
    ending.add("c", 0.1, 0.0)
    assert ending.decided


def test_what_is_open_goes_on():
    ending = Ending()
    for token in [("{", 1.0, 0.0), ("\n", 0.5, 0.9), ("a", 0.1, 0.0), ("\n", 0.1, 0.1)]:
        ending.add(*token)
    assert not ending.decided


def test_a_token_without_a_text_of_its_own_changes_no_line():
    """Half a character stands between a newline and what it belongs to."""
    assert place(["a\n", "", "b"], [1.0, 1.0, 1.0], [0.0, 0.2, 0.9]) == 2
