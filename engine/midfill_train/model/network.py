"""A Qwen2 or Llama shaped decoder for training: packed rows, tied head, nothing cached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from midfill_train.model.attention import Mask, attend


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes and switches of a decoder."""

    vocab: int
    hidden: int
    inner: int
    layers: int
    heads: int
    groups: int
    head: int
    eps: float
    theta: float
    positions: int
    bias: bool

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Shape:
        """Read the sizes of a Hugging Face ``config.json``."""
        heads = int(config["num_attention_heads"])
        return cls(
            vocab=int(config["vocab_size"]),
            hidden=int(config["hidden_size"]),
            inner=int(config["intermediate_size"]),
            layers=int(config["num_hidden_layers"]),
            heads=heads,
            groups=int(config.get("num_key_value_heads", heads)),
            head=int(config.get("head_dim") or int(config["hidden_size"]) // heads),
            eps=float(config["rms_norm_eps"]),
            theta=float(config.get("rope_theta", 10_000.0)),
            positions=int(config["max_position_embeddings"]),
            bias=bool(config.get("attention_bias", config.get("model_type") == "qwen2")),
        )


class Norm(nn.Module):
    """Root-mean-square norm with a learned scale."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last dimension."""
        return F.rms_norm(x, (x.shape[-1],), self.scale.to(x.dtype), self.eps)


class Layer(nn.Module):
    """Attention and MLP; q, k, v and gate, up are one matrix each."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.split = (shape.heads, shape.groups, shape.groups)
        self.head = shape.head
        rows = sum(self.split) * shape.head
        self.attention_norm = Norm(shape.hidden, shape.eps)
        self.qkv = nn.Linear(shape.hidden, rows, bias=shape.bias)
        self.out = nn.Linear(shape.heads * shape.head, shape.hidden, bias=False)
        self.mlp_norm = Norm(shape.hidden, shape.eps)
        self.gate_up = nn.Linear(shape.hidden, 2 * shape.inner, bias=False)
        self.down = nn.Linear(shape.inner, shape.hidden, bias=False)

    def heads(self, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of ``x (B, T, hidden)`` as ``(B, heads, T, head)``."""
        b, t, _ = x.shape
        mixed = self.qkv(self.attention_norm(x)).view(b, t, sum(self.split), self.head)
        q, k, v = mixed.split(self.split, dim=2)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        return q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)

    def finish(self, x: Tensor, y: Tensor) -> Tensor:
        """Add the attention's answer ``y (B, heads, T, head)`` and the MLP's."""
        x = x + self.out(y.transpose(1, 2).flatten(2))
        gate, up = self.gate_up(self.mlp_norm(x)).chunk(2, -1)
        out: Tensor = x + self.down(F.silu(gate) * up)
        return out

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Mask) -> Tensor:
        """One layer over packed rows."""
        q, k, v = self.heads(x, cos, sin)
        return self.finish(x, attend(q, k, v, mask))


class Network(nn.Module):
    """Token embedding, layers and the final norm; the head is the embedding."""

    cos: Tensor
    sin: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocab, shape.hidden)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = Norm(shape.hidden, shape.eps)
        steps = torch.arange(0, shape.head, 2).float() / shape.head
        angles = torch.outer(torch.arange(shape.positions).float(), shape.theta**-steps)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def rotation(self, position: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Cosines and sines ``(B, T, 1, head / 2)`` of ``position (B, T)``."""
        return self.cos[position][:, :, None].to(dtype), self.sin[position][:, :, None].to(dtype)

    def forward(self, ids: Tensor, position: Tensor, mask: Mask, dtype: torch.dtype) -> Tensor:
        """Hidden rows ``(B, T, hidden)`` of packed ``ids (B, T)``."""
        x = self.embedding(ids).to(dtype)
        cos, sin = self.rotation(position, dtype)
        for layer in self.layers:
            x = layer(x, cos, sin, mask)
        out: Tensor = self.norm(x)
        return out


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding of ``x (B, T, heads, head)``, halves as pairs."""
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)
