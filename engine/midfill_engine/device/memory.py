"""Giving memory back to the system."""

from __future__ import annotations

import ctypes
import gc
import sys


def release_freed() -> None:
    """Return what was freed to the system; loading a model leaves some 200 MB behind.

    Only glibc keeps that much, and only glibc has the call.
    """
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
