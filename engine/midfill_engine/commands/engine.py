"""``midfill engine``: the daemon of this user, in the foreground or as started by an editor.

Owns arguments, exit codes and the order of starting and ending. Knows no tensors.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import secrets
import signal
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from midfill_engine.api import app
from midfill_engine.commands import options
from midfill_engine.deadline import Deadline, StopToken
from midfill_engine.service import logs
from midfill_engine.service.engine import Engine, load_filler
from midfill_engine.service.process import HAS_UNIX_SOCKETS, Claim, Place, claimed, until_idle
from midfill_engine.service.worker import Load
from midfill_engine.settings import EngineSettings
from midfill_engine.wire import PROTOCOL_VERSION, FillRequest, MidfillError

log = logging.getLogger(__name__)

EXIT_FAILED = 1
#: How long a daemon without a model stays, so that clients can read in ``/health`` why.
FAILED_EXIT_S = 60.0

SELF_TEST = FillRequest(
    prefix="def area(width, height):\n    return ",
    suffix="\n\n\nprint(area(2, 3))\n",
    path="area.py",
    language="python",
    max_tokens=16,
)


def main(argv: Sequence[str], load: Load = load_filler) -> int:
    """Run the command; ``load`` is replaced in tests."""
    args = _parser().parse_args(argv)
    require_torch()
    settings = options.settings(args)
    try:
        return (
            self_test(settings, load, args.json) if args.self_test else _run(args, settings, load)
        )
    except MidfillError as error:
        print(f"midfill engine: {error}", file=sys.stderr)
        return EXIT_FAILED


def require_torch() -> None:
    """Say at once that the extra is missing, not after the socket is open.

    Raises
    ------
    ModuleNotFoundError
        Which ``midfill`` turns into a sentence.
    """
    if find_spec("torch") is None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")


def self_test(settings: EngineSettings, load: Load, as_json: bool) -> int:
    """Load the model in this process, fill one hole twice, and say how it went."""
    started = time.monotonic()
    try:
        filler = load(settings, lambda _progress, _message: None)
        loaded = time.monotonic()
        stop, never = StopToken(), Deadline.after_ms(None)
        filler.fill(SELF_TEST, deadline=never, stop=stop)  # the first one also warms up
        filler.forget(SELF_TEST.session)
        fill = filler.fill(SELF_TEST, deadline=never, stop=stop)
    except MidfillError as error:
        return _failed(error, as_json)
    except (ImportError, OSError, RuntimeError) as error:  # a broken torch is a finding as well
        words = f"The model cannot run here ({type(error).__name__}: {error})."
        return _failed(MidfillError(words, "Reinstall torch, or try --device cpu."), as_json)
    found = {
        "ok": True,
        "model": filler.info.to_dict(),
        "load_ms": round((loaded - started) * 1000),
        "fill_ms": round(fill.total_ms, 1),
        "nfe": fill.nfe,
        "tokens_per_forward": round(fill.tokens_per_forward, 2),
        "text": fill.text,
    }
    print(json.dumps(found) if as_json else _sentence(found))
    return 0


def _failed(error: MidfillError, as_json: bool) -> int:
    found = {"ok": False, "code": error.code, "message": error.message, "hint": error.hint}
    print(json.dumps(found) if as_json else f"failed: {error}")
    return EXIT_FAILED


def _sentence(found: dict[str, Any]) -> str:
    model = found["model"]
    return (
        f"ok: {model['name']} ({model['precision']} on {model['device']}) loaded in "
        f"{found['load_ms'] / 1000:.1f} s, filled {found['text']!r} in {found['fill_ms']} ms "
        f"with {found['nfe']} forwards"
    )


def _run(args: argparse.Namespace, settings: EngineSettings, load: Load) -> int:
    os.umask(0o077)
    place = Place.of_user()
    with claimed(place) as claim:
        if claim is None:
            print(f"midfill engine: one is running already, at {place.socket}.")
            return 0
        logs.configure(place.log if args.daemon else None)
        if not args.daemon:
            print(f"Midfill engine at {place.socket}; Control-C ends it.", file=sys.stderr)
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(serve_until_idle(claim, Engine(settings, load)))
    return 0


async def serve_until_idle(claim: Claim, engine: Engine) -> None:
    """Listen, load in the background, and serve until asked to end or idle for long enough."""
    stop = asyncio.Event()
    on_signals(stop)
    listener = claim.listen()
    # A Unix socket is guarded by its mode; a TCP port needs a secret that only this user can read.
    token = "" if HAS_UNIX_SOCKETS else secrets.token_urlsafe(32)
    await engine.start()
    async with app.serving(app.build(engine, key=token, stop=stop), listener):
        port = None if HAS_UNIX_SOCKETS else listener.getsockname()[1]
        claim.announce(_description(claim.place, port, token))
        log.info("started", extra={"pid": os.getpid(), "version": version("midfill")})
        reason = await until_idle(
            engine.idle_s,
            lambda: FAILED_EXIT_S if engine.state == "error" else engine.settings.idle_exit_s,
            stop,
            lambda: claim.in_place() and not engine.model.broken,
        )
        claim.withdraw()  # first, so that nobody connects to a daemon that ends
        await engine.close()
    log.info("ended", extra={"reason": reason, "pid": os.getpid()})


def on_signals(stop: asyncio.Event) -> None:
    """Let SIGTERM and SIGINT end the process in order."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(NotImplementedError):  # Windows: KeyboardInterrupt does it
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        loop.add_signal_handler(signal.SIGINT, stop.set)


def _description(place: Place, port: int | None, token: str) -> dict[str, Any]:
    reach = {"socket": str(place.socket)} if port is None else {"port": port, "token": token}
    common = {"pid": os.getpid(), "version": version("midfill"), "protocol": PROTOCOL_VERSION}
    return {**common, **reach}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="midfill engine",
        description="Run the engine of this user: one process that owns the model and the device. "
        "Editors start it by themselves. A second one sees the first and ends with exit code 0.",
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument(
        "--foreground", action="store_true", help="log to this terminal (this is the default)"
    )
    mode.add_argument(
        "--daemon",
        action="store_true",
        help="log to engine.log in the runtime directory, as when an editor starts it",
    )
    mode.add_argument(
        "--self-test",
        action="store_true",
        help="load the model here, fill one hole, print how it went, and end",
    )
    parser.add_argument("--json", action="store_true", help="with --self-test: one JSON object")
    options.add(parser)
    return parser
