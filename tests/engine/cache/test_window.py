"""Which rows of a fully bidirectional text run again, and how true what remains is."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from midfill_engine.cache.keystroke import KeystrokeCache
from midfill_engine.cache.window import VICINITY, WindowCache
from midfill_engine.models.kv import KVCache
from tests.engine.loaded import Model

TEXT = list(range(100))


def window_of(ids: list[int], *, refresh: int = 100, age: int = 0) -> WindowCache:
    kv = KVCache(1, 1, 4, torch.float32, torch.device("cpu"))
    return WindowCache(KeystrokeCache(kv, list(ids), age=age), refresh)


def edited(**at: int) -> list[int]:
    return [at.get(f"n{n}", token) for n, token in enumerate(TEXT)]


def test_the_first_forward_runs_everything():
    assert window_of([]).window(TEXT, 50, 60) == range(100)
    assert window_of([]).keep(TEXT) == 0


def test_only_the_hole_and_its_vicinity_run_where_nothing_changed():
    cache = window_of(TEXT)
    assert cache.window(TEXT, 50, 60) == range(50 - VICINITY, 60 + VICINITY)
    assert cache.keep(TEXT) == 100


def test_every_change_runs_again_on_either_side_of_the_hole():
    cache = window_of(TEXT)
    assert cache.window(edited(n40=7), 50, 60) == range(40 - VICINITY, 60 + VICINITY)
    assert cache.window(edited(n40=7, n70=7), 50, 60) == range(40 - VICINITY, 71 + VICINITY)
    assert cache.keep(edited(n40=7, n70=7)) == 100 - 31


def test_where_the_length_changes_all_that_moved_runs_again():
    longer = [*TEXT[:30], 7, *TEXT[30:]]
    assert window_of(TEXT).window(longer, 50, 60) == range(30 - VICINITY, 101)
    shorter = TEXT[:70] + TEXT[71:]
    assert window_of(TEXT).window(shorter, 50, 60) == range(50 - VICINITY, 99)


def test_every_so_manieth_forward_runs_everything():
    cache = window_of([], refresh=3)
    sizes = []
    for _ in range(7):
        rows = cache.window(TEXT, 50, 52)
        cache.ran(TEXT, rows)
        sizes.append(len(rows))
    few = 2 + 2 * VICINITY
    assert sizes == [100, few, few, 100, few, few, 100]


def test_what_was_typed_takes_the_place_of_the_first_masks():
    before, masks, after = [1, 2, 3], [9] * 6, [4, 5]
    cache = window_of([*before, *masks, *after])
    assert cache.masks(3, after) == 6
    assert cache.masks(5, after) == 4
    assert cache.masks(5, [4, 6]) == 0
    assert cache.masks(20, after) == 0
    assert window_of([]).masks(3, after) == 0


IDS = st.lists(st.integers(0, 255), min_size=1, max_size=40)


@pytest.fixture(scope="module", params=["llada", "dream"])
def model(request, llada_path, dream_path) -> Model:
    return Model(llada_path if request.param == "llada" else dream_path)


@settings(max_examples=30, deadline=None)
@given(ids=IDS, data=st.data())
def test_a_window_into_an_unchanged_text_reads_as_the_whole(model, ids, data):
    first = data.draw(st.integers(0, len(ids) - 1))
    last = data.draw(st.integers(first + 1, len(ids)))
    memory = model.cache()
    cache, text = WindowCache(memory, 100), torch.tensor(ids)
    whole = model.decoder.forward_within(text, memory.kv, 0, len(ids))
    cache.ran(ids, cache.window(ids, 0, len(ids)))
    rows = cache.window(ids, first, last)
    read = model.decoder.forward_within(
        text[rows.start : rows.stop], memory.kv, rows.start, len(ids)
    )
    torch.testing.assert_close(read, whole[rows.start : rows.stop], rtol=1e-4, atol=1e-4)
