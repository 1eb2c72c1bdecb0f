"""Weights that are small on a GPU stay where they were put, whatever form they are stored in."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from midfill_engine.models.checkpoint import LowRank
from midfill_engine.models.packed import pack
from midfill_engine.models.weights import StoredWeight

STORED = {
    "dense": StoredWeight(torch.randn(64, 64)),
    "int8": StoredWeight(torch.randint(-127, 127, (64, 64), dtype=torch.int8), torch.rand(64)),
    "int4": StoredWeight(
        torch.randint(0, 255, (64, 32), dtype=torch.uint8), torch.rand(64, 2, dtype=torch.float16)
    ),
}
STORED["adapted"] = replace(STORED["int4"], update=LowRank(torch.randn(4, 64), torch.randn(64, 4)))


@pytest.mark.parametrize("precision", ["int8", "fp8", "int4"])
@pytest.mark.parametrize("form", STORED)
def test_packing_leaves_nothing_on_the_host(form, precision):
    packed = pack(STORED[form], precision, torch.device("meta"))
    assert packed.values.device.type == "meta"
    assert packed.scale is not None
    assert packed.scale.device.type == "meta"


@pytest.mark.parametrize("precision", ["int8", "fp8", "int4"])
@pytest.mark.parametrize("form", STORED)
def test_packed_weights_are_near_the_stored_ones(form, precision):
    want = STORED[form].dense(torch.float32)
    got = pack(STORED[form], precision, torch.device("cpu")).dense(torch.float32)
    assert (got - want).norm() / want.norm() < 0.12
