"""What distinguishes one family of checkpoints from another, as data.

Owns `DecoderConfig` (the switches of the one decoder core), `DiffusionSpec` and `InPlaceSpec`
(special ids and layout facts of the two layouts) and `ModelFamily` (how to read them from a
``config.json``). Knows no family by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from midfill_engine.errors import CorruptCheckpoint


@dataclass(frozen=True, slots=True)
class DecoderConfig:
    """Sizes and switches of a dense decoder."""

    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    vocab_size: int
    rms_norm_eps: float
    rope_theta: float
    max_positions: int
    qkv_bias: bool
    tied_head: bool


@dataclass(frozen=True, slots=True)
class DiffusionSpec:
    """Special token ids and what a block-causal checkpoint was trained to see.

    ``near_id`` and ``middle_id`` are ``None`` for checkpoints without a near suffix: their context
    is far suffix and prefix only. ``forbidden_ids`` can never come out of the model.
    """

    block_size: int
    mask_id: int
    eom_id: int
    suffix_id: int
    prefix_id: int
    path_id: int | None
    near_id: int | None
    middle_id: int | None
    forbidden_ids: tuple[int, ...]
    trained_context_tokens: int
    #: Whether pieces of other files stood before the suffix in training.
    snippets: bool
    #: Widths of the open block that the checkpoint was trained with, ascending.
    widths: tuple[int, ...]
    #: Whether committed tokens were noised in training, so that a wrong one can be edited.
    token_editing: bool

    def width(self, wanted: int) -> int:
        """The smallest trained width of at least ``wanted``, or the largest."""
        return next((width for width in self.widths if width >= wanted), self.widths[-1])


@dataclass(frozen=True, slots=True)
class InPlaceSpec:
    """Special token ids of a fully bidirectional checkpoint, whose masks stand inside the text.

    ``bos_id`` stands before and ``eos_id`` behind the whole text, where they are not ``None``.
    ``forbidden_ids`` can never come out of the model.
    """

    mask_id: int
    #: Where a mask says so, the middle ends before it.
    eom_id: int
    bos_id: int | None
    eos_id: int | None
    forbidden_ids: tuple[int, ...]
    trained_context_tokens: int
    #: Whether a position is predicted by the row before it, as in autoregressive models.
    shift: bool
    #: Pieces of other files have no place in a text of one file.
    snippets: bool = False
    #: There are no blocks: all rows see one another.
    block_size: int = 0


@dataclass(frozen=True, slots=True)
class TensorNames:
    """Where a family keeps its tensors; ``layer`` formats the layer's number in."""

    embedding: str
    final_norm: str
    head: str
    layer: str
    attention_norm: str
    q: str
    k: str
    v: str
    o: str
    mlp_norm: str
    gate: str
    up: str
    down: str


@dataclass(frozen=True, slots=True)
class ModelFamily:
    """One family: which architectures it reads, and how."""

    name: str
    architectures: tuple[str, ...]
    decoder: Callable[[Mapping[str, Any]], DecoderConfig]
    diffusion: Callable[[Mapping[str, Any]], DiffusionSpec | InPlaceSpec]
    tensors: TensorNames


def integer(config: Mapping[str, Any], key: str, low: int = 1, high: int = 1 << 31) -> int:
    """The whole number ``config[key]``.

    Raises
    ------
    CorruptCheckpoint
        It is missing, no whole number, or outside ``[low, high]``.
    """
    value = config.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise CorruptCheckpoint(
            f"config.json: {key} is {value!r}, not a whole number from {low} to {high}.",
            "Copy the checkpoint again.",
        )
    return value


def optional_integer(config: Mapping[str, Any], key: str) -> int | None:
    """As `integer`, but ``None`` where the key is missing or null."""
    return None if config.get(key) is None else integer(config, key, 0)


def token_id(config: Mapping[str, Any], key: str, vocab_size: int) -> int:
    """The token id ``config[key]``.

    Raises
    ------
    CorruptCheckpoint
        It is missing or outside the vocabulary.
    """
    return integer(config, key, 0, vocab_size - 1)


def number(config: Mapping[str, Any], key: str) -> float:
    """The positive number ``config[key]``.

    Raises
    ------
    CorruptCheckpoint
        It is missing or not a positive number.
    """
    value = config.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise CorruptCheckpoint(
            f"config.json: {key} is {value!r}, not a positive number.",
            "Copy the checkpoint again.",
        )
    return float(value)
