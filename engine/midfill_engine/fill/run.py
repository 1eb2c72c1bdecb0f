"""The forwards of one candidate: counted and chunked.

Owns what is run: prefill over the session's keystroke cache, causal rows, the open block. When it
runs, and beside whom, is decided in `fill.steps`. Knows neither texts nor strategies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from midfill_engine.cache.keystroke import KeystrokeCache
from midfill_engine.cache.spent import Spent, unread
from midfill_engine.deadline import Deadline
from midfill_engine.decode.chained import chained
from midfill_engine.decode.rows import RowStats, read_back, row_stats
from midfill_engine.device.choose import has_amx
from midfill_engine.fill.costs import Costs, Kind
from midfill_engine.fill.steps import Step, Steps
from midfill_engine.hole import Placed
from midfill_engine.models.decoder import Decoder, Lane
from midfill_engine.models.sight import Branch

if TYPE_CHECKING:
    from midfill_engine.models.graphs import GraphDecoder

#: Rows of a prefill chunk: hardly longer than a denoising step takes, so that a stop is as quick.
CHUNK_ROWS = {"cpu": 32, "cuda": 2048}
#: With AMX these take a fifth longer than 32, as many as a step with masks inside its draft has.
AMX_CHUNK_ROWS = 64
#: Above so many rows a device reads the context and looks at what rides on it in two forwards, each
#: through the kernels that are made for it.
STEP_ROWS = {"cuda": 64}
#: Nothing is missing only where that is likelier than all else together. Where it is a favourite
#: among many, something mostly is.
SURE_EMPTY = 0.5
#: Slots kept free behind the context, so that the first block does not make the cache grow.
BLOCK_ROOM = 64


Ids = Sequence[int]


@dataclass(slots=True)
class Sampler:
    """How candidates are chosen from logits; ``end`` is the end marker.

    Above temperature 0 ``seed`` says what is drawn.
    """

    bias: Tensor
    end: int
    temperature: float = 0.0
    seed: int = 0
    _drawn: int = field(default=0, init=False)

    def places(self, rows: int) -> range:
        """Places for ``rows`` rows of which nobody says where they stand: others each time."""
        self._drawn += rows
        return range(-self._drawn, rows - self._drawn)


@dataclass(slots=True)
class Run:
    """One candidate's access to the model. What yields `Step` can raise `Halted` there.

    Attributes
    ----------
    nfe
        Forwards so far that denoised or verified; a prefill counts if it did so too.
    cached
        Context rows that the last prefill found in the cache.
    beside
        Rows of others that ran in the last forward.
    spent
        Its device time; candidates share it.
    """

    decoder: Decoder | GraphDecoder
    cache: KeystrokeCache
    deadline: Deadline
    costs: Costs
    sampler: Sampler
    nfe: int = 0
    cached: int = 0
    beside: int = 0
    spent: Spent = field(default_factory=Spent)

    def prefill(self, ids: Ids, draft: Ids = (), block: Ids = ()) -> Steps[Tensor]:
        """Bring the cache up to ``ids`` and run ``draft`` and an open ``block`` behind them.

        Both ride on the last chunk, which has to run anyway.

        Returns
        -------
        Tensor
            ``(1 + len(draft) + len(block), hidden)``: the last row of ``ids``, then those behind.
        """
        start = self.cached = self.cache.keep(ids)
        self.cache.owed, lost_ms = unread(self.cache.owed, start)
        self.spent.lost_reading_ms += lost_ms
        rows = [*ids, *draft]
        device = self.decoder.device.type
        chunk = AMX_CHUNK_ROWS if device == "cpu" and has_amx() else CHUNK_ROWS[device]
        self.cache.kv.reserve(len(rows) + BLOCK_ROOM)
        while len(rows) - start > chunk and start + chunk < len(ids):
            yield from self._append(rows[start : start + chunk], context=chunk, reads=True)
            start += chunk
        most = STEP_ROWS.get(device)
        if most and start < len(ids) - 1 and len(rows) + len(block) - start > most:
            context = rows[start : len(ids) - 1]
            yield from self._append(context, context=len(context), reads=True)
            start = len(ids) - 1
        hidden = yield from self._append(rows[start:], block, context=len(ids) - start)
        self.nfe += bool(draft or block)
        return hidden[len(ids) - 1 - start :]

    def step(
        self, causal: Ids = (), block: Ids = (), behind: Ids = (), branch: Ids = ()
    ) -> Steps[Tensor]:
        """Append ``causal`` rows and look at an open ``block`` behind them, in one forward.

        Parameters
        ----------
        behind
            How many of the causal rows stand before each ``branch``, a further block that is
            looked at.

        Returns
        -------
        Tensor
            ``(len(causal) + len(block) + len(behind) * len(branch), hidden)``; only the causal rows
            are kept.
        """
        hidden = yield from self._append(causal, block, behind, branch)
        self.nfe += 1
        return hidden

    def within(self, ids: Ids, start: int, end: int) -> Steps[Tensor]:
        """Run ``ids`` from slot ``start`` on in a text of ``end`` slots; ``(len(ids), hidden)``."""
        hidden = yield from self._forward(Lane(self._rows(ids), self.cache.kv, start, end=end))
        self.nfe += 1
        return hidden

    def stats(
        self, hidden: Tensor, *, forbid: int | None = None, asked: Ids = (), at: Ids = ()
    ) -> RowStats:
        """What ``hidden (R, D)`` predicts; the first row may not say ``forbid``.

        Parameters
        ----------
        at
            Which tokens of the middle the rows say, for what is drawn there.
        """
        s = self.sampler
        table = None
        if s.temperature == 0:
            table = self.decoder.statistics(hidden, s.bias, forbid=forbid, asked=asked, end=s.end)
        if table is not None:
            stats = read_back(table, len(asked))
        else:
            logits = self.decoder.logits(hidden)
            if forbid is not None:
                logits = logits.clone()
                logits[0, forbid] = -torch.inf
            stats = row_stats(
                logits,
                s.bias,
                temperature=s.temperature,
                seed=s.seed,
                at=at or s.places(len(hidden)),
                asked=asked,
                end=s.end,
            )
        return stats

    def first_stats(
        self, hidden: Tensor, *, allow_empty: bool, asked: Ids = (), at: Ids = ()
    ) -> RowStats:
        """`stats` where the middle begins, which may end at once only if that is likely enough."""
        if allow_empty:
            stats = self.stats(hidden, asked=asked, at=at)
            if stats.tokens[0] != self.sampler.end or stats.probability[0] > SURE_EMPTY:
                return stats
        return self.stats(hidden, forbid=self.sampler.end, asked=asked, at=at)

    @property
    def chains(self) -> bool:
        """Whether guesses are made by `guesses`; not where tokens are drawn."""
        return self.decoder.chain is not None and not self.sampler.temperature

    def guesses(self, rows: Tensor, before: int) -> list[Placed]:
        """What masks guess behind the token ``before``, each in view of the guess before it.

        Parameters
        ----------
        rows
            ``(N, hidden)``, those of the masks.
        """
        return chained(self.decoder.pairs(rows, before, self.sampler.bias)) if len(rows) else []

    def drop(self, count: int) -> None:
        """Forget the last ``count`` cached rows."""
        del self.cache.ids[len(self.cache.ids) - count :]

    def last_chance(self, rows: int) -> bool:
        """Whether the deadline leaves no time for one more block of ``rows``."""
        kind: Kind = "shared" if self.beside else "open"
        return self.deadline.left_ms() <= self.costs.expected(rows + self.beside, kind)

    def _append(
        self,
        causal: Ids,
        block: Ids = (),
        behind: Ids = (),
        branch: Ids = (),
        *,
        context: int = 0,
        reads: bool = False,
    ) -> Steps[Tensor]:
        """Run rows behind what is cached; the first ``context`` of them bring up the context."""
        lane = Lane(
            self._rows([*causal, *block, *[*branch] * len(behind)]),
            self.cache.kv,
            len(self.cache.ids),
            open_rows=len(block),
            branches=[Branch(rows, len(branch)) for rows in behind],
        )
        hidden = yield from self._forward(lane, context=context, reads=reads)
        self.cache.ids.extend(causal)
        return hidden

    def _forward(self, lane: Lane, *, context: int = 0, reads: bool = False) -> Steps[Tensor]:
        step = Step(lane, reads)
        self.spent.pause()
        yield [step]
        # The token that a step begins with was written by the forward before it.
        known = 0 if context else 1
        self.spent.ran(step.ms, step.rows, slot=lane.start, context=context, known=known)
        self.beside = step.beside
        return step.hidden

    def _rows(self, ids: Ids) -> Tensor:
        return torch.tensor(ids, dtype=torch.long, device=self.decoder.device)
