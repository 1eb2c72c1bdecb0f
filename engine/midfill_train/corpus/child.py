"""Python source run in a child process: what it may import, and how long it may take.

Owns the limits on time, memory and written bytes. Only source that imports nothing but what
computes is run. That keeps mistakes out, it is no sandbox.
"""

from __future__ import annotations

import ast
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any, NoReturn

if sys.platform != "win32":
    import resource

#: Memory that a run may take beside what its process has.
BYTES = 1 << 30
HARMLESS = frozenset(
    """
    __future__ abc array base64 binascii bisect calendar cmath collections colorsys contextlib copy
    dataclasses datetime decimal difflib doctest enum fractions functools hashlib heapq html inspect
    itertools json keyword logging math mpmath numbers numpy operator pprint queue random re secrets
    statistics string struct sympy sys textwrap time timeit types typing typing_extensions
    unicodedata unittest uuid warnings weakref zlib
    """.split()  # noqa: SIM905 - a table of words
)
_REACHING = frozenset({"open", "exec", "eval", "compile", "__import__", "breakpoint"})


def parse(source: str) -> ast.Module | None:
    """``source`` as a tree; ``None`` if it is no Python or reaches for more than `HARMLESS`."""
    try:
        tree = ast.parse(source)
        nodes = list(ast.walk(tree))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    wanted = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            wanted |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            wanted.add("." if node.level else (node.module or "").partition(".")[0])
        elif isinstance(node, ast.Name) and node.id in _REACHING:
            return None
    return tree if wanted <= HARMLESS else None


def run(task: Callable[[ModuleType], Any], source: str, seconds: float) -> Any:
    """What ``task`` returns of the module that ``source`` makes; ``None`` if anything goes wrong.

    Parameters
    ----------
    task
        Returns what JSON can carry.
    source
        What `parse` accepts.
    seconds
        Of both, on the clock.
    """
    with TemporaryDirectory() as folder:
        ours, theirs = os.pipe()
        child = os.fork()  # not multiprocessing, whose processes may be daemons without children
        if child == 0:
            os.close(ours)
            os.chdir(folder)
            _child(theirs, task, source, seconds)
        os.close(theirs)
        try:
            return json.loads(_read(ours, time.monotonic() + seconds) or "null")
        finally:
            os.close(ours)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _read(pipe: int, until: float) -> bytes:
    """What comes out of ``pipe`` before its other end is closed; nothing if that is too late."""
    pieces: list[bytes] = []
    while select.select([pipe], [], [], max(0.0, until - time.monotonic()))[0]:
        piece = os.read(pipe, 1 << 16)
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)
    return b""


def _child(answer: int, task: Callable[[ModuleType], Any], source: str, seconds: float) -> NoReturn:
    try:
        _limit(seconds)
        module = sys.modules["tested"] = ModuleType("tested")
        exec(compile(source, "tested", "exec", dont_inherit=True), module.__dict__)  # noqa: S102
        os.write(answer, json.dumps(task(module)).encode())
    except BaseException:  # noqa: BLE001, S110 - whatever strange code raises ends the child alone
        pass
    finally:
        os._exit(0)  # nothing that the source left behind is run


def _limit(seconds: float) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + BYTES,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1,) * 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
