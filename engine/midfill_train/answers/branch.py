"""The greedy answer of each context of a batch, and those that branch off where it is least sure.

Owns which tokens branch. They are what the engine's search looks at (`midfill_engine.fill.search`),
so that what is taught by them is what it chooses among.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from midfill_train.evaluate.cached import CachedBatch
from midfill_train.evaluate.decode import Decoder

#: Other tokens of a place that are looked at.
OTHERS = 3


@dataclass(slots=True)
class Branches:
    """Answers a batch of contexts with one decoder's network and budget, end marker counted.

    Attributes
    ----------
    ways
        Other answers a context.
    """

    decoder: Decoder
    ways: int

    @torch.no_grad()
    def answer(self, contexts: Sequence[Sequence[int]]) -> list[list[list[int]]]:
        """The answers of each context, the greedy one first; one that ended has its end marker."""
        batch = CachedBatch(self.decoder.network, contexts, self.decoder.budget + 1)
        rows = len(contexts)
        start = torch.zeros(rows, dtype=torch.long, device=batch.device)
        log_p = self._log_p(batch.last)
        greedy, tables = self._go_on(batch, log_p.argmax(-1), start, log_p)
        row, place, token = self._branch(greedy, tables)
        batch.cache = [(k[row], v[row]) for k, v in batch.cache]
        batch.first = batch.first[row]
        others, _ = self._go_on(batch, token, place, None)
        answers = [[self._cut(tokens)] for tokens in greedy.tolist()]
        fronts = (greedy[row].tolist(), place.tolist())
        for r, front, end, tokens in zip(row.tolist(), *fronts, others.tolist(), strict=True):
            answers[r].append(self._cut([*front[:end], *tokens]))
        return answers

    def _log_p(self, hidden: Tensor) -> Tensor:
        return self.decoder.logits(hidden).log_softmax(-1)

    def _go_on(
        self, batch: CachedBatch, token: Tensor, at: Tensor, log_p: Tensor | None
    ) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Write ``token (B,)`` at ``at (B,)`` and decode greedily to the budget or the last end.

        Returns
        -------
        tuple
            Tokens ``(B, n)``, the end marker behind an end; and of each place, if ``log_p (B, V)``
            of the first is given, the best tokens with their logarithms, ``(B, OTHERS + 1)`` each.
        """
        written, tables = [token], []
        if log_p is not None:
            tables.append(log_p.topk(OTHERS + 1))
        for step in range(self.decoder.budget - 1):
            done = (token == self.decoder.eom) | (at + step + 1 >= self.decoder.budget)
            if bool(done.all()):
                break
            # What is done writes at the last slot, which nobody else reads.
            place = torch.where(done, self.decoder.budget, at + step)
            log_p = self._log_p(batch.forward(token[:, None], place, causal=True)[:, -1])
            if tables:
                tables.append(log_p.topk(OTHERS + 1))
            token = torch.where(done, self.decoder.eom, log_p.argmax(-1))
            written.append(token)
        return torch.stack(written, 1), [(t[1], t[0]) for t in tables]

    def _branch(
        self, greedy: Tensor, tables: list[tuple[Tensor, Tensor]]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Row, place and token of the most probable other beginnings, `ways` a context."""
        tokens = torch.stack([ids for ids, _ in tables], 1)  # (B, n, OTHERS + 1)
        log_p = torch.stack([logarithms for _, logarithms in tables], 1)
        chosen = tokens == greedy[:, :, None]
        said = log_p.masked_fill(~chosen, 0).sum(-1)
        before = said.cumsum(1) - said
        ends = (greedy == self.decoder.eom).int()
        over = ends.cumsum(1) > ends  # behind the end
        hope = (before[:, :, None] + log_p).masked_fill(chosen | over[:, :, None], -torch.inf)
        best = hope.flatten(1).topk(min(self.ways, hope[0].numel()))
        row, column = torch.isfinite(best.values).nonzero(as_tuple=True)
        index = best.indices[row, column]
        return row, index // (OTHERS + 1), tokens.flatten(1)[row, index]

    def _cut(self, tokens: list[int]) -> list[int]:
        """``tokens`` up to the end marker, and within the budget."""
        some = tokens[: self.decoder.budget]
        return some[: some.index(self.decoder.eom) + 1] if self.decoder.eom in some else some
