"""What a guess says of the next one: the part of a checkpoint that makes guesses fit together.

Masks of a block guess at once, and none knows what its neighbour guesses: each can be likely where
both together are not. A small network beside the decoder changes what a mask says by the token
before it (Hydra's sequentially dependent heads for Medusa's: Ankner et al., arXiv 2402.05109; here
on the masks of a diffusion block, for a few candidates a mask and all pairs of these at once).

Owns the file and the arithmetic. Which guesses are taken is decided in `decode.chained`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from midfill_engine.errors import CorruptCheckpoint
from midfill_engine.models.configuration import CHAIN_FILE
from midfill_engine.models.locate import base_of

if TYPE_CHECKING:
    from midfill_engine.models.decoder import Decoder, Embedding

#: Candidates of each mask.
CANDIDATES = 8


@dataclass(frozen=True, slots=True)
class Chain:
    """The weights, float32; a token stands for its embedding, normalised.

    Attributes
    ----------
    hidden, bias, token
        ``(rank, hidden)``, ``(rank,)``, ``(rank, hidden)``: what a row and the token before it say.
    out
        ``(hidden, rank)``: how that moves the row, and so its logits.
    """

    embedding: Embedding
    hidden: Tensor
    bias: Tensor
    token: Tensor
    out: Tensor

    def pairs(self, logits: Tensor, rows: Tensor, first: Tensor) -> Tensor:
        """What each mask guesses behind each candidate of the mask before it.

        Parameters
        ----------
        logits
            ``(N, V)`` float32, minus infinity where a token may not come out.
        rows
            ``(N, hidden)``, those of the masks, after the final norm, from which they are.
        first
            ``(1,)``, the token before the first mask.

        Returns
        -------
        Tensor
            ``(3, N, C)`` float64: which candidate is the guess behind each one of the mask before
            (behind ``first`` all are alike), how probable it is there, and the candidates' ids.
        """
        top = (logits - logits.logsumexp(-1, keepdim=True)).topk(CANDIDATES)
        ids, said = top.indices, top.values
        earlier = torch.cat((first[:, None].expand(1, CANDIDATES), ids[:-1]))
        likely = (said[:, None] + self.added(rows, earlier, ids)).exp()  # (N, before, candidate)
        others = (1 - said.exp().sum(-1)).clamp(min=0)
        best = (likely / (likely.sum(-1) + others[:, None])[..., None]).max(-1)
        return torch.stack((best.indices.double(), best.values.double(), ids.double()))

    def added(self, rows: Tensor, before: Tensor, candidates: Tensor) -> Tensor:
        """What is added to the logits of ``candidates``, for each token that may stand before.

        Parameters
        ----------
        rows
            ``(N, hidden)``, those of the masks, after the final norm.
        before, candidates
            ``(N, B)`` and ``(N, C)`` token ids.

        Returns
        -------
        Tensor
            ``(N, B, C)`` float32.
        """
        earlier = self._embedded(before)
        earlier = F.rms_norm(earlier, earlier.shape[-1:])
        said = F.linear(rows.float(), self.hidden, self.bias)
        moved = F.gelu(said[:, None] + F.linear(earlier, self.token))
        return moved @ (self._embedded(candidates) @ self.out).transpose(1, 2)

    def _embedded(self, ids: Tensor) -> Tensor:
        return self.embedding(ids.flatten()).float().view(*ids.shape, -1)


def read_chain(folder: Path, decoder: Decoder) -> Chain | None:
    """The chain of the checkpoint in ``folder`` or of its base; ``None`` if neither has one.

    Raises
    ------
    CorruptCheckpoint
        Its file is damaged or does not fit the decoder.
    """
    file = next((f / CHAIN_FILE for f in (folder, base_of(folder)) if _has(f)), None)
    if file is None:
        return None
    try:
        tensors = load_file(file)
    except (SafetensorError, OSError) as error:
        raise CorruptCheckpoint(
            f"{file} is damaged or cut short ({error}).", "Copy it again, or leave it out."
        ) from None
    size = decoder.config.hidden_size
    rank = len(tensors.get("hidden.bias", ()))
    shapes = {
        "hidden.weight": (rank, size),
        "hidden.bias": (rank,),
        "token.weight": (rank, size),
        "out.weight": (size, rank),
    }
    if {name: tuple(t.shape) for name, t in tensors.items()} != shapes:
        raise CorruptCheckpoint(
            f"{file} does not fit the checkpoint that it lies in.",
            "Leave it out: drafts need none.",
        )
    hidden, bias, token, out = (tensors[name].to(decoder.device, torch.float32) for name in shapes)
    return Chain(decoder.embedding, hidden, bias, token, out)


def _has(folder: Path) -> bool:
    return (folder / CHAIN_FILE).is_file()
