"""Imported before PyTorch: idle threads of a forward wait as they do in the engine.

OpenMP reads how to wait when PyTorch is imported; a call in `main` would come too late.
"""

from midfill_engine.settings import share_cores

share_cores()
