"""Finds the user's engine, starts it when none answers, and waits for it in the background.

Owns the description of where the engine listens (`Endpoint`), the back-off between starts and
the one background task that watches a start. Knows nothing of requests; the lock file inside
the engine decides when several editors start one at the same time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from midfill_engine.wire import PROTOCOL_VERSION
from midfill_lsp.backend.base import EngineUnavailable, Health, ProtocolMismatch, model_words
from midfill_lsp.settings import runtime_directory

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

log = logging.getLogger(__name__)

#: Seconds before the second, third, ... start in a row; the last one repeats.
BACK_OFF_S = (0.5, 1.0, 2.0, 5.0, 15.0, 60.0)
#: Starts in a row before it is given up, and seconds until a keystroke may try again.
MAX_STARTS, GIVE_UP_S = 6, 60.0
#: Between two looks at an engine that is starting or loading, seconds.
LOOK_EVERY_S = 0.15
#: How long a started process may take until it answers ``/health``, seconds. Importing torch on
#: a cold disk takes most of it.
ANSWER_WITHIN_S = 60.0
#: Exit code of `midfill` when a package is not installed.
EXIT_MISSING = 3
#: Windows has no sessions; there a process is detached by flags (DETACHED_PROCESS and a group).
_DETACHED = 0x208 if os.name == "nt" else 0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an engine listens: a Unix socket, or an address with a token."""

    socket: str = ""
    url: str = ""
    token: str = ""


