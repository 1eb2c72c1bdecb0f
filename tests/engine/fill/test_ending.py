"""Where a middle without an end is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midfill_engine.fill.ending import likeliest_end, line_ends


@pytest.mark.parametrize(
    ("texts", "places"),
    [
        (["a", " = ", "1", "\n  ", "b", ";\n", "c"], [3, 6]),
        (["a", " = ", "1"], []),
        (["\n", "  ", "a", "\r\n", "b"], [3, 4]),
        (["  ", "\n"], []),
    ],
)
def test_lines_end_before_their_newline_and_behind_it(texts, places):
    assert line_ends(texts) == places


def test_of_two_lines_the_one_with_the_likelier_end_counts():
    sure = [0.9] * 6
    assert likeliest_end([2, 4], sure, [0, 0, 0.01, 0, 0.3, 0, 0]) == 4
    assert likeliest_end([2, 4], sure, [0, 0, 0.3, 0, 0.3, 0, 0]) == 2


def test_a_later_end_must_make_up_for_what_was_unlikely_on_the_way():
    assert likeliest_end([1, 3], [0.9, 0.1, 0.1], [0, 0.01, 0, 0.5]) == 1
    assert likeliest_end([1, 3], [0.9, 0.1, 0.1], [0, 0.01, 0, 1.0]) == 1
    assert likeliest_end([1, 3], [0.9, 0.2, 0.2], [0, 0.01, 0, 0.5]) == 3


@given(st.lists(st.text(alphabet="ab \n", min_size=1, max_size=4), max_size=12))
def test_a_cut_middle_is_whole_lines_and_not_blank(texts):
    text = "".join(texts)
    for place in line_ends(texts):
        kept = "".join(texts[:place])
        assert kept.strip()
        assert kept.endswith("\n") or text[len(kept) :].lstrip(" ").startswith("\n")
