"""Keys and values of one sequence; the slot of a row is its position.

Owns the memory and its growth. Knows neither tokens nor which slots still hold true
(`cache.keystroke`).
"""

from __future__ import annotations

import torch
from torch import Tensor

#: Slots are added in steps of so many, so that typing does not reallocate.
GROWTH = 256


class KVCache:
    """Keys and values of all layers, ``(layers, 2, kv_heads, slots, head_dim)``."""

    def __init__(
        self, layers: int, kv_heads: int, head_dim: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self._data = torch.empty((layers, 2, kv_heads, 0, head_dim), dtype=dtype, device=device)

    def reserve(self, slots: int) -> None:
        """Make room for ``slots`` slots, keeping what is there."""
        have = self._data.shape[3]
        if slots <= have:
            return
        room = -(-slots // GROWTH) * GROWTH
        shape = (*self._data.shape[:3], room, self._data.shape[4])
        # Zeros: what a masked product reads must be finite.
        grown = torch.zeros(shape, dtype=self._data.dtype, device=self._data.device)
        grown[:, :, :, :have] = self._data
        self._data = grown

    def layer(self, number: int) -> Tensor:
        """Keys and values of one layer, ``(2, kv_heads, slots, head_dim)``: a view to write to."""
        return self._data[number]

    def copy_from(self, other: KVCache, length: int) -> None:
        """Take over the first ``length`` slots of ``other``."""
        self.reserve(length)
        length = min(length, other._data.shape[3])
        self._data[:, :, :, :length] = other._data[:, :, :, :length]

    def copy(self) -> KVCache:
        """The same keys and values in a memory of its own."""
        layers, _, kv_heads, slots, head_dim = self._data.shape
        twin = KVCache(layers, kv_heads, head_dim, self._data.dtype, self._data.device)
        twin.copy_from(self, slots)
        return twin

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self._data.nbytes
