"""``midfill models``: list, verify, locate and fetch checkpoints.

Owns arguments, exit codes and printed tables. Knows no tensors.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from midfill_engine.commands.download import Download
from midfill_engine.models.configuration import ADAPTER_FILE, CONFIG_FILE, read_json
from midfill_engine.models.locate import (
    base_name,
    base_of,
    installed,
    is_adapter,
    locate,
    search_path,
)
from midfill_engine.settings import load
from midfill_engine.wire import MidfillError

EXIT_FAILED = 1


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    args = _parser().parse_args(argv)
    try:
        code: int = args.run(args)
    except MidfillError as error:
        print(f"midfill models: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return EXIT_FAILED
    return code


def _list(args: argparse.Namespace) -> int:
    rows = [_describe(path) for path in installed()]
    if args.json:
        print(json.dumps(rows))
        return 0
    if not rows:
        places = "\n".join(f"  {path}" for path in search_path())
        print(f"No model is installed. Looked in:\n{places}")
        return EXIT_FAILED
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        size = f"{row['bytes'] / 2**20:,.0f} MiB"
        print(f"{row['name']:<{width}}  {size:>10}  {row['architecture']}  {row['path']}")
    return 0


def _describe(path: Path) -> dict[str, Any]:
    try:
        if is_adapter(path):
            architecture = f"adapter of {base_name(path)}"
        else:
            architecture = str(read_json(path / CONFIG_FILE)["architectures"][0])
    except (MidfillError, KeyError, IndexError, TypeError):
        architecture = f"({ADAPTER_FILE if is_adapter(path) else CONFIG_FILE} cannot be read)"
    size = sum(file.stat().st_size for file in path.iterdir() if file.is_file())
    return {"name": path.name, "path": str(path), "bytes": size, "architecture": architecture}


def _verify(args: argparse.Namespace) -> int:
    """Every named model, or all; goes on after a bad one."""
    # Late: it imports the tensor library, and the other subcommands need none.
    from midfill_engine.models.adapter import open_checkpoint  # noqa: PLC0415
    from midfill_engine.models.sums import sums_checked  # noqa: PLC0415

    paths = [locate(name) for name in args.name] or installed()
    if not paths:
        print("No model is installed.", file=sys.stderr)
        return EXIT_FAILED
    bad = 0
    for path in paths:
        try:
            with sums_checked(path, base_of(path)):
                open_checkpoint(path)
            print(f"{path.name}: good")
        except MidfillError as error:
            bad += 1
            print(f"{path.name}: {error}")
    return EXIT_FAILED if bad else 0


def _path(args: argparse.Namespace) -> int:
    print(locate(args.name))
    return 0


def _fetch(args: argparse.Namespace) -> int:
    target = args.into / (args.name or args.repository.rsplit("/", 1)[-1])
    hub = args.hub or load().settings.hub
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TransferSpeedColumn()) as bars:
        tasks: dict[str, Any] = {}

        def show(file: str, done: int, total: int) -> None:
            if file not in tasks:
                tasks[file] = bars.add_task(file)
            bars.update(tasks[file], completed=done, total=total or None)

        download = Download(hub, args.repository, args.revision, target, show)
        path = asyncio.run(download.run())
    if download.unchecked:
        print(f"No checksum was published for {', '.join(download.unchecked)}.", file=sys.stderr)
    print(path)
    try:
        base_of(path)
    except MidfillError as error:  # what came is whole, but it does not stand alone
        print(error, file=sys.stderr)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="midfill models",
        description="Models are directories with config.json, tokenizer.json and safetensors "
        "files, or with an adapter of such a model. They are looked for in the directories of "
        "$MIDFILL_MODELS, in those that came with midfill, and in the user's data directory.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    found = commands.add_parser("list", help="installed models, with size and place")
    found.add_argument("--json", action="store_true", help="as JSON")
    found.set_defaults(run=_list)
    verify = commands.add_parser("verify", help="check files, shapes and checksums")
    verify.add_argument("name", nargs="*", help="names or paths; all installed ones by default")
    verify.set_defaults(run=_verify)
    path = commands.add_parser("path", help="print the directory of a model")
    path.add_argument("name")
    path.set_defaults(run=_path)
    fetch = commands.add_parser("fetch", help="download a model from a hub")
    fetch.add_argument("repository", help="OWNER/NAME on the hub")
    fetch.add_argument("--hub", default="", metavar="URL", help="or MIDFILL_HUB, or setting hub")
    fetch.add_argument("--revision", default="main", help="branch, tag or commit (%(default)s)")
    fetch.add_argument("--name", default="", help="name here; by default NAME of the repository")
    fetch.add_argument(
        "--into", type=Path, default=search_path()[-1], metavar="DIR", help="(%(default)s)"
    )
    fetch.set_defaults(run=_fetch)
    return parser
