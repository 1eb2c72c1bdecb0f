"""Memory that is given back."""

import subprocess
import sys

import pytest

#: Imports PyTorch as the engine does, lets go of its code, and computes.
SCRIPT = """
import sys
import torch
from midfill_engine.device.memory import release_program

def code_mb():
    lines = open("/proc/self/status").read().splitlines()
    [line] = [line for line in lines if line.startswith("RssFile")]
    return int(line.split()[1]) / 1024

before = code_mb()
release_program()
after = code_mb()
assert torch.arange(10).square().sum() == 285
assert torch.nn.functional.silu(torch.ones(3, 3) @ torch.ones(3, 3)).shape == (3, 3)
print(before, after)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells and gives back")
def test_code_that_ran_once_is_let_go_and_the_rest_goes_on():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    before, after = map(float, done.stdout.split())
    assert after < before / 2