def find_endpoint(directory: Path | None = None) -> Endpoint | None:
    """Where the user's engine says it listens, or ``None`` when no engine left a description.

    A directory of another user is no place to send code to.
    """
    directory = directory or runtime_directory()
    if not _is_ours(directory):
        return None
    try:
        described = json.loads((directory / "engine.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        described = {}
    if not isinstance(described, dict):
        described = {}
    if isinstance(port := described.get("port"), int):
        return Endpoint(url=f"http://127.0.0.1:{port}", token=str(described.get("token", "")))
    socket = described.get("socket") or str(directory / "engine.sock")
    return Endpoint(socket=socket) if os.path.exists(socket) else None  # noqa: PTH110


def _is_ours(directory: Path) -> bool:
    if os.name == "nt":
        return True
    try:
        return directory.lstat().st_uid == os.getuid() and not directory.is_symlink()
    except OSError:
        return False


def start_engine(
    command: Sequence[str] = (), directory: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start the engine detached from this process and its editor.

    Raises
    ------
    EngineUnavailable
        When the program cannot be run.
    """
    directory = directory or runtime_directory()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    argv = [*command] or [sys.executable, "-m", "midfill_lsp.cli", "engine", "--daemon"]
    log_file = os.open(directory / "engine.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return subprocess.Popen(  # noqa: S603  (the user's own command)
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log_file,
            stderr=log_file,
            # Not the project's directory: Python would import what lies there.
            cwd=directory,
            start_new_session=True,
            creationflags=_DETACHED,
        )
    except OSError as error:
        raise EngineUnavailable(
            f"The engine cannot be started: {argv[0]}: {error.strerror}.",
            "Check the setting engine.command, or run `midfill doctor`.",
        ) from error
    finally:
        os.close(log_file)


class Launcher:
    """Keeps one engine reachable: looks, starts, waits, tells.

    Parameters
    ----------
    look
        Asks the engine for its ``/health``; raises `EngineUnavailable`, with the silence
        ``engine-starting`` when nothing answers.
    on_change
        Told each change of state.
    command, autostart
        As in the settings ``engine.command`` and ``engine.autostart``.
    stop_old
        Ends an engine of an older release.
    """

    def __init__(
        self,
        look: Callable[[], Awaitable[dict[str, Any]]],
        on_change: Callable[[Health], None],
        *,
        command: Sequence[str] = (),
        autostart: bool = True,
        stop_old: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._look, self._on_change = look, on_change
        self._command, self._autostart, self._stop_old = tuple(command), autostart, stop_old
        self._watch: asyncio.Task[None] | None = None
        self._starts = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._final = False
        self._not_before = 0.0
        self.state = Health("starting", "Midfill is looking for its engine.")

    def wake(self) -> None:
        """Begin to look for the engine, unless that is going on or is known to be hopeless."""
        loop = asyncio.get_running_loop()
        if self._final or self.state.state == "ready" or loop.time() < self._not_before:
            return
        if self._watch is None or self._watch.done():
            self._watch = loop.create_task(self._until_ready())

    def lost(self, *, crashed: bool) -> None:
        """The engine that was ready answers no more: look for it again."""
        words = "ended unexpectedly and is being restarted" if crashed else "is starting"
        if self.state.state == "ready":
            self._set(Health("starting", f"The engine {words}.", crashed=crashed))
        self.wake()

    def retry(self) -> None:
        """Forget earlier failures, as when the user asks for a restart."""
        self._final, self._starts, self._not_before = False, 0, 0.0
        if self.state.state in ("error", "ready"):
            self._set(Health("starting", "The engine is starting."))
        self.wake()

    def silence(self) -> EngineUnavailable:
        """Why no middle can be had now, as the error to raise."""
        code = {"starting": "engine-starting", "loading": "engine-loading"}
        return EngineUnavailable(
            self.state.message, silence=code.get(self.state.state, "engine-down")
        )

    async def close(self) -> None:
        """Stop watching. The engine goes on: it belongs to all editors."""
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch

    async def _until_ready(self) -> None:
        try:
            await self._attempts()
        except EngineUnavailable as error:
            self._final = isinstance(error, ProtocolMismatch)
            if self._process is not None:
                self._not_before = asyncio.get_running_loop().time() + GIVE_UP_S
            self._set(Health("error", str(error)))
        self._starts, self._process = 0, None

    async def _attempts(self) -> None:
        while not await self._attempt():
            self._starts += 1
            if self._starts >= MAX_STARTS:
                raise EngineUnavailable("The engine could not be started.", "Run `midfill doctor`.")
            await asyncio.sleep(BACK_OFF_S[min(self._starts - 1, len(BACK_OFF_S) - 1)])

    async def _attempt(self) -> bool:
        """Start the engine if none answers and watch it; whether it got ready."""
        try:
            return await self._watch_loading(await self._seen())
        except EngineUnavailable as error:
            if error.silence != "engine-starting":
                raise
        if not self._autostart:
            raise EngineUnavailable(
                "No engine runs, and the setting engine.autostart is off.",
                "Start it with `midfill engine`.",
            )
        self._set(Health("starting", "The engine is starting."))
        log.info("engine start", extra={"f": {"attempt": self._starts}})
        self._process = start_engine(self._command)
        loop = asyncio.get_running_loop()
        give_up = loop.time() + ANSWER_WITHIN_S
        while loop.time() < give_up:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                return await self._watch_loading(await self._seen())
            except EngineUnavailable as error:
                if error.silence != "engine-starting":
                    raise
                if self._ended_badly():
                    return False
        return False

    async def _watch_loading(self, health: dict[str, Any]) -> bool:
        while True:
            model, device = model_words(health.get("model"))
            if health.get("status") == "ok":
                self._set(Health("ready", "", None, model, device))
                return True
            if health.get("status") == "error":
                raise EngineUnavailable(str(health.get("message") or "The engine failed."))
            progress = float(health.get("progress") or 0.0)
            words = f"The engine loads the model, {progress:.0%}."
            self._set(Health("loading", words, progress, model, device))
            await asyncio.sleep(LOOK_EVERY_S)
            health = await self._seen()

    async def _seen(self) -> dict[str, Any]:
        """The engine's health, once its protocol is one we speak."""
        health = await self._look()
        theirs = health.get("protocol")
        if theirs == PROTOCOL_VERSION:
            return health
        if isinstance(theirs, int) and theirs < PROTOCOL_VERSION and self._stop_old is not None:
            await self._stop_old()
            raise EngineUnavailable(
                "An engine of an older release was ended.", silence="engine-starting"
            )
        raise ProtocolMismatch(
            f"The running engine speaks protocol {theirs}, this language server "
            f"{PROTOCOL_VERSION}.",
            "Run `midfill stop`, then restart the editor.",
        )

    def _ended_badly(self) -> bool:
        """Whether the process that was started is gone; 0 means that another one won."""
        code = self._process.poll() if self._process else None
        if code == EXIT_MISSING:
            raise EngineUnavailable(
                "The engine is not installed.", "Install it with: pip install 'midfill[engine]'."
            )
        return code not in (None, 0)

    def _set(self, state: Health) -> None:
        if state != self.state:
            self.state = state
            log.info(
                "engine state", extra={"f": {"state": state.state, "progress": state.progress}}
            )
            self._on_change(state)
