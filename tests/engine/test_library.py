"""PyTorch is imported without what only its compiler needs, which can follow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LATER = """
import sys
from midfill_engine.device.library import lightly_imported

with lightly_imported():
    from midfill_engine.fill.filler import Filler
import torch

assert torch.ones(2, 3) @ torch.ones(3, 1) is not None
print("torch._meta_registrations" in sys.modules, "torch._decomp.decompositions" in sys.modules)

import torch._meta_registrations  # as whoever compiles has to

run = torch.compile(lambda x: torch.nn.functional.max_pool2d(x, 2).relu(), backend="aot_eager")
assert run(-torch.ones(1, 1, 4, 4)).tolist() == [[[[0, 0], [0, 0]]]]
assert torch.empty(3, 4, device="meta").mm(torch.empty(4, 5, device="meta")).shape == (3, 5)
"""


@pytest.mark.skipif(
    sys.platform != "linux" or Path("/dev/nvidiactl").exists(), reason="imported whole here"
)
def test_what_describes_operators_is_imported_by_who_needs_it():
    done = subprocess.run(
        [sys.executable, "-c", LATER], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["False", "False"]
