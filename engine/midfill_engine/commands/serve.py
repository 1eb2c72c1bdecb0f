"""``midfill serve``: the same engine on TCP, for a team or for clients that speak HTTP.

Owns arguments, the API key and exit codes. Knows no tensors and no dialect.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from midfill_engine.api import app
from midfill_engine.api.access import is_loopback
from midfill_engine.commands import options
from midfill_engine.commands.engine import EXIT_FAILED, on_signals, require_torch
from midfill_engine.service import logs
from midfill_engine.service.engine import Engine, load_filler
from midfill_engine.service.worker import Load, ModelState
from midfill_engine.settings import api_key_of_environment
from midfill_engine.wire import MidfillError

EXIT_USAGE = 2
#: Where llama.vim and llama.vscode look when nothing is configured.
DEFAULT_PORT = 8012
#: A key that can be guessed is none.
MIN_KEY_LENGTH = 16


class UsageError(MidfillError):
    """The command line cannot be followed."""

    code = "usage"


def main(argv: Sequence[str], load: Load = load_filler) -> int:
    """Run the command; ``load`` is replaced in tests."""
    args = _parser().parse_args(argv)
    require_torch()
    settings = options.settings(args)
    logs.configure()
    try:
        key = _key(args)
        listener = _listen(args.host, args.port)
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_serve(Engine(settings, load), listener, key))
    except MidfillError as error:
        print(f"midfill serve: {error}", file=sys.stderr)
        return EXIT_USAGE if isinstance(error, UsageError) else EXIT_FAILED
    return 0


async def _serve(engine: Engine, listener: socket.socket, key: str) -> None:
    stop = asyncio.Event()
    on_signals(stop)
    await engine.start()
    async with app.serving(app.build(engine, key=key), listener):
        host, port = listener.getsockname()[:2]
        _say(f"Listening on http://{host}:{port}, loading {engine.settings.model} ...")
        loaded = asyncio.create_task(engine.loaded())
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({loaded, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if loaded.done():
            _report(loaded.result())
            await stopped
        loaded.cancel()
        await engine.close()


def _report(model: ModelState) -> None:
    if model.error is not None:
        raise model.error
    if model.info is not None:
        _say(f"Ready: {model.info.name}, {model.info.precision} on {model.info.device}.")


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def _key(args: argparse.Namespace) -> str:
    """The API key, from where it was given.

    Raises
    ------
    UsageError
        When it is unusable, or missing though others can reach the address.
    """
    key = args.api_key or (_read_key(args.api_key_file) if args.api_key_file else "")
    key = key or api_key_of_environment()
    if not key and not is_loopback(args.host):
        raise UsageError(
            f"Others can reach {args.host}, so an API key is needed.",
            "Give --api-key-file FILE or set MIDFILL_API_KEY, or use --host 127.0.0.1.",
        )
    if key and (len(key) < MIN_KEY_LENGTH or not key.isascii() or " " in key):
        raise UsageError(
            f"The API key must have at least {MIN_KEY_LENGTH} ASCII characters and no spaces.",
            "Make one with: python -c 'import secrets; print(secrets.token_urlsafe())'",
        )
    return key


def _read_key(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise UsageError(f"Cannot read the API key from {file}: {reason}.") from error


def _listen(host: str, port: int) -> socket.socket:
    """A TCP socket bound to the first address of ``host``.

    Raises
    ------
    MidfillError
        When the name is unknown or the port is taken.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        raise MidfillError(
            f"Cannot listen on {host}:{port}: {error.strerror or error}.",
            "Choose another --host or --port.",
        ) from error


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError("must be a number from 0 to 65535; 0 takes a free one")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="midfill serve",
        description="Serve the engine over HTTP. Requests must bring the API key, if one is set, "
        "as `Authorization: Bearer KEY`. An address that others can reach needs one. The "
        "connection is not encrypted: outside a trusted network, put a TLS proxy before it.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=_port, default=DEFAULT_PORT, help="port (%(default)s)")
    key = parser.add_mutually_exclusive_group()
    key.add_argument("--api-key-file", type=Path, metavar="FILE", help="file that holds the key")
    key.add_argument(
        "--api-key",
        metavar="KEY",
        help="the key itself; other users can see it in the process list, so prefer a file or "
        "MIDFILL_API_KEY",
    )
    options.add(parser)
    return parser
