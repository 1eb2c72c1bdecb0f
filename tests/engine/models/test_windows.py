"""The Triton kernels of windows, run by Triton's interpreter, against the plain forward."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

SCRIPT = """
import sys, torch
from pathlib import Path
from midfill_engine.models.windows import WindowDecoder
from tests.engine.models.test_decoder import load

decoder = load(Path(sys.argv[1]))
text = torch.arange(60) * 7 % 250
for first, last in ((0, 60), (0, 1), (20, 33), (59, 60)):
    plain, fused = decoder.new_cache(), decoder.new_cache()
    for cache in (plain, fused):
        decoder.forward_within(text, cache, 0, 60)
    rows = text[first:last] + 1
    want = decoder.forward_within(rows, plain, first, 60)
    got = WindowDecoder.of(decoder).forward_within(rows, fused, first, 60)
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(fused.layer(1)[:, :, :60], plain.layer(1)[:, :, :60])
"""


@pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")
@pytest.mark.parametrize("family", ["llada", "dream"])
def test_windows_compute_what_the_plain_forward_computes(family, llada_path, dream_path):
    env = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(llada_path if family == "llada" else dream_path)],
        check=False,
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
