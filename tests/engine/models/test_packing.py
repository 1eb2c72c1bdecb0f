"""Packing weights for oneDNN: whichever way, the bytes are the ones that it writes itself."""

from __future__ import annotations

import ctypes
import gc

import pytest
import torch

from midfill_engine.device import int8, packing

pytestmark = pytest.mark.skipif("onednn" not in int8.kernels(), reason="oneDNN serves elsewhere")

ROWS = 32
#: Blocks of 64 both ways; one block; more blocks than are compared; neither side in blocks.
SHAPES = [(192, 128), (64, 64), (64 * 20, 64), (100, 96), (64, 96)]


def matrix(out: int, inner: int) -> torch.Tensor:
    return torch.randint(-127, 128, (out, inner), dtype=torch.int8)


def content(packed: torch.Tensor) -> bytes:
    size = torch.ops.mkldnn._nbytes(packed)
    return ctypes.string_at(torch.ops.mkldnn.data_ptr(packed), size)


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    monkeypatch.setattr(packing, "_known", type(packing._known)())


@pytest.mark.parametrize("shape", SHAPES)
def test_each_of_several_is_packed_as_onednn_does(shape):
    matrices = [matrix(*shape) for _ in range(3)]
    ours = [packing.pack(values, ROWS) for values in matrices]
    for values, packed in zip(matrices, ours, strict=True):
        theirs = torch.ops.onednn.qlinear_prepack(values, [ROWS, shape[1]])
        assert content(packed) == content(theirs)


def test_with_amx_only_the_first_of_a_shape_is_left_to_onednn():
    if not torch.cpu._is_amx_tile_supported():
        pytest.skip("no AMX")
    first = packing.pack(matrix(192, 128), ROWS)
    assert packing._known[192, 128] is first


@pytest.mark.parametrize("what", ["words", "sums"])
def test_bytes_that_lie_otherwise_are_left_to_onednn(what, monkeypatch):
    arranged = packing._arranged

    def otherwise(values):
        found = arranged(values)
        return found._replace(**{what: getattr(found, what).flip(0)})

    monkeypatch.setattr(packing, "_arranged", otherwise)
    values = [matrix(192, 128) for _ in range(2)]
    packed = [packing.pack(one, ROWS) for one in values]
    assert not packing._known
    theirs = torch.ops.onednn.qlinear_prepack(values[1], [ROWS, 128])
    assert content(packed[1]) == content(theirs)


def test_another_pytorch_without_a_way_to_the_bytes_packs_by_itself(monkeypatch):
    def missing(*_):
        raise AttributeError("data_ptr")

    monkeypatch.setattr(packing, "_bytes_of", missing)
    packing.pack(matrix(192, 128), ROWS)
    assert not packing._known


def test_no_weights_are_kept_for_their_layout():
    packed = packing.pack(matrix(192, 128), ROWS)
    del packed
    gc.collect()
    assert not packing._known
