"""Readings of the same weights, for a batch: causal, by diffusion, self-speculative.

Owns the three loops and their counts of forwards. The engine has its own, for one request at a
time and with deadlines; these are for measuring many cuts at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from midfill_train.evaluate.cached import CachedBatch
from midfill_train.model.network import Network


@dataclass(frozen=True, slots=True)
class Answer:
    """One decoded middle.

    Attributes
    ----------
    tokens
        Without the end marker.
    forwards
        After the prefill.
    passes
        Verifying forwards among them (self-speculation only).
    ended
        Whether the end marker came within the budget.
    """

    tokens: list[int]
    forwards: int
    passes: int
    ended: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """How to decode: ``kind`` is ``causal``, ``diffusion`` or ``speculative``."""

    kind: str
    threshold: float = 0.9
    width: int = 32

    @classmethod
    def parse(cls, text: str) -> Reading:
        """``causal``, ``speculative``, ``diffusion:0.9`` or ``diffusion:0.9:16``."""
        kind, *numbers = text.split(":")
        threshold = float(numbers[0]) if numbers else 0.9
        return cls(kind, threshold, int(numbers[1]) if len(numbers) > 1 else 32)


class Decoder:
    """Decodes batches with one network."""

    def __init__(
        self,
        network: Network,
        *,
        mask: int,
        eom: int,
        forbidden: Sequence[int],
        vocabulary: int,
        budget: int = 128,
    ) -> None:
        self.network, self.mask, self.eom, self.budget = network, mask, eom, budget
        device = network.embedding.weight.device
        self.bias = torch.zeros(network.shape.vocab, device=device)
        self.bias[list(forbidden)] = -torch.inf
        self.bias[vocabulary:] = -torch.inf

    def decode(self, contexts: Sequence[Sequence[int]], reading: Reading) -> list[Answer]:
        """One answer a context."""
        batch = CachedBatch(self.network, contexts, self.budget + 2 * reading.width)
        if reading.kind == "causal":
            return self._causal(batch)
        if reading.kind == "speculative":
            return self._speculative(batch, reading.width)
        return self._diffusion(batch, reading)

    @torch.no_grad()
    def logits(self, hidden: Tensor) -> Tensor:
        """Logits ``(..., V)`` of hidden rows; minus infinity where nothing may be written."""
        return (hidden @ self.network.embedding.weight.T).float() + self.bias

    def _causal(self, batch: CachedBatch) -> list[Answer]:
        token = self.logits(batch.last).argmax(-1)
        rows, written = len(token), [token]
        done = token == self.eom
        forwards = torch.zeros(rows, dtype=torch.long, device=batch.device)
        for step in range(self.budget):
            if bool(done.all()):
                break
            forwards += ~done
            at = torch.full((rows,), step, device=batch.device)
            hidden = batch.forward(token[:, None], at, causal=True)[:, -1]
            token = torch.where(done, self.eom, self.logits(hidden).argmax(-1))
            written.append(token)
            done |= token == self.eom
        return self._answers(torch.stack(written, 1), forwards, torch.zeros_like(forwards))

    def _speculative(self, batch: CachedBatch, width: int) -> list[Answer]:
        token = self.logits(batch.last).argmax(-1)
        rows, device = len(token), batch.device
        out = torch.full((rows, self.budget + 2 * width), self.eom, device=device)
        at = torch.zeros(rows, dtype=torch.long, device=device)
        done = token == self.eom
        passes = torch.zeros_like(at)
        columns = torch.arange(width, device=device)
        while not bool((done | (at >= self.budget)).all()):
            active = ~done & (at < self.budget)
            start = at.clamp(max=self.budget)
            block = torch.full((rows, width), self.mask, device=device)
            block[:, 0] = token
            draft = self.logits(batch.forward(block, start, causal=False)).argmax(-1)
            draft[:, 0] = token
            causal = self.logits(batch.forward(draft, start, causal=True)).argmax(-1)
            agree = (draft[:, 1:] == causal[:, :-1]) & (draft[:, 1:] != self.eom)
            kept = agree.int().cumprod(1).sum(1)
            passes += active
            chosen = (columns <= kept[:, None]) & active[:, None]
            row, column = chosen.nonzero(as_tuple=True)
            out[row, start[row] + column] = draft[row, column]
            after = causal.gather(1, kept[:, None])[:, 0]
            token = torch.where(active, after, token)
            at = torch.where(active, at + kept + 1, at)
            done |= active & (token == self.eom)
        return self._answers(out, 2 * passes, passes, ended=done)

    def _diffusion(self, batch: CachedBatch, reading: Reading) -> list[Answer]:
        token = self.logits(batch.last).argmax(-1)
        rows, device, width = len(token), batch.device, reading.width
        done = token == self.eom
        forwards = torch.zeros(rows, dtype=torch.long, device=device)
        blocks = []
        for start in range(0, self.budget, width):
            block = torch.full((rows, width), self.mask, device=device)
            block[:, 0] = token
            block[done] = self.eom
            at = torch.full((rows,), start, device=device)
            forwards += self._denoise(batch, block, at, reading.threshold)
            blocks.append(block)
            done |= (block == self.eom).any(1)
            if bool(done.all()) or start + width >= self.budget:
                break
            forwards += ~done
            token = self.logits(batch.forward(block, at, causal=True)[:, -1]).argmax(-1)
            done |= token == self.eom
        return self._answers(torch.cat(blocks, 1), forwards, torch.zeros_like(forwards), ended=done)

    def _denoise(self, batch: CachedBatch, block: Tensor, at: Tensor, threshold: float) -> Tensor:
        """Denoise ``block (B, W)`` in place; forwards of each row."""
        rows, width = block.shape
        columns = torch.arange(width, device=block.device)
        forwards = torch.zeros(rows, dtype=torch.long, device=block.device)
        while bool((open_ := block == self.mask).any()):
            active = open_.any(1)
            forwards += active
            p, candidate = self.logits(batch.forward(block, at, causal=False)).softmax(-1).max(-1)
            ends = (candidate == self.eom) & open_
            end = torch.where(ends.any(1), ends.int().argmax(1), width)
            live = open_ & (columns < end[:, None])
            sure = p.masked_fill(~live, -1)
            best = columns == sure.argmax(1)[:, None]
            take = live & ((p > threshold) | best)
            block.copy_(torch.where(take, candidate, block))
            # Nothing stands open before the end, and the end is sure or nothing else was to do.
            left = ((block == self.mask) & (columns < end[:, None])).any(1)
            p_end = p.gather(1, end.clamp(max=width - 1)[:, None])[:, 0]
            closes = active & (end < width) & ~left & ((p_end > threshold) | ~live.any(1))
            block.copy_(torch.where(closes[:, None] & (columns >= end[:, None]), self.eom, block))
        return forwards

    def _answers(
        self, written: Tensor, forwards: Tensor, passes: Tensor, *, ended: Tensor | None = None
    ) -> list[Answer]:
        answers = []
        for row, tokens in enumerate(written.tolist()):
            cut = tokens[: self.budget]
            stop = cut.index(self.eom) if self.eom in cut else len(cut)
            has_ended = (
                stop < len(cut) if ended is None else bool(ended[row]) and stop < self.budget
            )
            answers.append(Answer(tokens[:stop], int(forwards[row]), int(passes[row]), has_ended))
        return answers
