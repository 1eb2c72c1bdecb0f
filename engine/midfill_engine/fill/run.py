"""The forwards of one request: counted, chunked, and abandoned between any two.

Owns the way to the device: prefill over the session's keystroke cache, causal rows, the open
block. Looks at stop token and deadline before each forward. Knows neither texts nor strategies.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from midfill_engine.cache.keystroke import KeystrokeCache
from midfill_engine.deadline import Deadline, StopToken
from midfill_engine.decode.rows import RowStats, row_stats
from midfill_engine.models.decoder import Decoder
from midfill_engine.models.graphs import GraphDecoder
from midfill_engine.wire import FinishReason

#: Rows of a prefill chunk: short enough to stop quickly, long enough to use the device well.
CHUNK_ROWS = {"cpu": 64, "cuda": 2048}
#: Slots kept free behind the context, so that the first block does not make the cache grow.
BLOCK_ROOM = 64


class Halted(Exception):  # noqa: N818  (not an error: the request ends with what it has)
    """The request must end now, for ``reason``."""

    def __init__(self, reason: FinishReason) -> None:
        super().__init__(reason)
        self.reason = reason


class StepClock:
    """A smoothed estimate of what one forward of a block costs here, in milliseconds."""

    def __init__(self) -> None:
        self.ms = 0.0

    def add(self, ms: float) -> None:
        """Take a measured forward into account."""
        self.ms = ms if not self.ms else 0.8 * self.ms + 0.2 * ms


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
        Denoising and verifying forwards so far; the prefill is not counted.
    """

    decoder: Decoder | GraphDecoder
    cache: KeystrokeCache
    deadline: Deadline
    stop: StopToken
    clock: StepClock
    sampler: Sampler
    nfe: int = 0

    def check(self) -> None:
        """Raise `Halted` when the request was stopped or its time is over."""
        if self.stop.reason is not None:
            raise Halted(self.stop.reason)
        if self.deadline.passed():
            raise Halted("deadline")

    def prefill(self, ids: Sequence[int], draft: Sequence[int] = ()) -> Tensor:
        """Bring the cache up to ``ids`` and run the rows of ``draft`` behind them.

        A draft rides on the last chunk, which has to run anyway.

        Returns
        -------
        Tensor
            ``(1 + len(draft), hidden)``: the last row of ``ids``, then those of ``draft``.
        """
        start = self.cache.keep(ids)
        rows = [*ids, *draft]
        chunk = CHUNK_ROWS[self.decoder.device.type]
        self.cache.kv.reserve(len(rows) + BLOCK_ROOM)
        while len(rows) - start > chunk and start + chunk < len(ids):
            self.check()
            self._causal(rows[start : start + chunk])
            start += chunk
        self.check()
        self.nfe += bool(draft)
        return self._causal(rows[start:])[len(ids) - 1 - start :]

    def causal(self, ids: Sequence[int]) -> Tensor:
        """Append ``ids`` as causal rows; return ``(len(ids), hidden)``."""
        self.check()
        self.nfe += 1
        return self._causal(ids)

    def block(self, ids: Sequence[int]) -> Tensor:
        """Run ``ids`` as an open block behind the cached rows; return ``(len(ids), hidden)``."""
        self.check()
        self.nfe += 1
        began = time.perf_counter()
        hidden = self.decoder.forward(
            self._tensor(ids), self.cache.kv, len(self.cache.ids), causal=False
        )
        self._synchronise(hidden)
        self.clock.add((time.perf_counter() - began) * 1000)
        return hidden

    def stats(self, hidden: Tensor, *, forbid: int | None = None) -> RowStats:
        """What ``hidden (R, D)`` predicts; ``forbid`` names one more token not to come out."""
        s = self.sampler
        bias = s.bias
        if forbid is not None:
            bias = bias.clone()
            bias[forbid] = -torch.inf
        logits = self.decoder.logits(hidden)
        return row_stats(logits, bias, temperature=s.temperature, generator=s.generator)

    def rewind(self, length: int) -> None:
        """Forget cached rows from position ``length`` on."""
        del self.cache.ids[length:]

    @property
    def last_chance(self) -> bool:
        """Whether the deadline leaves no time for one more block forward."""
        return self.deadline.left_ms() < self.clock.ms

    def _causal(self, ids: Sequence[int]) -> Tensor:
        hidden = self.decoder.forward(
            self._tensor(ids), self.cache.kv, len(self.cache.ids), causal=True
        )
        self.cache.ids.extend(ids)
        return hidden

    def _tensor(self, ids: Sequence[int]) -> Tensor:
        return torch.tensor(ids, dtype=torch.long, device=self.decoder.device)

    def _synchronise(self, hidden: Tensor) -> None:
        if hidden.is_cuda:
            torch.cuda.synchronize(hidden.device)
