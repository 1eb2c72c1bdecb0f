"""What a guess says of the next one, to be trained; the engine's half is `models.chain`.

Owns the network and its file.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from midfill_engine.models.configuration import CHAIN_FILE
from midfill_train.model.files import write_checksums


class Chain(nn.Module):
    """Moves the row of a mask by the token before it; at first it moves nothing."""

    def __init__(self, size: int, rank: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(size, rank)
        self.token = nn.Linear(size, rank, bias=False)
        self.out = nn.Linear(rank, size, bias=False)
        nn.init.zeros_(self.out.weight)

    def forward(self, rows: Tensor, before: Tensor) -> Tensor:
        """``(N, hidden)`` rows, and embeddings of the tokens before them, to moved rows."""
        earlier = F.rms_norm(before, before.shape[-1:])
        moved: Tensor = rows + self.out(F.gelu(self.hidden(rows) + self.token(earlier)))
        return moved


@torch.no_grad()
def save_chain(chain: Chain, folder: Path) -> None:
    """Write ``chain`` into the checkpoint in ``folder``, bfloat16; an earlier one is replaced."""
    stored = {name: t.to("cpu", torch.bfloat16) for name, t in chain.state_dict().items()}
    new = folder / f"{CHAIN_FILE}.new"  # an interruption while writing leaves the old one whole
    save_file(stored, new, metadata={"format": "pt"})
    new.chmod(0o644)
    new.replace(folder / CHAIN_FILE)
    write_checksums(folder)
