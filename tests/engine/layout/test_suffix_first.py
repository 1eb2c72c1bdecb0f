"""Where texts stand in the context, and that nothing outgrows its room."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midfill_engine.layout.fit import CUT_STEP
from midfill_engine.layout.suffix_first import place
from midfill_engine.models.family import DiffusionSpec

SPEC = DiffusionSpec(
    block_size=8, mask_id=1000, eom_id=1001, suffix_id=1002, prefix_id=1003, path_id=1004,
    near_id=None, middle_id=None, forbidden_ids=(1000,), trained_context_tokens=600, snippets=True,
    widths=(8,), token_editing=False,
)  # fmt: skip

NEAR = replace(SPEC, near_id=1005, middle_id=1006)


def encode(text: str) -> list[int]:
    return [ord(char) for char in text]


def test_order():
    ids = place(SPEC, encode, "pp", "ss", path="f").ids
    assert ids == [1002, *encode("ss"), 1003, 1004, *encode("f\n"), *encode("pp")]


@given(
    prefix=st.integers(0, 2000), suffix=st.integers(0, 900), path=st.sampled_from(["", "a/b.py"])
)
def test_never_longer_than_its_room_and_the_cursor_is_kept(prefix, suffix, path):
    text = "".join(chr(97 + n % 26) for n in range(prefix))
    ids = place(SPEC, encode, text, "z" * suffix, path=path).ids
    assert len(ids) <= 600
    assert encode(text)[-1:] == (ids[-1:] if prefix else [])


def test_typing_seldom_moves_the_cut():
    starts = set()
    for typed in range(CUT_STEP):
        text = "".join(chr(97 + n % 26) for n in range(1000 + typed))
        ids = place(SPEC, encode, text, "z").ids
        starts.add(len(text) - (len(ids) - 3))
    assert len(starts) == 2


@given(st.text("ab\n", max_size=30))
def test_asked_again_the_context_is_the_same(suffix):
    first = place(NEAR, encode, "x", suffix)
    assert place(NEAR, encode, "x", suffix, anchor=first.far) == first


@given(st.text("ab\n", max_size=30), st.text("ab\n", max_size=12))
def test_a_line_at_least_stands_beside_the_cursor(suffix, anchor):
    placed = place(NEAR, encode, "x", suffix, anchor=anchor)
    near = suffix[: len(suffix) - len(placed.far)]
    assert near.count("\n") >= min(suffix.count("\n"), 1)


@given(st.text("ab\n", max_size=30), st.text("ab\n", max_size=12))
def test_most_of_the_suffix_stays_in_view(suffix, anchor):
    ids = place(NEAR, encode, "x", suffix, anchor=anchor).ids
    seen = [n for n in ids if n < 1000 and n != ord("x")]
    assert 2 * len(seen) >= len(suffix)


@pytest.mark.parametrize("prefix", ["", "x"])
def test_empty_sides(prefix):
    assert place(SPEC, encode, prefix, "").ids == [1002, 1003, *encode(prefix)]
