"""Int8 products: every kernel of this machine against the dense product, row by row."""

from __future__ import annotations

import time

import pytest
import torch

from midfill_engine.device import int8
from midfill_engine.models.linear import DenseLinear, RowwiseInt8Linear
from midfill_engine.models.weights import StoredWeight
from tests import tiny

KERNELS = int8.kernels()


def matrix(rows: int, inner: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, inner, generator=torch.Generator().manual_seed(seed))


def error(got: torch.Tensor, want: torch.Tensor) -> float:
    return float((got - want).norm() / want.norm())


def test_this_machine_has_a_kernel():
    assert KERNELS


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("rows", [1, 2, 16, 33, 130])
@pytest.mark.parametrize(("out", "inner"), [(96, 64), (40, 896), (300, 96)])
def test_equals_the_dense_product(kernel, rows, out, inner):
    weight, bias, x = matrix(out, inner), matrix(1, out, 1)[0], matrix(rows, inner, 2)
    got = RowwiseInt8Linear(StoredWeight(weight), bias, kernel)(x)
    # Two roundings to 8 bits, or one to 7 bits on CPUs without VNNI.
    assert error(got, DenseLinear(weight, bias)(x)) < 0.03


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_row_does_not_depend_on_its_company(kernel):
    product = int8.pack(*StoredWeight(matrix(128, 256)).rowwise_int8(), kernel)
    x = matrix(40, 256, 1)
    x[7] *= 1e4  # an outlier among them
    together = product(x)
    for row in range(40):
        alone = product(x[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kernel", KERNELS)
def test_rows_of_zeros(kernel):
    product = int8.pack(*StoredWeight(matrix(32, 64)).rowwise_int8(), kernel)
    assert not product(torch.zeros(3, 64)).any()


def test_a_kernel_that_crawls_is_not_used(monkeypatch):
    class Crawling(int8.FbgemmProduct):
        def __call__(self, rows):
            time.sleep(0.05)
            return super().__call__(rows)

    monkeypatch.setitem(int8._PRODUCTS, "onednn", Crawling)
    assert int8.kernels.__wrapped__() == ("fbgemm",)


def test_a_kernel_that_overflows_is_not_used(monkeypatch):
    class Saturating(int8.FbgemmProduct):
        def __call__(self, rows):
            return super().__call__(rows).clamp(max=2.0**15)

    monkeypatch.setitem(int8._PRODUCTS, "fbgemm", Saturating)
    assert int8.kernels.__wrapped__() == tuple(k for k in KERNELS if k != "fbgemm")


def test_a_kernel_that_is_not_there_is_not_used(monkeypatch):
    def missing(*_):
        raise RuntimeError("unknown operation")

    monkeypatch.setitem(int8._PRODUCTS, "onednn", missing)
    assert "onednn" not in int8.kernels.__wrapped__()


@pytest.mark.parametrize("form", ["float32", "bfloat16", "int8", "int4"])
@pytest.mark.parametrize("rows", [1, 100])
def test_rounding_to_rows_of_int8_is_the_nearest(form, rows, monkeypatch):
    monkeypatch.setattr("midfill_engine.models.weights._AT_A_TIME", 64 * 7)
    weight = matrix(rows, 64)
    if form == "int4":
        stored = StoredWeight(*tiny.int4(weight))
    elif form == "int8":
        stored = StoredWeight(torch.randint(-127, 128, (rows, 64)).to(torch.int8), weight[:, :2])
    else:
        stored = StoredWeight(weight.to(getattr(torch, form)))
    values, scale = stored.rowwise_int8()
    off = values * scale[:, None] - stored.dense(torch.float32)
    assert values.abs().max() <= 127
    assert (off.abs() <= scale[:, None] * 0.5001).all()
