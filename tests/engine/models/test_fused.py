"""The Triton kernels, run by Triton's interpreter, against the plain forward."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

SETUP = """
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import torch
from triton.runtime import interpreter

from midfill_engine.decode.rows import read_back, row_stats
from midfill_engine.models import kernels
from midfill_engine.models.decoder import Lane
from midfill_engine.models.fused import FusedDecoder
from midfill_engine.models.graphs import GraphDecoder, _Captured
from midfill_engine.models.packed import PackedLinear, pack
from midfill_engine.models.product import Tiling
from midfill_engine.models.sight import Branch, sight
from midfill_engine.models.weights import StoredWeight
from tests.engine.models.test_decoder import load

patch = interpreter._patch_lang_tensor

def with_bounds(tensor, scope):
    # Triton 3.6 reads loop bounds in a way that NumPy 2.4 no longer allows.
    patch(tensor, scope)
    scope.set_attr(tensor, "__index__", lambda self: self.handle.data.item())

interpreter._patch_lang_tensor = with_bounds
decoder = load(Path(sys.argv[1]))
"""
KERNELS = """
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
    fused.products.choose = lambda *shape: Tiling(32, 32, splits)
context = torch.arange(70) % 250
ids = (torch.arange(n) * 37 + 11) % 250
bias = torch.zeros(320)
bias[[5, 6, 310]] = -torch.inf
branches = [Branch(0, 1), Branch(n - n // 3, 4), Branch(0, 3), Branch(n // 2, 2)]
cases = ((70, 0, [], 0), (70, n, [], 0), (70, n // 3, branches, 4), (0, n // 3, branches, 4))
for start, opened, branches, padding in cases:
    plain, static = decoder.new_cache(), decoder.new_cache()
    for cache in (plain, static):
        cache.reserve(140)
        if start:
            decoder.forward(context, cache, 0)
    rows = torch.cat((ids, torch.arange(sum(branch.rows for branch in branches)) * 5 + 3))
    count = len(rows)
    want = decoder.forward(rows, plain, start, open_rows=opened, branches=branches)
    padded = torch.nn.functional.pad(rows, (0, padding))
    place = kernels.placed(start, sight(count, opened, branches), len(padded))
    got = fused.forward(padded, static, place)
    assert got.isfinite().all()
    torch.testing.assert_close(got[:count], want, rtol=1e-4, atol=1e-4)
    end = start + count
    torch.testing.assert_close(static.layer(1)[:, :, :end], plain.layer(1)[:, :, :end])
    assert not static.layer(1)[:, :, end:].any()
    assert not fused.products.counters.any()

want = want[:n]
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
GRAPHS = """
class Uncaptured(GraphDecoder):
    # What a graph would replay, run where there are none.
    def _capture(self, rows):
        ids = torch.zeros(rows, dtype=torch.long)
        place = torch.zeros((1 + rows, 4), dtype=torch.int32)
        hidden = torch.zeros(rows, self.config.hidden_size)
        def replay():
            replayed.append(rows)
            hidden.copy_(self._fused.forward(ids, self._arena, place))

        step = self._captured[rows] = _Captured(SimpleNamespace(replay=replay), ids, place, hidden)
        return step

replayed = []
torch.Tensor.pin_memory = lambda self: self  # no device, no pinned memory
graphs, branches = Uncaptured(decoder), [Branch(1, 2), Branch(4, 3), Branch(0, 1)]
assert graphs.branching
most = decoder.config.max_positions
for start, causal in ((40, 5), (40, 70), (most - 15, 5)):
    plain, own = decoder.new_cache(), graphs.new_cache()
    for forward, cache in ((decoder.forward, plain), (graphs.forward, own)):
        forward(torch.arange(start) % 250, cache, 0)
    rows = torch.arange(causal + 3 + 6) * 37 % 250
    lane = Lane(rows, plain, start, 3, branches=branches)
    [want] = decoder.forward_lanes([lane])
    [got] = graphs.forward_lanes([replace(lane, cache=own)])
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)
# Two contexts of 40 and the first lane; more rows than the largest graph has run as they are, and
# so do those whose graph would end behind the last slot.
assert replayed == [64, 16, 64], replayed
"""


pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")


def interpret(script: str, *args: object) -> None:
    env = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", SETUP + script, *map(str, args)],
        check=False,
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


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
    interpret(KERNELS, tiny_path, precision, rows, splits)


def test_captured_rows_say_what_the_decoder_says(tiny_path):
    interpret(GRAPHS, tiny_path)
