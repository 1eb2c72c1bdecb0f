"""The processes of one run: one a GPU, started by ``torchrun``, or a single one.

Owns rank, device and the exchange of gradients. All gradients stand in one flat buffer, so that
one all-reduce a step moves them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Workers:
    """One process among ``count``."""

    rank: int
    count: int
    device: torch.device

    @classmethod
    def join(cls) -> Workers:
        """Join the processes that ``torchrun`` started, if it did."""
        rank, count = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
        cuda = torch.cuda.is_available()
        device = (
            torch.device("cuda", rank % torch.cuda.device_count()) if cuda else torch.device("cpu")
        )
        if cuda:
            torch.cuda.set_device(device)
        if count > 1:
            dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo")
        return cls(rank, count, device)

    @property
    def leads(self) -> bool:
        """Whether this process writes files and the log."""
        return self.rank == 0

    def agree(self, value: float) -> float:
        """The leading process's ``value``."""
        if self.count == 1:
            return value
        told = torch.tensor([value], dtype=torch.float64)
        dist.broadcast(told, 0)
        return float(told)

    def average(self, gradients: Tensor) -> None:
        """Replace ``gradients`` by their mean over all processes."""
        if self.count > 1:
            dist.all_reduce(gradients)
            gradients.div_(self.count)

    def leave(self) -> None:
        """Leave the group."""
        if self.count > 1:
            dist.destroy_process_group()


def flat_gradients(module: nn.Module) -> Tensor:
    """Make every parameter's gradient a view of one buffer, and return the buffer."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    buffer = torch.zeros(sum(p.numel() for p in parameters), device=parameters[0].device)
    at = 0
    for parameter in parameters:
        parameter.grad = buffer[at : at + parameter.numel()].view_as(parameter)
        at += parameter.numel()
    return buffer
