"""Fixtures of the editor tests, and the closing table that counts what ran in which editor."""

from __future__ import annotations

import collections
import json
import os
import re
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.editors import provide
from tests.editors.desk import Desk, Program

OUTPUT = Path(__file__).parent / "output"
LATENCIES = OUTPUT / "latency.json"
measured: list[dict[str, Any]] = []
counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)


def found(name: str) -> Program:
    """The program of an editor that `provide.py` found; skips, loudly, when there is none."""
    lines = provide.REPORT.read_text().splitlines() if provide.REPORT.exists() else []
    line = next((li for li in lines if re.match(rf"(found|MISSING) {re.escape(name)}\b", li)), "")
    if line.startswith("found"):
        _, _, version, path = line.split(" ", 3)
        return Program(name, version, Path(path))
    reason = line or f"MISSING {name}: run `python3 tests/editors/provide.py {name}`"
    if provide.required([name]):
        pytest.fail(f"MIDFILL_REQUIRE_EDITORS: {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def find_editor() -> Callable[[str], Program]:
    """The same, for the tests in folders below."""
    return found


def neovims() -> list[str]:
    """Both that always count, and an older one where somebody provided it."""
    return [*(["nvim-0.10"] if (provide.ROOT / "bin/nvim-0.10").exists() else []), *provide.NEOVIMS]


@pytest.fixture(params=neovims())
def neovim_program(request: pytest.FixtureRequest) -> Program:
    """Each Neovim in turn."""
    return found(request.param)


@pytest.fixture
def open_desk(
    request: pytest.FixtureRequest, neovim_program: Program, tmp_path: Path
) -> Iterator[Callable[..., Desk]]:
    """Starts a Neovim with a scripted language server; keeps what its screen showed."""
    pytest.importorskip("msgpack", reason="MISSING msgpack: pip install -e '.[test]'")
    desks: list[Desk] = []

    def start(text: str = "", **options: Any) -> Desk:
        desk = Desk(neovim_program, tmp_path / f"desk{len(desks)}", text, **options)
        desks.append(desk)
        return desk.open()

    yield start
    for number, desk in enumerate(desks):
        name = re.sub(r"[^\w.-]+", "-", request.node.name).strip("-")
        desk.keep(OUTPUT, name + (f"-{number}" if number else ""))
        desk.close()


@pytest.fixture
def measure(neovim_program: Program) -> Callable[[str, list[float]], None]:
    """Notes a measurement, in milliseconds, for the closing lines and for `latency.json`."""

    def note(what: str, samples: list[float]) -> None:
        measured.append(
            {
                "editor": neovim_program.name,
                "version": neovim_program.version,
                "what": what,
                "median_ms": round(statistics.median(samples), 2),
                "samples_ms": [round(sample, 2) for sample in samples],
                "cpus": os.cpu_count(),
                "load": round(os.getloadavg()[0], 2),
            }
        )
        OUTPUT.mkdir(parents=True, exist_ok=True)
        LATENCIES.write_text(json.dumps(measured, indent=1) + "\n")

    return note


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count outcomes by the editor in the test's name or folder."""
    editor = re.search(r"nvim-[\d.]+|emacs|helix|vim(?=_with)|vscode", report.nodeid)
    if editor and (report.when == "call" or (report.when == "setup" and not report.passed)):
        counts[editor[0]][report.outcome] += 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which editors were driven and which were not, even where nobody asked."""
    if not counts:
        return
    report = provide.REPORT.read_text().splitlines() if provide.REPORT.exists() else []
    terminalreporter.section("editors")
    for name in sorted(counts):
        line = next((li for li in report if re.match(rf"\w+ {re.escape(name)}\b", li)), "")
        about = line.split(" ")[2] if line.startswith("found") else line or "not provided"
        seen = counts[name]
        numbers = ", ".join(f"{seen[k]} {k}" for k in ("passed", "failed", "skipped") if seen[k])
        terminalreporter.write_line(f"{name:<10} {about:<8} {numbers}")
    for m in measured:
        who, count = f"{m['editor']:<10} {m['version']:<8}", len(m["samples_ms"])
        terminalreporter.write_line(
            f"{who} {m['what']}: {m['median_ms']:.0f} ms, the median of {count}"
        )
    if measured:
        terminalreporter.write_line(f"samples: {LATENCIES}")
