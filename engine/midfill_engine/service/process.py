"""One daemon a user: the runtime directory, the lock, the socket, the way out.

Owns who may be the daemon and where it listens. Knows nothing of models nor of what is served.

The runtime directory is ``$MIDFILL_RUNTIME_DIR``, else the platform's, and is private (0700). In
it: ``engine.lock`` (locked while the daemon lives: the kernel frees it even after ``kill -9``, and
the file is never removed, since two processes could then lock two different files),
``engine.sock``, ``engine.json`` (how to reach the daemon) and ``engine.log``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from midfill_engine.settings import runtime_directory
from midfill_engine.wire import MidfillError

#: asyncio serves Unix sockets everywhere but on Windows.
HAS_UNIX_SOCKETS = sys.platform != "win32"
#: Bytes of a socket's path that every Unix takes (macOS: 104 with the closing zero).
MAX_SOCKET_PATH = 103
#: How long a second daemon waits for an ending one that still holds the lock.
TAKEOVER_WAIT_S = 5.0
TAKEOVER_POLL_S = 0.05
#: How often the daemon looks whether it is idle.
IDLE_POLL_S = 1.0


class RuntimeDirectoryError(MidfillError):
    """The runtime directory cannot be used safely."""

    code = "runtime_directory"


@dataclass(frozen=True, slots=True)
class Place:
    """The daemon's files."""

    directory: Path

    @classmethod
    def of_user(cls) -> Place:
        """Where this user's daemon lives."""
        return cls(runtime_directory())

    @property
    def socket(self) -> Path:
        """Unix socket, mode 0600."""
        return self.directory / "engine.sock"

    @property
    def lock(self) -> Path:
        """Locked by the living daemon."""
        return self.directory / "engine.lock"

    @property
    def description(self) -> Path:
        """JSON: ``pid``, ``version``, ``protocol``, and ``socket`` or ``port`` and ``token``."""
        return self.directory / "engine.json"

    @property
    def log(self) -> Path:
        """JSON lines."""
        return self.directory / "engine.log"

    def prepare(self) -> None:
        """Make the directory, private to this user.

        Raises
        ------
        RuntimeDirectoryError
            When it belongs to somebody else, is a link, or its name is too long for a socket.
        """
        hint = "Set MIDFILL_RUNTIME_DIR to a private directory with a short path."
        if HAS_UNIX_SOCKETS and len(os.fsencode(self.socket)) > MAX_SOCKET_PATH:
            raise RuntimeDirectoryError(f"{self.socket} is too long for a socket.", hint)
        try:
            for parent in reversed((self.directory, *self.directory.parents)):
                if not parent.exists():
                    parent.mkdir(mode=0o700)
        except FileExistsError:  # another daemon made it in between
            self.prepare()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise RuntimeDirectoryError(f"Cannot make {self.directory}: {reason}.", hint) from error
        if HAS_UNIX_SOCKETS:
            self._check_private(hint)

    def _check_private(self, hint: str) -> None:
        found = self.directory.lstat()
        if self.directory.is_symlink() or found.st_uid != os.getuid():
            raise RuntimeDirectoryError(f"{self.directory} does not belong to you.", hint)
        # Who owns the directory above could swap ours for his own.
        if self.directory.parent.stat().st_uid not in (0, os.getuid()):
            raise RuntimeDirectoryError(f"{self.directory.parent} belongs to another user.", hint)
        if found.st_mode & 0o077:
            self.directory.chmod(0o700)


class Claim:
    """The right to be this user's daemon, held until the process ends or `release`."""

    def __init__(self, place: Place, descriptor: int) -> None:
        self.place = place
        self._descriptor = descriptor

    @classmethod
    def attempt(cls, place: Place, wait_s: float = TAKEOVER_WAIT_S) -> Claim | None:
        """Take the lock; ``None`` when a daemon lives.

        A holder that answers on its socket is alive. One that does not is starting or ending:
        then wait a little, so that a start at the moment of an idle exit is not lost.
        """
        place.prepare()
        descriptor = os.open(place.lock, os.O_RDWR | os.O_CREAT, 0o600)
        until = time.monotonic() + wait_s
        while not _try_lock(descriptor):
            if answers(place) or time.monotonic() > until:
                os.close(descriptor)
                return None
            time.sleep(TAKEOVER_POLL_S)
        place.socket.unlink(missing_ok=True)
        place.description.unlink(missing_ok=True)
        return cls(place, descriptor)

    def in_place(self) -> bool:
        """Whether the lock file is still the one we hold: a cleaner may have emptied the place."""
        try:
            return os.path.samestat(self.place.lock.stat(), os.fstat(self._descriptor))
        except OSError:
            return False

    def listen(self) -> socket.socket:
        """The socket to serve on: Unix, 0600; on Windows loopback TCP on a free port."""
        if not HAS_UNIX_SOCKETS:
            return socket.create_server(("127.0.0.1", 0))
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.place.socket))
        # Nobody else can reach it before this line either: the directory is 0700.
        self.place.socket.chmod(0o600)
        return listener

    def announce(self, description: dict[str, Any]) -> None:
        """Write ``engine.json`` in one piece, readable by this user only."""
        fresh = self.place.description.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(description, file)
        fresh.replace(self.place.description)

    def withdraw(self) -> None:
        """Remove socket and description, so that nobody waits for an ending daemon."""
        if self.in_place():
            self.place.socket.unlink(missing_ok=True)
            self.place.description.unlink(missing_ok=True)

    def release(self) -> None:
        """Let another process be the daemon."""
        os.close(self._descriptor)


@contextlib.contextmanager
def claimed(place: Place) -> Iterator[Claim | None]:
    """`Claim.attempt` for the length of a block."""
    claim = Claim.attempt(place)
    try:
        yield claim
    finally:
        if claim is not None:
            claim.withdraw()
            claim.release()


def answers(place: Place) -> bool:
    """Whether somebody accepts connections at ``place``."""
    try:
        description = json.loads(place.description.read_text(encoding="utf-8"))
        if "port" in description:
            socket.create_connection(("127.0.0.1", description["port"]), timeout=1).close()
            return True
    except (OSError, ValueError, TypeError):
        pass  # not written yet, or cut short
    if not HAS_UNIX_SOCKETS:
        return False
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1)
            probe.connect(str(place.socket))
    except OSError:
        return False
    return True


async def until_idle(
    idle_s: Callable[[], float],
    limit_s: Callable[[], float],
    stop: asyncio.Event,
    useful: Callable[[], bool],
    poll_s: float = IDLE_POLL_S,
) -> str:
    """Wait for a reason to end and return it: ``asked``, ``idle`` or ``useless``.

    Parameters
    ----------
    limit_s
        Idle seconds after which to end; 0: never.
    useful
        Whether clients can still find this daemon, and it can still answer them.
    """
    while True:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), poll_s)
            return "asked"
        if limit_s() and idle_s() >= limit_s():
            return "idle"
        if not useful():
            return "useless"


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
