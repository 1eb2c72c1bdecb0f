"""Trains what a guess says of the next one, beside a network that stays as it is.

A masked row of a block in which all is masked, as when drafting, learns what the causal row of the
same token says, which knows all before it; told is only the token before it. Owns which rows learn,
and the loop.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from midfill_train.learn.loop import WARM_STEPS, Batch, compiled
from midfill_train.learn.loss import in_chunks, padded
from midfill_train.learn.schedule import Schedule
from midfill_train.learn.workers import Workers, flat_gradients
from midfill_train.model.attention import build_mask
from midfill_train.model.chain import Chain
from midfill_train.model.network import Network

#: How much less a row counts than the one before it: a draft is mostly refused before its end.
REACHED = 0.85


@dataclass(frozen=True, slots=True)
class Run:
    """How long and how; the run ends when ``seconds`` or ``steps`` are over, 0 is without limit."""

    schedule: Schedule
    seconds: float = 0.0
    steps: int = 0
    chunk: int = 8192
    log_every: int = 50


def fit(
    network: Network,
    chain: Chain,
    batches: Iterator[Batch],
    run: Run,
    workers: Workers,
    *,
    mask: int,
    say: Callable[[str], None] = print,
) -> None:
    """Train ``chain``.

    Parameters
    ----------
    mask
        The mask's token id.
    say
        Takes the log: a row's mean loss, and how often its most probable token is that of the
        causal row, with the chain and without.
    """
    dtype, per_row = compiled(network, workers.device)
    network = network.to(dtype).requires_grad_(requires_grad=False)
    gradients = flat_gradients(chain)
    optimiser = torch.optim.AdamW(chain.parameters(), betas=(0.9, 0.95), weight_decay=0.02)
    step, began = 0, time.monotonic()

    def done() -> float:
        timed = run.seconds and step >= WARM_STEPS
        by_time = (time.monotonic() - began) / run.seconds if timed else 0.0
        return workers.agree(max(step / run.steps if run.steps else 0.0, by_time))

    while (share := done()) < 1:
        for group in optimiser.param_groups:
            group["lr"] = run.schedule.rate(share)
        batch = {name: t.to(workers.device) for name, t in next(batches).items()}
        rows, before, teacher, weight = _drafting(network, batch, mask, run.chunk, dtype)
        with torch.autocast(workers.device.type, dtype, enabled=dtype != torch.float32):
            moved = chain(rows, before)
            head = network.embedding.weight
            labels = torch.zeros_like(weight, dtype=torch.long)  # taught by rows alone
            parts = (moved, labels, teacher, torch.ones_like(weight))
            losses = in_chunks(per_row, head, parts, run.chunk)
        loss = (losses * weight).sum() / weight.sum()
        loss.backward()  # type: ignore[no-untyped-call]  # torch states no types here
        workers.average(gradients)
        optimiser.step()
        gradients.zero_()
        step += 1
        if step == WARM_STEPS:
            float(loss.detach())  # the host runs ahead of the device
            began = time.monotonic()
        if step % run.log_every == 0 and workers.leads:
            agreed = [_agreed(some, teacher, head, weight) for some in (rows, moved)]
            seconds = time.monotonic() - began
            say(
                f"step {step} {share:.3f} {seconds:.0f}s loss {float(loss.detach()):.3f} "
                f"agreed {agreed[0]:.4f} chained {agreed[1]:.4f}"
            )


@torch.no_grad()
def _drafting(
    network: Network, batch: Batch, mask: int, chunk: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Rows that learn, embeddings of the tokens before them, rows that teach them, and weights."""
    weight = drafting(batch, mask).flatten()
    chosen = padded(weight, chunk)
    hidden = network(batch["ids"], batch["position"], build_mask(batch), dtype).flatten(0, 1)
    before = network.embedding(batch["labels"].flatten()[chosen - 1].long())
    first = torch.arange(len(batch["ids"]), device=chosen.device) * batch["ids"].shape[1]
    teacher = (batch["teacher"].clamp(min=0) + first[:, None]).flatten()[chosen]
    return hidden[chosen], before, hidden[teacher], weight[chosen]


def drafting(batch: Batch, mask: int) -> Tensor:
    """Weights ``(B, T)`` of the rows that learn: masks behind the first of an all-masked block."""
    block, segment = batch["block"], batch["segment"]
    same = torch.zeros_like(block, dtype=torch.bool)
    same[:, 1:] = (block[:, 1:] == block[:, :-1]) & (segment[:, 1:] == segment[:, :-1])
    at = torch.arange(block.shape[1], device=block.device).expand_as(block)
    first = torch.where(same, 0, at).cummax(1).values
    told = (
        torch.zeros_like(at).scatter_add(1, first, (batch["ids"] != mask).long()).gather(1, first)
    )
    learns = (block > 0) & same & (told == 0) & (batch["teacher"] >= 0)
    return learns * REACHED ** (at - first - 1).float()


@torch.no_grad()
def _agreed(rows: Tensor, teacher: Tensor, head: Tensor, weight: Tensor) -> float:
    """The weighted share of ``rows`` that say what ``teacher`` says, of at most some thousand."""
    some = slice(0, 4096)
    said, taught = ((r[some].to(head.dtype) @ head.T).argmax(-1) for r in (rows, teacher))
    return float(((said == taught) * weight[some]).sum() / weight[some].sum())
