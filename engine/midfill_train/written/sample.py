"""Many answers of a chat model at a time: an autoregressive decoder with a static KV cache.

Owns batched sampling of a Qwen2 checkpoint as `convert.base` reads it. One step is one CUDA graph;
on a CPU the same step runs without one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor

#: Tokens less probable than this part of the most probable one are never drawn.
MIN_P = 0.06
#: Steps between two looks at who has ended, and the part that must have for the batch to end.
_LOOK, _ENOUGH = 16, 0.97
#: Prompts read at a time.
_READ = 64


class Sampler:
    """Draws continuations of prompts.

    Parameters
    ----------
    config, tensors
        As `convert.base.Base` has them; the tensors are taken out of ``tensors``.
    stop
        Texts at which a continuation ends; it may hold one of them in its last token.
    longest
        Tokens of a continuation.
    """

    def __init__(
        self,
        config: dict[str, Any],
        tensors: dict[str, Tensor],
        tokenizer: Tokenizer,
        device: torch.device,
        *,
        stop: Sequence[str],
        longest: int,
        temperature: float,
    ) -> None:
        self._config, self._tokenizer, self._device = config, tokenizer, device
        self._longest, self._temperature = longest, temperature
        self._weights = {
            name: tensors.pop(name).to(device, torch.bfloat16) for name in list(tensors)
        }
        self._fuse()
        names = tokenizer.get_vocab()
        ends = [i for name, i in names.items() if any(text in name for text in stop)]
        self._ends = set(ends)
        self._is_end = torch.zeros(
            len(self._weights["model.embed_tokens.weight"]), dtype=torch.bool, device=device
        )
        self._is_end[ends] = True
        self._heads = int(config["num_attention_heads"])
        self._groups = int(config["num_key_value_heads"])
        self._dim = int(config["head_dim"])
        self._graph: torch.cuda.CUDAGraph | None = None
        self._shape = (0, 0)

    @torch.inference_mode()
    def answer(self, prompts: Sequence[str]) -> list[str | None]:
        """One continuation for each prompt, without the token that ended it; ``None`` if none did.

        All calls of a sampler should bring as many prompts: a graph is recorded for each shape.
        """
        encoded = [self._tokenizer.encode(p, add_special_tokens=False).ids for p in prompts]
        width = max(self._shape[1], -(-max(map(len, encoded)) // 32) * 32)
        self._open(len(prompts), width)
        self._read(encoded, width)
        for step in range(self._longest - 1):
            self._advance()
            if step % _LOOK == _LOOK - 1 and float(self._done.float().mean()) >= _ENOUGH:
                break
        return [self._text(row) for row in self._written[:, : int(self._count) + 1].tolist()]

    def _text(self, ids: list[int]) -> str | None:
        end = next((i for i, token in enumerate(ids) if token in self._ends), None)
        if end is None:
            return None
        return str(self._tokenizer.decode(ids[:end], skip_special_tokens=True))

    # ---- state

    def _open(self, batch: int, width: int) -> None:
        """Buffers for ``batch`` rows of ``width`` prompt tokens; kept while the shape stays."""
        if self._shape == (batch, width):
            return
        self._shape, self._graph = (batch, width), None
        layers, length = int(self._config["num_hidden_layers"]), width + self._longest
        shape = (layers, batch, self._groups, length, self._dim)
        self._keys, self._values = (
            torch.zeros(shape, device=self._device, dtype=torch.bfloat16) for _ in range(2)
        )
        self._written = torch.zeros(batch, self._longest, dtype=torch.long, device=self._device)
        self._count = torch.zeros((), dtype=torch.long, device=self._device)
        self._done = torch.zeros(batch, dtype=torch.bool, device=self._device)
        self._pads = torch.zeros(batch, dtype=torch.long, device=self._device)
        self._places = torch.arange(length, device=self._device)
        theta = float(self._config["rope_theta"])
        rates = theta ** -(torch.arange(0, self._dim, 2, device=self._device) / self._dim)
        angles = self._places[:, None] * rates
        self._turns = torch.cat([angles, angles], -1)

    def _read(self, encoded: Sequence[list[int]], width: int) -> None:
        """The prompts into the cache, padded on the left; draws the first token of each."""
        ids = torch.tensor([[0] * (width - len(row)) + row for row in encoded])
        pads = torch.tensor([width - len(row) for row in encoded])
        ids, pads = ids.to(self._device), pads.to(self._device)
        self._pads.copy_(pads)
        first = []
        for at in range(0, len(ids), _READ):
            rows = slice(at, at + _READ)
            place = self._places[:width]
            seen = (place[None, :] <= place[:, None]) & (place >= pads[rows, None, None])
            seen |= torch.eye(width, dtype=torch.bool, device=self._device)  # padding sees itself
            turns = self._turns[(place - pads[rows, None]).clamp(min=0)]

            def keep(layer: int, k: Tensor, v: Tensor, rows: slice = rows) -> tuple[Tensor, Tensor]:
                self._keys[layer, rows, :, :width], self._values[layer, rows, :, :width] = k, v
                return k, v

            hidden = self._forward(ids[rows], turns, seen[:, None], keep)
            first.append(self._draw(hidden[:, -1]))
        token = torch.cat(first)
        self._count.zero_()
        self._written.zero_()
        self._written[:, 0] = token
        self._done.copy_(self._is_end[token])

    def _advance(self) -> None:
        """One more token of every row."""
        if self._device.type != "cuda":
            self._step()
            return
        if self._graph is None:
            # What else a step changes the next one writes again: it may run for practice.
            state = (self._count, self._done)
            before = [tensor.clone() for tensor in state]
            side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                self._step()
            torch.cuda.current_stream().wait_stream(side)
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):  # recorded, not run
                self._step()
            for tensor, old in zip(state, before, strict=True):
                tensor.copy_(old)
        self._graph.replay()

    def _step(self) -> None:
        width = self._shape[1]
        token = self._written.gather(1, self._count.expand(len(self._written), 1))
        place = self._count + width
        seen = (self._places <= place) & (self._places >= self._pads[:, None])
        turns = self._turns[(place - self._pads)[:, None]]

        def keep(layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
            self._keys[layer].index_copy_(2, place[None], k)
            self._values[layer].index_copy_(2, place[None], v)
            return self._keys[layer], self._values[layer]

        hidden = self._forward(token, turns, seen[:, None, None], keep)
        drawn = self._draw(hidden[:, -1])
        self._count += 1
        self._written.index_copy_(1, self._count[None], drawn[:, None])
        self._done |= self._is_end[drawn]

    # ---- the network (Qwen2; arXiv 2407.10671)

    def _fuse(self) -> None:
        """Products that read the same rows become one."""
        for layer in range(int(self._config["num_hidden_layers"])):
            at = f"model.layers.{layer}"
            for kind in ("weight", "bias"):
                parts = [self._weights.pop(f"{at}.self_attn.{x}_proj.{kind}") for x in "qkv"]
                self._weights[f"{at}.qkv.{kind}"] = torch.cat(parts)
            parts = [self._weights.pop(f"{at}.mlp.{x}_proj.weight") for x in ("gate", "up")]
            self._weights[f"{at}.gate_up"] = torch.cat(parts)

    def _forward(
        self,
        ids: Tensor,
        turns: Tensor,
        seen: Tensor,
        keep: Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor]],
    ) -> Tensor:
        """Hidden states [batch, rows, hidden] of ``ids`` [batch, rows].

        ``seen`` [batch, 1, rows, length] says which keys each row sees, and ``keep`` stores keys
        and values [batch, groups, rows, dim] of a layer and gives all that there are.
        """
        w = self._weights
        batch, rows = ids.shape
        cos, sin = turns.cos().bfloat16()[:, None], turns.sin().bfloat16()[:, None]
        x = w["model.embed_tokens.weight"][ids]
        sizes = [self._heads * self._dim, self._groups * self._dim, self._groups * self._dim]
        for layer in range(int(self._config["num_hidden_layers"])):
            at = f"model.layers.{layer}"
            y = self._norm(x, w[f"{at}.input_layernorm.weight"])
            qkv = F.linear(y, w[f"{at}.qkv.weight"], w[f"{at}.qkv.bias"])
            q, k, v = torch.split(qkv, sizes, -1)
            q, k, v = (t.view(batch, rows, -1, self._dim).transpose(1, 2) for t in (q, k, v))
            k, v = keep(layer, _turn(k, cos, sin), v)
            y = self._attend(_turn(q, cos, sin), k, v, seen)
            y = y.transpose(1, 2).reshape(batch, rows, -1)
            x = x + F.linear(y, w[f"{at}.self_attn.o_proj.weight"])
            y = self._norm(x, w[f"{at}.post_attention_layernorm.weight"])
            gate, up = F.linear(y, w[f"{at}.gate_up"]).chunk(2, -1)
            x = x + F.linear(F.silu(gate) * up, w[f"{at}.mlp.down_proj.weight"])
        return self._norm(x, w["model.norm.weight"])

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, seen: Tensor) -> Tensor:
        """Plain products: for one row a head the fused kernels read keys once a query head."""
        batch, _, rows, dim = q.shape
        q = q.reshape(batch, self._groups, -1, dim)
        scores = (q @ k.transpose(2, 3)).float() * dim**-0.5
        scores = scores.view(batch, self._heads, rows, -1).masked_fill(~seen, -torch.inf)
        shares = scores.softmax(-1).to(q.dtype).view(batch, self._groups, q.shape[2], -1)
        seen_values: Tensor = (shares @ v).view(batch, self._heads, rows, dim)
        return seen_values

    def _norm(self, x: Tensor, weight: Tensor) -> Tensor:
        normed: Tensor = F.rms_norm(x, (x.shape[-1],), weight, float(self._config["rms_norm_eps"]))
        return normed

    def _draw(self, hidden: Tensor) -> Tensor:
        """A token of each row [batch], by Gumbel's way: the largest of the noisy logits."""
        logits = F.linear(hidden, self._weights["model.embed_tokens.weight"]).float()
        logits /= self._temperature
        least = logits.amax(-1, keepdim=True) + math.log(MIN_P)
        noise = -torch.log(-torch.log(torch.rand_like(logits).clamp_(1e-9, 1 - 1e-7)))
        return (logits + noise).masked_fill_(logits < least, -torch.inf).argmax(-1)


def _turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    return x * cos + torch.cat([-x[..., half:], x[..., :half]], -1) * sin
