"""Where a middle stops."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midfill_engine.fill.canvas import TELLING, what_follows


@pytest.mark.parametrize(
    ("suffix", "follows"),
    [
        ("\n    return x\nmore", "\n    return x"),
        (")\n\n}\n  total += 1  \nmore", ")\n\n}\n  total += 1"),
        ("rest of the line", ""),
        ("\n}\n", ""),
        ("", ""),
    ],
)
def test_a_telling_line_of_the_suffix_is_found(suffix, follows):
    assert what_follows(suffix) == follows


@given(st.text(alphabet="ab1 \n)}", max_size=40))
def test_what_follows_begins_the_suffix_and_says_something(suffix):
    follows = what_follows(suffix)
    assert suffix.startswith(follows)
    if follows:
        assert sum(map(str.isalnum, follows.rsplit("\n", 1)[1])) >= TELLING
