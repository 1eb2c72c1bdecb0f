"""The Triton kernels, run by Triton's interpreter, against the plain forward."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

SCRIPT = """
import sys
from dataclasses import replace
from pathlib import Path

import torch
from triton.runtime import interpreter

from midfill_engine.decode.rows import read_back, row_stats
from midfill_engine.models.fused import FusedDecoder
from midfill_engine.models.packed import PackedLinear, pack
from midfill_engine.models.product import Tiling
from midfill_engine.models.weights import StoredWeight
from tests.engine.models.test_decoder import load

patch = interpreter._patch_lang_tensor

def with_bounds(tensor, scope):
    # Triton 3.6 reads loop bounds in a way that NumPy 2.4 no longer allows.
    patch(tensor, scope)
    scope.set_attr(tensor, "__index__", lambda self: self.handle.data.item())

interpreter._patch_lang_tensor = with_bounds
decoder = load(Path(sys.argv[1]))
precision, n, splits = sys.argv[2], int(sys.argv[3]), int(sys.argv[4])

def small(linear):
    stored = pack(StoredWeight(linear.weight), precision, torch.device("cpu"))
    return PackedLinear(stored, linear.bias, torch.float32)

if precision != "float32":
    names = ("qkv", "o", "gate_up", "down")
    decoder.layers = [
        replace(layer, **{name: small(getattr(layer, name)) for name in names})
        for layer in decoder.layers
    ]
    decoder.head = small(decoder.head)
fused = FusedDecoder(decoder)
if splits:
    fused.products.choose = lambda outputs, inner, rows, small: Tiling(32, 32, splits)
context = torch.arange(70) % 250
ids = (torch.arange(n) * 37 + 11) % 250
bias = torch.zeros(320)
bias[[5, 6, 310]] = -torch.inf
for opened, padding in ((0, 0), (n, 0), (n // 3, 4)):
    plain, static = decoder.new_cache(), decoder.new_cache()
    for cache in (plain, static):
        cache.reserve(120)
        decoder.forward(context, cache, 0)
    want = decoder.forward(ids, plain, 70, open_rows=opened)
    padded = torch.nn.functional.pad(ids, (0, padding))
    got = fused.forward(padded, static, torch.tensor([70, n - opened, n]))[:n]
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)
    end = 70 + n
    torch.testing.assert_close(static.layer(1)[:, :, :end], plain.layer(1)[:, :, :end])
    assert not static.layer(1)[:, :, end:].any()
    assert not fused.products.counters.any()

logits = decoder.logits(want).clone()
first = int((logits + bias)[0].argmax())
for forbid, asked in ((None, []), (first, [7, 310, 3][:n])):
    table = fused.statistics(want, bias, forbid=forbid, asked=asked, end=9)
    if forbid is not None:
        logits[0, forbid] = -torch.inf
    stats, got = row_stats(logits, bias, asked=asked, end=9), read_back(table, len(asked))
    assert got.tokens == stats.tokens
    for name in ("probability", "margin", "entropy", "asked", "end"):
        pair = (torch.tensor(getattr(x, name)) for x in (got, stats))
        torch.testing.assert_close(*pair, rtol=1e-4, atol=1e-5)
"""


@pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")
@pytest.mark.parametrize(
    ("precision", "rows", "splits"),
    [
        ("float32", 12, 0),
        ("float32", 1, 1),
        ("float32", 40, 2),
        ("int8", 12, 0),
        ("fp8", 12, 0),
        ("int4", 12, 0),
        ("int4", 32, 2),
    ],
)
def test_kernels_compute_what_the_plain_forward_computes(tiny_path, precision, rows, splits):
    env = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tiny_path), precision, str(rows), str(splits)],
        check=False,
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
