"""The one decoder core that every family configures.

Owns the arithmetic of a forward: embedding, attention over the cache, feed-forward, head. Knows
neither family names nor requests; what its rows mean (context, mask, draft) is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from midfill_engine.device.choose import Precision, dtype_of, memory_dtype
from midfill_engine.device.cores import all_cores
from midfill_engine.models.checkpoint import Checkpoint
from midfill_engine.models.family import DecoderConfig, TensorNames
from midfill_engine.models.kv import KVCache
from midfill_engine.models.linear import Linear, RowwiseInt8Linear, make_linear
from midfill_engine.models.sight import Branch, sight
from midfill_engine.models.weights import StoredWeight, read_vector, read_weight, stack

if TYPE_CHECKING:
    from midfill_engine.models.chain import Chain

#: More causal rows than this go through an attention that holds no mask, where there is one.
FLASH_ROWS = {"cuda": 64}
#: Attention looks at a multiple of so many slots. A CPU's vectors leave a rest to other code, which
#: rounds otherwise: what a row says would depend on how many rows came with it.
WHOLE_SLOTS = 32
#: Lanes that may share a forward where rows do not depend on their company.
MOST_LANES = 8


@dataclass(frozen=True, slots=True)
class Layer:
    """Weights of one layer; query, key, value and gate, up are fused row-wise."""

    attention_norm: Tensor
    qkv: Linear
    o: Linear
    mlp_norm: Tensor
    gate_up: Linear
    down: Linear


@dataclass(frozen=True, slots=True)
class Lane:
    """Rows of one sequence, to run over a cache of its own; see `Decoder.forward`.

    Attributes
    ----------
    end
        Where given, the rows stand within a text of so many slots; see `Decoder.forward_within`.
    """

    ids: Tensor
    cache: KVCache
    start: int
    open_rows: int = 0
    end: int | None = None
    branches: Sequence[Branch] = ()


@dataclass(frozen=True, slots=True)
class View:
    """What the rows of one lane see, the same for every layer.

    Attributes
    ----------
    rows
        Which of the forward's rows they are.
    cache
        Where their keys and values are kept.
    slots
        The cache slots of the rows.
    positions
        Where they stand in the text: at their slots, but for branches.
    seen
        Number of slots that attention looks at.
    mask
        ``(query heads per key head * T, seen)``, 0 where a row sees a slot, else minus infinity;
        ``None`` where each row sees all.
    flash
        Whether ``mask`` only says causal, for an attention that holds none.
    """

    rows: slice
    cache: KVCache
    slots: slice
    positions: slice | Tensor
    seen: int
    mask: Tensor | None
    flash: bool = False


@dataclass(frozen=True, slots=True)
class Rows:
    """The ``T`` rows of a forward, those of all its lanes, the same for every layer.

    Attributes
    ----------
    cos, sin
        ``(T, head_dim)``, see `_rotary`.
    views
        What the rows of each lane see, in their order.
    """

    cos: Tensor
    sin: Tensor
    views: list[View]


class Embedding:
    """Rows of the embedding matrix, kept as the checkpoint stores them where that is smaller."""

    def __init__(self, weight: StoredWeight, dtype: torch.dtype, device: torch.device) -> None:
        self._dtype = dtype
        if weight.scale is None or weight.scale.dim() != 1:
            weight = StoredWeight(weight.dense(dtype, device))
        self.values = weight.values.to(device)
        self.scale = None if weight.scale is None else weight.scale.to(device)

    def __call__(self, ids: Tensor) -> Tensor:
        """``(T,)`` token ids to ``(T, hidden)``."""
        rows = self.values[ids].to(self._dtype)
        return rows if self.scale is None else rows * self.scale[ids, None].to(self._dtype)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self.values.nbytes


class Decoder:
    """A dense decoder: RMSNorm, rotary grouped-query attention, SwiGLU.

    Rotary halves are split, not interleaved; norm statistics are float32. Keys and values are kept,
    and attention is computed, in ``memory_dtype``.
    """

    #: Whether lanes may have branches.
    branching = True
    #: What guesses say of one another, where the checkpoint has it.
    chain: Chain | None = None

    def __init__(
        self,
        config: DecoderConfig,
        embedding: Embedding,
        layers: list[Layer],
        final_norm: Tensor,
        head: Linear,
        *,
        memory_dtype: torch.dtype | None = None,
    ) -> None:
        self.config = config
        self.dtype = final_norm.dtype
        self._memory_dtype = memory_dtype or self.dtype
        self.device = final_norm.device
        self.embedding = embedding
        self.layers = layers
        self.final_norm = final_norm
        self.head = head
        self.cos, self.sin = _rotary(config, self.dtype, self.device)

    def new_cache(self) -> KVCache:
        """An empty cache that fits this decoder."""
        c = self.config
        return KVCache(c.num_layers, c.num_kv_heads, c.head_dim, self._memory_dtype, self.device)

    @torch.inference_mode()
    def forward(
        self,
        ids: Tensor,
        cache: KVCache,
        start: int,
        *,
        open_rows: int = 0,
        branches: Sequence[Branch] = (),
    ) -> Tensor:
        """Run rows at positions ``start ...`` over everything in the cache before them.

        Parameters
        ----------
        ids
            ``(T,)`` token ids on the decoder's device.
        cache
            Slots below ``start`` must hold the sequence so far; slots from ``start`` on are
            overwritten with the keys and values of these rows.
        start
            Position, and slot, of the first row.
        open_rows
            The last so many rows are the open block: they see one another and all before them.
            The others are causal: they see themselves and what stands before them.
        branches
            Blocks whose rows follow all these. They leave no trace in the cache either, and its
            slots behind the last other row hold nothing of use.

        Returns
        -------
        Tensor
            ``(T, hidden)``, after the final norm.
        """
        return self._forward([Lane(ids, cache, start, open_rows, None, branches)])[0]

    @torch.inference_mode()
    def forward_within(self, ids: Tensor, cache: KVCache, start: int, end: int) -> Tensor:
        """Run rows from position ``start`` on in a text of ``end`` slots, all of which they see.

        Of the other slots, those behind the rows too, ``cache`` must hold keys and values. A row
        whose text changed elsewhere since it ran makes such a cache approximate.

        Returns
        -------
        Tensor
            ``(T, hidden)``, after the final norm.
        """
        return self._forward([Lane(ids, cache, start, end=end)])[0]

    @property
    def lanes(self) -> int:
        """How many lanes may share a forward: 1 where rows would round otherwise in company."""
        rowwise = all(isinstance(layer.qkv, RowwiseInt8Linear) for layer in self.layers)
        return MOST_LANES if rowwise else 1

    @torch.inference_mode()
    def forward_lanes(self, lanes: Sequence[Lane]) -> list[Tensor]:
        """Run the rows of several sequences in one forward: products together, attention apart.

        Returns
        -------
        list[Tensor]
            ``(T, hidden)`` of each lane, after the final norm: where all weights are int8, bit by
            bit what the lane would get alone.
        """
        if len(lanes) > 1:
            return self._forward(lanes)
        [lane] = lanes
        if lane.end is not None:
            return [self.forward_within(lane.ids, lane.cache, lane.start, lane.end)]
        return [
            self.forward(
                lane.ids,
                lane.cache,
                lane.start,
                open_rows=lane.open_rows,
                branches=lane.branches,
            )
        ]

    def _forward(self, lanes: Sequence[Lane]) -> list[Tensor]:
        views, at = [], 0
        for lane in lanes:
            views.append(self._view(lane, at))
            at += len(lane.ids)
        cos, sin = (
            torch.cat([table[view.positions] for view in views]) for table in (self.cos, self.sin)
        )
        rows = Rows(cos, sin, views)
        x = self.embedding(torch.cat([lane.ids for lane in lanes]))
        for number, layer in enumerate(self.layers):
            x = x + self._attend(layer, self._norm(x, layer.attention_norm), rows, number)
            gate, up = layer.gate_up(self._norm(x, layer.mlp_norm)).chunk(2, dim=-1)
            x = x + layer.down(F.silu(gate).mul_(up))
        hidden = self._norm(x, self.final_norm)
        return [hidden[view.rows] for view in views]

    def _view(self, lane: Lane, at: int) -> View:
        """What ``lane`` sees whose rows are those from ``at`` on of the forward."""
        count = len(lane.ids)
        rows, slots = slice(at, at + count), slice(lane.start, lane.start + count)
        if lane.end is not None:
            lane.cache.reserve(lane.end)
            return View(rows, lane.cache, slots, slots, lane.end, None)
        end = slots.stop
        lane.cache.reserve(end)
        causal = not lane.open_rows and not lane.branches
        flash = causal and count > FLASH_ROWS.get(self.device.type, end)
        if flash:
            return View(rows, lane.cache, slots, slots, end, _causal(count, end), flash=True)
        seen = -(-end // WHOLE_SLOTS) * WHOLE_SLOTS
        positions, mask = self._placed(lane, seen)
        return View(rows, lane.cache, slots, positions, seen, mask)

    @torch.inference_mode()
    def logits(self, hidden: Tensor) -> Tensor:
        """``(R, hidden)`` to float32 ``(R, vocab)``; ask for the rows that are needed only."""
        return self.head(hidden).float()

    @torch.inference_mode()
    def pairs(self, hidden: Tensor, before: int, bias: Tensor) -> Tensor:
        """What masks guess behind the token ``before``, where there is a `chain`: `Chain.pairs`.

        Parameters
        ----------
        hidden
            ``(N, hidden)``, the rows of the masks.
        bias
            ``(V,)``, see `decode.rows.row_stats`.
        """
        assert self.chain is not None  # noqa: S101  (who calls this has looked)
        first = torch.tensor([before], device=self.device)
        return self.chain.pairs(self.logits(hidden) + bias, hidden, first)

    def statistics(
        self, hidden: Tensor, bias: Tensor, *, forbid: int | None, asked: Sequence[int], end: int
    ) -> Tensor | None:
        """What `decode.rows.row_stats` says of ``logits(hidden) + bias``, without the logits.

        Parameters
        ----------
        forbid
            A token that the first row may not say.
        asked
            A token for each of the first rows, whose probability is wanted.
        end
            The end marker, whose probability is wanted of all rows.

        Returns
        -------
        Tensor | None
            ``(6, R)`` float32: token, probability, margin, entropy, probability of what was asked
            for, and of the end; ``None`` where there is no kernel for it.
        """
        del hidden, bias, forbid, asked, end
        return None

    def _attend(self, layer: Layer, x: Tensor, rows: Rows, number: int) -> Tensor:
        """Attention of ``x (T, hidden)``, each lane over its own cache, in layer ``number``."""
        c = self.config
        heads = layer.qkv(x).view(len(x), c.num_heads + 2 * c.num_kv_heads, c.head_dim)
        q, k, v = torch.split(heads.transpose(0, 1), [c.num_heads, c.num_kv_heads, c.num_kv_heads])
        q, k = _rotate(q, rows), _rotate(k, rows)
        y = [
            self._look(q[:, view.rows], k[:, view.rows], v[:, view.rows], view, number)
            for view in rows.views
        ]
        return layer.o(torch.cat(y).to(x.dtype))

    def _look(self, q: Tensor, k: Tensor, v: Tensor, view: View, number: int) -> Tensor:
        """Keep ``k`` and ``v (heads, T, head_dim)`` of a lane; ``(T, q)`` that its rows see."""
        memory = view.cache.layer(number)  # (2, kv_heads, slots, head_dim)
        memory[0][:, view.slots] = k
        memory[1][:, view.slots] = v
        rows = q.shape[1]
        keys, values = memory[:, None, :, : view.seen]
        if view.flash:
            keys, values = (kept.repeat_interleave(len(q) // len(k), 1) for kept in (keys, values))
            q = q[None].to(memory.dtype)
            y = F.scaled_dot_product_attention(q, keys, values, attn_mask=view.mask)
            return y[0].transpose(0, 1).reshape(rows, -1)
        # Query heads that share a key head become rows of one product: fewer, larger products.
        shared = q.reshape(1, len(k), -1, q.shape[2]).to(memory.dtype)
        y = F.scaled_dot_product_attention(shared, keys, values, attn_mask=view.mask)
        return y.reshape(len(q), rows, -1).transpose(0, 1).reshape(rows, -1)

    def _placed(self, lane: Lane, seen: int) -> tuple[Tensor, Tensor]:
        """Positions of the rows of ``lane``, and what is added to their scores of ``seen`` slots.

        Numbers, since attention would make them of truth values anew in each layer.
        """
        own = lane.start + sight(len(lane.ids), lane.open_rows, lane.branches).astype(np.int64)
        positions, upto, low, high = torch.from_numpy(own).to(self.device).unbind(1)
        slots = torch.arange(seen, device=self.device)
        hidden = slots >= upto[:, None]
        if lane.branches:
            hidden &= (slots < low[:, None]) | (slots >= high[:, None])
        mask = torch.zeros(hidden.shape, dtype=self._memory_dtype, device=self.device)
        mask.masked_fill_(hidden, -torch.inf)
        return positions, mask.repeat(self.config.num_heads // self.config.num_kv_heads, 1)

    def _norm(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.rms_norm(x, (x.shape[-1],), weight, self.config.rms_norm_eps)

    @property
    def parameters(self) -> int:
        """Number of weights, a tied head counted once."""
        c = self.config
        attention = c.hidden_size * c.head_dim * 2 * (c.num_heads + c.num_kv_heads)
        mlp = 3 * c.hidden_size * c.intermediate_size
        tables = c.vocab_size * c.hidden_size * (1 if c.tied_head else 2)
        return c.num_layers * (attention + mlp) + tables

    @property
    def nbytes(self) -> int:
        """Bytes of all weights."""
        linears = sum(
            linear.nbytes
            for layer in self.layers
            for linear in (layer.qkv, layer.o, layer.gate_up, layer.down)
        )
        return linears + self.embedding.nbytes + self.head.nbytes


def load_decoder(
    checkpoint: Checkpoint,
    config: DecoderConfig,
    names: TensorNames,
    *,
    precision: Precision,
    device: torch.device,
    progress: Callable[[float], None] = lambda _: None,
) -> Decoder:
    """Build the decoder of ``checkpoint``.

    Raises
    ------
    CorruptCheckpoint
        A tensor is missing or has another shape or type than ``config`` promises.
    """
    c, dtype = config, dtype_of(precision, device)
    q_rows, kv_rows = c.num_heads * c.head_dim, c.num_kv_heads * c.head_dim

    def norm(name: str) -> Tensor:
        return read_vector(checkpoint, f"{name}.weight", c.hidden_size).to(device, dtype)

    def linear(parts: list[tuple[str, int]], inner: int, *, bias: bool = False) -> Linear:
        weight = stack([read_weight(checkpoint, name, (rows, inner)) for name, rows in parts])
        biases = [read_vector(checkpoint, f"{n}.bias", r) for n, r in parts] if bias else []
        return make_linear(weight, torch.cat(biases) if bias else None, precision, device)

    def layer(number: int) -> Layer:
        at = names.layer.format(number)
        return Layer(
            attention_norm=norm(at + names.attention_norm),
            qkv=linear(
                [(at + names.q, q_rows), (at + names.k, kv_rows), (at + names.v, kv_rows)],
                c.hidden_size,
                bias=c.qkv_bias,
            ),
            o=linear([(at + names.o, c.hidden_size)], q_rows),
            mlp_norm=norm(at + names.mlp_norm),
            gate_up=linear(
                [(at + names.gate, c.intermediate_size), (at + names.up, c.intermediate_size)],
                c.hidden_size,
            ),
            down=linear([(at + names.down, c.hidden_size)], c.intermediate_size),
        )

    table = (c.vocab_size, c.hidden_size)
    head_name = names.embedding if c.tied_head else names.head
    layers: list[Layer] = []
    with all_cores(device) as cores:
        making = cores.map(layer, range(c.num_layers))
        head = linear([(head_name, c.vocab_size)], c.hidden_size)
        for made in making:
            layers.append(made)
            # Unmapped as it goes, for pages that were read count as memory of this process.
            checkpoint.release()
            progress(len(layers) / c.num_layers)
    final_norm = norm(names.final_norm)
    # Last and from a fresh mapping: rows that no text uses never take memory on a CPU.
    checkpoint.release()
    embedding = Embedding(read_weight(checkpoint, names.embedding, table), dtype, device)
    checkpoint.release()
    return Decoder(
        config, embedding, layers, final_norm, head, memory_dtype=memory_dtype(precision, device)
    )


def _rotary(
    config: DecoderConfig, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Cosines and sines ``(positions, head_dim)``; angles in float32.

    The first half of the sines is negated: a rotation is then ``x * cos + swap(x) * sin``.
    """
    # NumPy, for PyTorch's cosine was seen to have other last bits in one process than in the next
    # (on a CPU, in the rows of one thread), and with int8 behind them that is another text.
    half = np.arange(0, config.head_dim, 2) / config.head_dim
    frequencies = (config.rope_theta**-half).astype(np.float32)
    angles = np.outer(np.arange(config.max_positions, dtype=np.float32), frequencies)
    left_cos, left_sin = np.cos(angles.astype(float)), np.sin(angles.astype(float))
    cos = torch.from_numpy(np.concatenate((left_cos, left_cos), -1))
    sin = torch.from_numpy(np.concatenate((-left_sin, left_sin), -1))
    return cos.to(device, dtype), sin.to(device, dtype)


def _rotate(heads: Tensor, rows: Rows) -> Tensor:
    """Rotate ``(H, T, D)`` by the angles of its rows."""
    left, right = heads.chunk(2, dim=-1)
    return heads * rows.cos + torch.cat((right, left), -1) * rows.sin


def _causal(rows: int, seen: int) -> Tensor:
    """What tells attention that the last ``rows`` of ``seen`` slots are causal."""
    # Late, because it imports PyTorch's compiler: a second that only GPUs have to wait.
    from torch.nn.attention.bias import causal_lower_right  # noqa: PLC0415

    return causal_lower_right(rows, seen)
