"""`midfill doctor`: check the installation and say what to do about each fault.

Owns the order of the checks and how findings are printed. Whatever needs the engine's packages
runs in a child process: a broken torch is then a finding, not a crash.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import Console

from midfill_lsp.commands import connection
from midfill_lsp.commands.checks import engine, installation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from midfill_lsp.commands.checks.finding import Finding

SIGNS = {"good": ("✓", "green"), "note": ("!", "yellow"), "bad": ("✗", "bold red")}


def main(argv: Sequence[str]) -> int:
    """Run the command; exit code 1 if anything is bad."""
    args = _parser().parse_args(argv)
    return connection.run("doctor", _doctor(args))


async def _doctor(args: argparse.Namespace) -> int:
    console = Console(highlight=False)
    found = []
    async for finding in _findings(quick=args.quick):
        found.append(finding)
        if not args.json:
            _print(console, finding)
    bad = sum(finding.state == "bad" for finding in found)
    if args.json:
        print(json.dumps([asdict(finding) for finding in found]))
    else:
        console.print(f"\n{bad} of {len(found)} checks failed." if bad else "\nAll is well.")
    return 1 if bad else 0


async def _findings(*, quick: bool) -> AsyncIterator[Finding]:
    """Cheap checks first; what depends on a failed one is left out."""
    settings, problems = connection.user_settings()
    for finding in (
        installation.python(),
        installation.packages(),
        installation.grammars(),
        installation.settings(problems),
        installation.runtime(),
        installation.memory(),
    ):
        yield finding
    remote = bool(settings.backend.url) or settings.backend.kind != "engine"
    packages = installation.engine_packages(remote=remote)
    yield packages
    if packages.state == "good" and not quick:
        yield await engine.models()
        test = await engine.self_test()
        yield test
        yield installation.accelerator(test.detail)
    yield await engine.running()
    if not quick:
        yield await engine.completion(settings)
    for finding in installation.editors():
        yield finding


def _print(console: Console, finding: Finding) -> None:
    sign, style = SIGNS[finding.state]
    console.print(f"[{style}]{sign}[/] [bold]{finding.name}[/]  ", end="")
    console.print(finding.detail, markup=False, soft_wrap=True)
    if finding.hint:
        console.print(f"    {finding.hint}", style=style, markup=False, soft_wrap=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="midfill doctor",
        description="Check what is installed, the settings, the runtime directory, the model, "
        "the device and a completion, and say what to do about each fault. Exit code 1 if "
        "anything is wrong.",
    )
    parser.add_argument("--quick", action="store_true", help="without loading the model")
    parser.add_argument("--json", action="store_true", help="as JSON")
    return parser
