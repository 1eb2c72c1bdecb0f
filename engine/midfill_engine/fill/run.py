"""The forwards of one request: counted, chunked, and abandoned between any two.

Owns the way to the device: prefill over the session's keystroke cache, causal rows, the open
block. Looks at stop token and deadline before each forward. Knows neither texts nor strategies.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from midfill_engine.cache.keystroke import KeystrokeCache
from midfill_engine.deadline import Deadline, StopToken
from midfill_engine.decode.rows import RowStats, read_back, row_stats
from midfill_engine.fill.costs import Costs
from midfill_engine.models.decoder import Decoder
from midfill_engine.wire import FinishReason

if TYPE_CHECKING:
    from midfill_engine.models.graphs import GraphDecoder

#: Rows of a prefill chunk: not longer than a denoising step takes, so that a stop is as quick.
CHUNK_ROWS = {"cpu": 32, "cuda": 2048}
#: Above so many rows a device reads the context and looks at what rides on it in two forwards, each
#: through the kernels that are made for it.
STEP_ROWS = {"cuda": 64}
#: Slots kept free behind the context, so that the first block does not make the cache grow.
BLOCK_ROOM = 64


Ids = Sequence[int]


class Halted(Exception):  # noqa: N818  (not an error: the request ends with what it has)
    """The request must end now, for ``reason``."""

    def __init__(self, reason: FinishReason) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(slots=True)
class Sampler:
    """How candidates are chosen from logits."""

    bias: Tensor
    temperature: float = 0.0
    generator: torch.Generator | None = None


@dataclass(slots=True)
class Run:
    """One request's access to the model.

    Attributes
    ----------
    nfe
        Forwards so far that denoised or verified; a prefill counts if it did so too.
    cached
        Context rows that the last prefill found in the cache.
    """

    decoder: Decoder | GraphDecoder
    cache: KeystrokeCache
    deadline: Deadline
    stop: StopToken
    costs: Costs
    sampler: Sampler
    nfe: int = 0
    cached: int = 0
    _begun: tuple[int, bool, float] | None = field(default=None, init=False)

    def check(self, rows: int = 0, *, causal: bool = True) -> None:
        """Raise `Halted` when stopped, or when ``rows`` more rows would outlast the deadline."""
        if self.stop.reason is not None:
            raise Halted(self.stop.reason)
        if self.deadline.left_ms() <= self.costs.expected(rows, causal=causal):
            self.costs.doubt(rows, causal=causal)
            raise Halted("deadline")

    def prefill(self, ids: Ids, draft: Ids = (), block: Ids = ()) -> Tensor:
        """Bring the cache up to ``ids`` and run ``draft`` and an open ``block`` behind them.

        Both ride on the last chunk, which has to run anyway.

        Returns
        -------
        Tensor
            ``(1 + len(draft) + len(block), hidden)``: the last row of ``ids``, then those behind.
        """
        start = self.cached = self.cache.keep(ids)
        rows = [*ids, *draft]
        chunk = CHUNK_ROWS[self.decoder.device.type]
        self.cache.kv.reserve(len(rows) + BLOCK_ROOM)
        while len(rows) - start > chunk and start + chunk < len(ids):
            self._append(rows[start : start + chunk])
            start += chunk
        most = STEP_ROWS.get(self.decoder.device.type)
        if most and start < len(ids) - 1 and len(rows) + len(block) - start > most:
            self._append(rows[start : len(ids) - 1])
            start = len(ids) - 1
        hidden = self._append(rows[start:], block)
        self.nfe += bool(draft or block)
        return hidden[len(ids) - 1 - start :]

    def step(self, causal: Ids = (), block: Ids = ()) -> Tensor:
        """Append ``causal`` rows and look at an open ``block`` behind them, in one forward.

        Returns
        -------
        Tensor
            ``(len(causal) + len(block), hidden)``; the rows of the block are not kept.
        """
        hidden = self._append(causal, block)
        self.nfe += 1
        return hidden

    def within(self, ids: Ids, start: int, end: int) -> Tensor:
        """Run ``ids`` from slot ``start`` on in a text of ``end`` slots; ``(len(ids), hidden)``."""
        self.check(len(ids), causal=False)
        self._settle()
        self._begun = (len(ids), False, time.perf_counter())
        rows = torch.tensor(ids, dtype=torch.long, device=self.decoder.device)
        hidden = self.decoder.forward_within(rows, self.cache.kv, start, end)
        self.nfe += 1
        return hidden

    def stats(self, hidden: Tensor, *, forbid: int | None = None, asked: Ids = ()) -> RowStats:
        """What ``hidden (R, D)`` predicts; the first row may not say ``forbid``."""
        s = self.sampler
        table = None
        if s.temperature == 0:
            table = self.decoder.statistics(hidden, s.bias, forbid=forbid, asked=asked)
        if table is not None:
            stats = read_back(table, len(asked))
        else:
            logits = self.decoder.logits(hidden)
            if forbid is not None:
                logits = logits.clone()
                logits[0, forbid] = -torch.inf
            stats = row_stats(
                logits, s.bias, temperature=s.temperature, generator=s.generator, asked=asked
            )
        self._settle()
        return stats

    def drop(self, count: int) -> None:
        """Forget the last ``count`` cached rows."""
        del self.cache.ids[len(self.cache.ids) - count :]

    def last_chance(self, rows: int) -> bool:
        """Whether the deadline leaves no time for one more block of ``rows``."""
        return self.deadline.left_ms() <= self.costs.expected(rows, causal=False)

    def _append(self, causal: Ids, block: Ids = ()) -> Tensor:
        ids = [*causal, *block]
        self.check(len(ids), causal=not block)
        self._settle()
        self._begun = (len(ids), not block, time.perf_counter())
        hidden = self.decoder.forward(
            torch.tensor(ids, dtype=torch.long, device=self.decoder.device),
            self.cache.kv,
            len(self.cache.ids),
            open_rows=len(block),
        )
        self.cache.ids.extend(causal)
        return hidden

    def _settle(self) -> None:
        """Take note of what the last forward cost, its statistics included.

        On a GPU a forward has run only when something of it was read back.
        """
        if self._begun is not None:
            rows, causal, began = self._begun
            self.costs.add(rows, (time.perf_counter() - began) * 1000, causal=causal)
            self._begun = None
