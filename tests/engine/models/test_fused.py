"""The Triton kernels, run by Triton's interpreter, against the plain forward."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

SCRIPT = """
import sys, torch
from pathlib import Path
from midfill_engine.models.fused import fused_forward
from tests.engine.models.test_decoder import IDS, load

decoder = load(Path(sys.argv[1]))
context = torch.arange(150) % 250
for opened, padding in ((0, 0), (12, 0), (5, 0), (0, 4), (5, 4)):
    plain, fused = decoder.new_cache(), decoder.new_cache()
    for cache in (plain, fused):
        cache.reserve(300)
        decoder.forward(context, cache, 0)
    want = decoder.forward(IDS, plain, 150, open_rows=opened)
    place = torch.tensor((150, len(IDS) - opened, len(IDS)))
    padded = torch.nn.functional.pad(IDS, (0, padding))
    got = fused_forward(decoder, padded, fused, place)[: len(IDS)]
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(fused.layer(1)[:, :, :162], plain.layer(1)[:, :, :162])
"""


@pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")
def test_kernels_compute_what_the_plain_forward_computes(tiny_path):
    env = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tiny_path)],
        check=False,
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
