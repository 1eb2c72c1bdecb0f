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
#: Numbers of masks that guess behind another token.
GUESSING = (3, 7, 15, 31)
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


@dataclass(frozen=True, slots=True)
class _Guessing:
    """A graph that says what masks guess, with its buffers."""

    graph: torch.cuda.CUDAGraph
    rows: Tensor
    before: Tensor
    pairs: Tensor


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
        self.chain = decoder.chain
        self._guessing: dict[int, _Guessing] = {}
        # A copy at an address that graphs keep, and whose it is.
        self._bias = torch.zeros(self.config.vocab_size, device=self.device)
        self._bias_of: Tensor | None = None

    def prepare(self, progress: Callable[[float], None]) -> None:
        """Compile and capture what requests use: a first start's typist would wait for it.

        Parameters
        ----------
        progress
            Called with the share that is done, 0 to 1.
        """
        for done, rows in enumerate(STEP_ROWS):
            progress(done / len(STEP_ROWS))
            step = self._step(rows)
            self.statistics(step.hidden, self._bias, forbid=None, asked=(), end=0)
        for rows in GUESSING if self.chain else ():
            self._guessing[rows] = self._capture_guessing(rows)
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

    @torch.inference_mode()
    def pairs(self, hidden: Tensor, before: int, bias: Tensor) -> Tensor:
        """See `Decoder.pairs`; captured, for as many rows as blocks have."""
        n = len(hidden)
        rows = next((r for r in GUESSING if r >= n), 0)
        if not rows:
            return self._decoder.pairs(hidden, before, bias)
        if self._bias_of is not bias:
            self._bias.copy_(bias)
            self._bias_of = bias
        step = self._guessing.get(rows)
        if step is None:
            step = self._guessing[rows] = self._capture_guessing(rows)
        step.rows[:n] = hidden
        step.before.fill_(before)
        step.graph.replay()
        return step.pairs[:, :n]

    def _capture_guessing(self, rows: int) -> _Guessing:
        hidden = torch.zeros(rows, self.config.hidden_size, dtype=self.dtype, device=self.device)
        before = torch.zeros(1, dtype=torch.long, device=self.device)
        chain = self.chain
        assert chain is not None  # noqa: S101  (who calls this has looked)

        def pairs() -> Tensor:
            return chain.pairs(self.logits(hidden) + self._bias, hidden, before)

        graph, said = self._recorded(pairs)
        return _Guessing(graph, hidden, before, said)

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
        graph, hidden = self._recorded(lambda: self._fused.forward(ids, self._arena, place))
        step = _Captured(graph, ids, place, hidden)
        self._captured[rows] = step
        return step

    def _recorded(self, run: Callable[[], Tensor]) -> tuple[torch.cuda.CUDAGraph, Tensor]:
        """A graph of ``run``, and what it writes."""
        stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP):
                run()
        torch.cuda.current_stream(self.device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            written = run()
        return graph, written
