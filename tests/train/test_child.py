"""Code that a model wrote runs in a child: it reaches no further, ends in time, leaves nothing."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from midfill_train.corpus import child


@pytest.mark.parametrize(
    "line",
    [
        "import os",
        "import os.path as p, math",
        "from subprocess import run",
        "from . import other",
        "open('x')",
        "__import__('os')",
        "broken(",
    ],
)
def test_what_reaches_further_is_not_run(line: str) -> None:
    assert child.parse(f"{line}\nx = 1\n") is None
    assert child.parse("import math\nx = math.pi\n") is not None


@pytest.mark.parametrize(
    "work",
    ["while True: pass", "n = [0] * (1 << 32)", "import time; time.sleep(60)", "1 / 0"],
)
def test_what_does_not_end_well_ends_in_time(work: str) -> None:
    start = time.monotonic()
    assert child.run(lambda _: "done", work, 0.5) is None
    assert time.monotonic() - start < 5


def test_a_child_writes_nothing_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for place in (str(tmp_path / "written"), "here"):
        child.run(lambda _: None, f"import numpy\nnumpy.zeros(9).tofile({place!r})\n", 5)
    assert not (tmp_path / "here").exists()
    written = tmp_path / "written"
    assert not written.exists() or written.stat().st_size == 0
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_a_task_returns_what_json_carries() -> None:
    assert child.run(lambda module: [module.x, {"a": 1}], "x = 3", 2) == [3, {"a": 1}]
    assert child.run(lambda module: module, "x = 3", 2) is None
    assert child.run(lambda _: "x" * 300_000, "", 5) == "x" * 300_000
