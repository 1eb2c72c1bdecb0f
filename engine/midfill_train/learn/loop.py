"""The training loop: steps until the time or the steps are over.

Owns the order of a step and what is logged and saved. Knows neither cuts nor files' formats.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from midfill_engine.errors import CheckpointError, OutOfMemory
from midfill_train.learn.loss import Losses, RowLoss, row_loss, weighted_loss
from midfill_train.learn.risk import RISK, risk
from midfill_train.learn.schedule import Schedule
from midfill_train.learn.workers import Workers, flat_gradients
from midfill_train.model.attention import build_mask
from midfill_train.model.network import Network
from midfill_train.model.quantise import matrices, rounded

Batch = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Run:
    """How long and how.

    Attributes
    ----------
    seconds, steps
        The run ends when either is over; zero means without limit.
    chunk
        Rows of logits at a time.
    risk
        Weight of what answers cost (`learn.risk`), where batches hold any.
    log_every, save_at
        Steps between log lines; shares of the run at which ``on_save`` is called.
    """

    schedule: Schedule
    seconds: float = 0.0
    steps: int = 0
    weight_decay: float = 0.02
    clip: float = 1.0
    chunk: int = 8192
    risk: float = RISK
    log_every: int = 50
    save_at: tuple[float, ...] = (0.5,)


#: Steps that are not timed: compilation happens in them.
WARM_STEPS = 3


def compiled(network: Network, device: torch.device) -> tuple[torch.dtype, RowLoss]:
    """The type of rows on ``device`` and the loss of one; on a GPU it and layers are compiled."""
    if device.type != "cuda":
        return torch.float32, row_loss
    for layer in network.layers:  # one layer compiled once serves all
        layer.compile(dynamic=False)
    return torch.bfloat16, torch.compile(row_loss, dynamic=False)


class Trainer:
    """Trains one network on batches."""

    def __init__(self, network: Network, run: Run, workers: Workers, *, eom: int) -> None:
        self.network, self.run, self.workers, self.eom = network, run, workers, eom
        self.dtype, self.per_row = compiled(network, workers.device)
        self.gradients = flat_gradients(network)
        self.optimiser = _optimiser(network, run, fused=workers.device.type == "cuda")
        self.masters: list[Tensor] = []
        self.step = 0
        self.began = time.monotonic()

    def fit(
        self,
        batches: Iterator[Batch],
        *,
        on_save: Callable[[str], None] = lambda _: None,
        say: Callable[[str], None] = print,
    ) -> None:
        """Train until the run is over; ``on_save`` gets the share of the run, or ``"end"``."""
        meter, begun = _Meter(), self.workers.agree(self._done())
        saves = [share for share in self.run.save_at if share >= begun]  # a resumed run has others
        while (done := self.workers.agree(self._done())) < 1:
            batch = next(batches)
            try:
                losses, cost, norm = self._step(batch, done)
            except torch.OutOfMemoryError as error:
                rows, length = batch["ids"].shape
                raise OutOfMemory(
                    f"The GPU has too little memory for {rows} rows of {length} positions.",
                    "Take fewer --rows or a shorter --length, or train adapters.",
                ) from error
            meter.add(losses, cost, norm)
            self.step += 1
            if self.step == WARM_STEPS:
                self._wait()
                self.began = time.monotonic()
            if self.step % self.run.log_every == 0 and self.workers.leads:
                say(f"step {self.step} {done:.3f} {self._pace(batch)} {meter.read()}")
            if saves and done >= saves[0]:
                on_save(str(saves.pop(0)))
        on_save("end")

    def _pace(self, batch: Batch) -> str:
        """Time, speed and memory for the log."""
        seconds = time.monotonic() - self.began
        positions = max(0, self.step - WARM_STEPS) * batch["ids"].numel() * self.workers.count
        pace = f"{seconds:.0f}s {positions / max(seconds, 1e-6) / 1e3:.0f}k/s"
        if self.workers.device.type == "cuda":
            pace += f" {torch.cuda.max_memory_allocated() / 2**30:.0f}GiB"
        return pace

    def _done(self) -> float:
        """The share of the run that is over."""
        if self.step % 4 == 0:
            self._wait()  # the host runs ahead of the device: its clock is not the run's
        by_steps = self.step / self.run.steps if self.run.steps else 0.0
        timed = self.run.seconds and self.step >= WARM_STEPS
        by_time = (time.monotonic() - self.began) / self.run.seconds if timed else 0.0
        return max(by_steps, by_time)

    def _step(self, batch: Batch, done: float) -> tuple[Losses, Tensor, Tensor]:
        rate = self.run.schedule.rate(done)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        batch = {name: t.to(self.workers.device, non_blocking=True) for name, t in batch.items()}
        mask = build_mask(batch)
        with self._weights(done):
            with torch.autocast(
                self.workers.device.type, self.dtype, enabled=self.dtype != torch.float32
            ):
                hidden = self.network(batch["ids"], batch["position"], mask, self.dtype)
                head, how = self.network.embedding.weight, (self.run.chunk, self.per_row)
                losses = weighted_loss(hidden, head, batch, *how, eom=self.eom)
                cost = risk(hidden, head, batch, *how)
            (losses.total + self.run.risk * cost).backward()  # type: ignore[no-untyped-call]  # torch states no types here
        self.workers.average(self.gradients)
        norm = torch.linalg.vector_norm(self.gradients)
        self.gradients.mul_((self.run.clip / (norm + 1e-6)).clamp(max=1))
        self.optimiser.step()
        self.gradients.zero_()
        return losses, cost, norm

    def _weights(self, done: float) -> nullcontext[None]:
        if not self.run.schedule.rounds(done):
            return nullcontext()
        if not self.masters:
            self.masters = [p.detach().clone() for p in matrices(self.network)]
        return rounded(self.network, self.masters)  # type: ignore[return-value]  # both are contexts

    def _wait(self) -> None:
        if self.workers.device.type == "cuda":
            torch.cuda.synchronize()

    def save_state(self, path: Path) -> None:
        """Write all that `load_state` needs to go on: of the network, what is trained."""
        state = {
            "network": {name: parameter.detach() for name, parameter in self._trained()},
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "seconds": time.monotonic() - self.began,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")  # an interruption while writing leaves the old one whole
        torch.save(state, new)
        new.replace(path)

    def _trained(self) -> Iterator[tuple[str, nn.Parameter]]:
        return ((n, p) for n, p in self.network.named_parameters() if p.requires_grad)

    def load_state(self, path: Path) -> None:
        """Go on where a run was left: weights, optimiser, step and time.

        Raises
        ------
        CheckpointError
            The state is damaged, or of another network or of other adapters.
        """
        try:
            state = torch.load(path, map_location=self.workers.device, weights_only=True)
        except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
            raise CheckpointError(
                f"{path} cannot be read: it is damaged or cut short.",
                "Begin again, without --resume.",
            ) from error
        shapes = {name: tensor.shape for name, tensor in state["network"].items()}
        if shapes != {name: parameter.shape for name, parameter in self._trained()}:
            raise CheckpointError(
                f"{path} is the state of another run: its trained weights have other shapes.",
                "Resume with the same checkpoint, method and rank, or without --resume.",
            )
        self.network.load_state_dict(state["network"], strict=False)
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = int(state["step"])
        self.began = time.monotonic() - float(state["seconds"])


def _optimiser(network: nn.Module, run: Run, *, fused: bool) -> torch.optim.AdamW:
    trained = [p for p in network.parameters() if p.requires_grad]
    decayed = [p for p in trained if p.dim() > 1]
    others = [p for p in trained if p.dim() <= 1]
    groups = [
        {"params": decayed, "weight_decay": run.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=run.schedule.peak, betas=(0.9, 0.95), fused=fused)


class _Meter:
    """Running means between two log lines."""

    def __init__(self) -> None:
        self.sums: Tensor | None = None
        self.count = 0

    def add(self, losses: Losses, cost: Tensor, norm: Tensor) -> None:
        parts = (losses.total, losses.causal, losses.masked, losses.end, cost, norm)
        values = torch.stack([part.detach() for part in parts])
        self.sums = values if self.sums is None else self.sums + values
        self.count += 1

    def read(self) -> str:
        if self.sums is None:
            return ""
        total, causal, masked, end, cost, norm = (self.sums / self.count).tolist()
        self.sums, self.count = None, 0
        parts = f"causal {causal:.3f} masked {masked:.3f} end {end:.3f}"
        return f"loss {total:.3f} {parts} cost {cost:.3f} norm {norm:.2f}"
