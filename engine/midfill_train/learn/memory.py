"""What a training step needs of memory, and what there is.

Owns the estimate, which is generous: the system ends a process that asks for too much without a
word, so a run that may not fit is refused before it begins.
"""

from __future__ import annotations

import psutil
import torch

from midfill_engine.errors import OutOfMemory
from midfill_train.model.network import Network, Shape

#: Most rows that are chosen by themselves: more make a step slower, hardly better.
MOST_ROWS = 8


def rows_that_fit(
    shape: Shape, device: torch.device, *, length: int, chunk: int, full: bool
) -> int:
    """Packed rows of ``length`` positions that a step has room for; one on a CPU.

    Raises
    ------
    OutOfMemory
        There is no room for one.
    """
    cuda = device.type == "cuda"
    free = torch.cuda.mem_get_info(device)[0] if cuda else psutil.virtual_memory().available
    fixed, row = needed(shape, length=length, chunk=chunk, full=full, width=2 if cuda else 4)
    if free < fixed + row:
        place = "The GPU" if cuda else "This machine"
        others = "Close what else uses it, or take a shorter --length"
        raise OutOfMemory(
            f"{place} has {free / 1e9:.1f} GB of memory free; training needs about "
            f"{(fixed + row) / 1e9:.1f} GB.",
            f"{others} or leave --full out." if full else f"{others}.",
        )
    return min(MOST_ROWS, int((free - fixed) // row)) if cuda else 1


def needed(shape: Shape, *, length: int, chunk: int, full: bool, width: int) -> tuple[int, int]:
    """Bytes that a run needs anyhow, and for each row of ``length`` positions.

    Parameters
    ----------
    chunk
        Rows of logits at a time.
    width
        Bytes of an activation.
    """
    with torch.device("meta"):
        weights = sum(p.numel() for p in Network(shape).parameters())
    # Weights and those set aside while rounded ones stand in; gradients and two moments.
    copies = 2 + (3 if full else 0)
    logits = 4 * chunk * shape.vocab * 4
    position = shape.layers * (14 * shape.hidden + 5 * shape.inner) * width
    return copies * weights * 4 + logits, length * position
