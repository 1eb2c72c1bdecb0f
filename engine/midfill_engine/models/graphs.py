"""Forwards replayed as CUDA graphs: one launch instead of some five hundred.

Owns the captured shapes and the memory they are bound to. A graph is bound to addresses, so all
sessions take turns in one arena of keys and values; a session's rows are copied in and out when
the turn changes (25 MB, some ten microseconds). Knows neither requests nor strategies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from midfill_engine.models import kernels
from midfill_engine.models.decoder import Decoder, Lane
from midfill_engine.models.fused import FusedDecoder
from midfill_engine.models.kv import KVCache
from midfill_engine.models.product import MOST_ROWS
from midfill_engine.models.sight import Branch, sight

#: Numbers of rows that are captured; fewer are padded, more run eagerly.
STEP_ROWS = (1, 8, 16, 32, MOST_ROWS)
_WARM_UP = 2
#: Rows of the context that is read to prepare.
_LONG = 512


@dataclass(frozen=True, slots=True)
class _Captured:
    """A graph with the buffers it reads and writes."""

    graph: torch.cuda.CUDAGraph
    ids: Tensor
    place: Tensor
    hidden: Tensor


class GraphDecoder:
    """A `Decoder` on a CUDA device whose usual shapes are captured, on first use or before.

    Answers like the decoder itself; hidden states are views that the next forward of the same
    shape overwrites.
    """

    #: See `Decoder.lanes`: there is one arena.
    lanes = 1
    #: See `Decoder.branching`.
    branching = True

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._fused = FusedDecoder(decoder)
        self.config = decoder.config
        self.dtype = decoder.dtype
        self.device = decoder.device
        self._arena = decoder.new_cache()
        # Never grown again: graphs keep its addresses.
        self._slots = decoder.config.max_positions
        self._arena.reserve(self._slots)
        self._turn: KVCache | None = None
        self._used = 0
        self._captured: dict[int, _Captured] = {}

    def prepare(self, progress: Callable[[float], None]) -> None:
        """Compile and capture what requests use: a first start's typist would wait for it.

        Parameters
        ----------
        progress
            Called with the share that is done, 0 to 1.
        """
        none = torch.zeros(self.config.vocab_size, device=self.device)
        for done, rows in enumerate(STEP_ROWS):
            progress(done / len(STEP_ROWS))
            step = self._step(rows)
            self.statistics(step.hidden, none, forbid=None, asked=(), end=0)
        long = torch.zeros(_LONG, dtype=torch.long, device=self.device)
        self._decoder.forward(long, self._arena, 0)

    def new_cache(self) -> KVCache:
        """An empty cache that fits the decoder."""
        return self._decoder.new_cache()

    def logits(self, hidden: Tensor) -> Tensor:
        """See `Decoder.logits`."""
        return self._decoder.logits(hidden)

    def statistics(
        self, hidden: Tensor, bias: Tensor, *, forbid: int | None, asked: Sequence[int], end: int
    ) -> Tensor | None:
        """See `Decoder.statistics`."""
        return self._fused.statistics(hidden, bias, forbid=forbid, asked=asked, end=end)

    @property
    def parameters(self) -> int:
        """See `Decoder.parameters`."""
        return self._decoder.parameters

    @property
    def nbytes(self) -> int:
        """See `Decoder.nbytes`."""
        return self._decoder.nbytes

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
        """See `Decoder.forward`."""
        n = len(ids)
        rows = next((r for r in STEP_ROWS if r >= n), 0)
        self._take_turn(cache, start)
        self._used = max(self._used, start + n)
        if not rows or start + rows > self._slots:
            return self._decoder.forward(
                ids, self._arena, start, open_rows=open_rows, branches=branches
            )
        step = self._step(rows)
        step.ids[:n] = ids
        place = kernels.placed(start, sight(n, open_rows, branches), rows)
        # From pinned memory: the host must not wait for the forward that runs now.
        step.place.copy_(place.pin_memory(), non_blocking=True)
        step.graph.replay()
        return step.hidden[:n]

    def forward_lanes(self, lanes: Sequence[Lane]) -> list[Tensor]:
        """See `Decoder.forward_lanes`."""
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

    def forward_within(self, ids: Tensor, cache: KVCache, start: int, end: int) -> Tensor:
        """See `Decoder.forward_within`; not captured."""
        return self._decoder.forward_within(ids, cache, start, end)

    def _take_turn(self, cache: KVCache, length: int) -> None:
        """Put the first ``length`` slots of ``cache`` in the arena, saving those of its holder."""
        if self._turn is cache:
            return
        if self._turn is not None:
            self._turn.copy_from(self._arena, self._used)
        self._arena.copy_from(cache, length)
        self._turn, self._used = cache, length

    def _step(self, rows: int) -> _Captured:
        """The graph of a forward of ``rows``, captured on first use."""
        return self._captured.get(rows) or self._capture(rows)

    def _capture(self, rows: int) -> _Captured:
        ids = torch.zeros(rows, dtype=torch.long, device=self.device)
        # The last slots: what the captures write there is never taken for context.
        place = kernels.placed(self._slots - rows, sight(rows), rows).to(self.device)
        stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP):
                self._fused.forward(ids, self._arena, place)
        torch.cuda.current_stream(self.device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            hidden = self._fused.forward(ids, self._arena, place)
        step = _Captured(graph, ids, place, hidden)
        self._captured[rows] = step
        return step
