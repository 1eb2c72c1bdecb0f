"""Giving memory back to the system, and keeping Python from looking through what stays."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Linux: the pages may go; those of an unchanged file are read again where they are touched.
_DONT_NEED = 4


def release_freed() -> None:
    """Return what was freed to the system; loading a model leaves some 100 MB behind.

    Only glibc keeps that much, and only glibc has the call.
    """
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def release_program() -> None:
    """Let go of the program's own code, of which most ran once: to import and to load.

    That is some 90 MB. What goes on running is mapped again as it is touched, from the system's
    cache of files: a few milliseconds, once. Linux only.
    """
    maps = Path("/proc/self/maps")
    if sys.platform != "linux" or not maps.exists():
        return
    advise = ctypes.CDLL(None).madvise
    advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for line in maps.read_text().splitlines():
        place, rights, _, _, _, *path = line.split(maxsplit=5)
        # Code is never written to: what is mapped for that can hold more than its file.
        if rights == "r-xp" and path and path[0].startswith("/"):
            start, end = (int(address, 16) for address in place.split("-"))
            advise(start, end - start, _DONT_NEED)


@contextmanager
def uncollected() -> Iterator[None]:
    """Let the body make its objects without garbage collections, then take them for permanent.

    Importing PyTorch makes some 250,000 objects. Looking through them once takes a tenth of the
    import, and so does each full collection later; 1.6 MB of them are garbage.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
