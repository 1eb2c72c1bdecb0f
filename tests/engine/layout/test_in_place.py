"""Where prefix, masks and suffix stand, and that nothing outgrows its room."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midfill_engine.layout.in_place import lengths, place
from midfill_engine.models.family import InPlaceSpec


def spec(**ids: int | None) -> InPlaceSpec:
    return InPlaceSpec(
        mask_id=1000, eom_id=1001, bos_id=ids.get("bos"), eos_id=ids.get("eos"),
        forbidden_ids=(1000,), trained_context_tokens=600, shift=False,
    )  # fmt: skip


def encode(text: str) -> list[int]:
    return [ord(char) for char in text]


def test_order():
    frame = place(spec(bos=1002, eos=1001), encode, "pp", "ss", room=600)
    assert frame.around([1000] * 2) == [1002, *encode("pp"), 1000, 1000, *encode("ss"), 1001]
    assert place(spec(), encode, "pp", "ss", room=600).around([1000]) == [
        *encode("pp"), 1000, *encode("ss"),
    ]  # fmt: skip


@given(prefix=st.integers(0, 2000), suffix=st.integers(0, 900), eos=st.sampled_from([None, 1001]))
def test_never_longer_than_its_room_and_both_edges_of_the_hole_are_kept(prefix, suffix, eos):
    text = "".join(chr(97 + n % 26) for n in range(prefix))
    frame = place(spec(bos=1002, eos=eos), encode, text, "z" * suffix + "y" * 9, room=500)
    assert len(frame.around(())) <= 500
    assert frame.before[-1] == (encode(text)[-1] if prefix else 1002)
    assert frame.after[0] == ord("z" if suffix else "y")


@pytest.mark.parametrize(
    ("limit", "expected"), [(1, [1]), (8, [8]), (20, [8, 16, 20]), (64, [8, 16, 32, 64])]
)
def test_numbers_of_masks_end_with_what_is_allowed(limit, expected):
    assert lengths(limit) == expected
