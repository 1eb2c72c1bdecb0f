"""PyTorch's import without what only its compiler needs.

A fifth of that import registers what operators do with tensors that hold no numbers. The engine
has none on a CPU; whoever wants to compile imports ``torch._meta_registrations`` first.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType

#: The module that registers it, the last one that ``import torch`` imports.
_DESCRIPTIONS = "torch._meta_registrations"
#: Who looks things up in it.
_USER = "torch._decomp.decompositions"
#: Where an NVIDIA driver is. GPUs use parts of the compiler.
_DRIVER = Path("/dev/nvidiactl")


@contextmanager
def lightly_imported() -> Iterator[None]:
    """Import PyTorch in the body, if at all, without these; on Linux and where there is no GPU."""
    if "torch" in sys.modules or sys.platform != "linux" or _DRIVER.exists():
        yield
        return
    sys.modules[_DESCRIPTIONS] = ModuleType(_DESCRIPTIONS)
    try:
        yield
    finally:
        del sys.modules[_DESCRIPTIONS]
        if _USER in sys.modules:  # of a PyTorch that does not wait with these
            import_module(_DESCRIPTIONS)
