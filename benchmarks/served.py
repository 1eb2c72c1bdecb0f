"""Engines as their users meet them: child processes that serve HTTP on this machine.

Owns processes and ports. Knows no dialect.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

LOADING_S = 120


class Server:
    """A child that serves HTTP, ready when its ``/health`` says so.

    Parameters
    ----------
    command
        Its words; ``--host`` and ``--port`` are added.
    """

    def __init__(self, command: Sequence[str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the child)
        self._child = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(self._port)],
            stdout=self._log,
            stderr=self._log,
        )
        try:
            self._await()
        except BaseException:
            self.close()
            raise

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The object that answers ``body``."""
        status, answer = self._ask("POST", path, json.dumps(body).encode())
        if status != 200:
            raise SystemExit(f"{path} answered {status}: {answer!r:.500}")
        return answer

    def close(self) -> None:
        """End the child."""
        self._child.terminate()
        self._child.wait(30)
        self._log.close()

    def _ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
        # A connection a request: servers drop idle ones, and here most time is another's turn.
        with closing(HTTPConnection("127.0.0.1", self._port, timeout=300)) as connection:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def _await(self) -> None:
        until = time.monotonic() + LOADING_S
        while time.monotonic() < until and self._child.poll() is None:
            with contextlib.suppress(OSError):
                status, answer = self._ask("GET", "/health")
                if status == 200 and answer["status"] == "ok":
                    return
            time.sleep(0.1)
        self._log.seek(0)
        said = self._log.read().decode(errors="replace")[-2000:]
        raise SystemExit(f"{self._child.args} does not serve. It said:\n{said}")
