"""Giving memory back to the system, and keeping Python from looking through what stays."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def release_freed() -> None:
    """Return what was freed to the system; loading a model leaves some 100 MB behind.

    Only glibc keeps that much, and only glibc has the call.
    """
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


@contextmanager
def uncollected() -> Iterator[None]:
    """Let the body make its objects without garbage collections, then take them for permanent.

    Importing PyTorch makes some 250,000 objects. Looking through them takes a tenth of the import,
    and some 50 ms of a request at each full collection later.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()
