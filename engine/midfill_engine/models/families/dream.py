"""Dream, Dream-Coder and DiffuCoder (arXiv 2508.15487, 2509.01142): Qwen2 with open eyes.

Every row sees every row. The weights come from an autoregressive model and kept its habit: the row
before a position predicts it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from midfill_engine.models.family import DecoderConfig, InPlaceSpec, ModelFamily, token_id
from midfill_engine.models.llama import LLAMA_TENSORS, llama_decoder

#: Longest text of the diffusion training, whatever the autoregressive base could read.
TRAINED_TOKENS = 2048


def _decoder(config: Mapping[str, Any]) -> DecoderConfig:
    read = llama_decoder(config, qkv_bias=True)
    return replace(read, max_positions=min(read.max_positions, TRAINED_TOKENS))


def _diffusion(config: Mapping[str, Any]) -> InPlaceSpec:
    decoder = _decoder(config)
    mask, bos, eos = (
        token_id(config, f"{name}_token_id", decoder.vocab_size) for name in ("mask", "bos", "eos")
    )
    return InPlaceSpec(
        mask_id=mask,
        eom_id=eos,
        bos_id=bos,
        eos_id=eos,
        forbidden_ids=tuple(sorted({mask, bos} - {eos})),
        trained_context_tokens=decoder.max_positions,
        shift=True,
    )


FAMILY = ModelFamily(
    name="dream",
    architectures=("DreamModel",),
    decoder=_decoder,
    diffusion=_diffusion,
    tensors=LLAMA_TENSORS,
)
