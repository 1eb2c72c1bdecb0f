"""Block-diffusion conversions of Qwen2 and Llama shaped decoders, Midfill's own default included.

The ``diffusion`` object of ``config.json`` tells them from their autoregressive bases: without
it there is no mask token to denoise. Context rows are causal, the open block is bidirectional,
mask rows predict their own position.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from midfill_engine.errors import CorruptCheckpoint, UnsupportedArchitecture
from midfill_engine.models.family import (
    DecoderConfig,
    DiffusionSpec,
    ModelFamily,
    integer,
    optional_integer,
)
from midfill_engine.models.llama import LLAMA_TENSORS, llama_decoder


def _decoder(config: Mapping[str, Any]) -> DecoderConfig:
    bias = bool(config.get("attention_bias", config.get("model_type") == "qwen2"))
    return llama_decoder(config, qkv_bias=bias)


def _diffusion(config: Mapping[str, Any]) -> DiffusionSpec:
    section = config.get("diffusion")
    if not isinstance(section, Mapping):
        raise UnsupportedArchitecture(
            "config.json has no `diffusion` section: this is an autoregressive checkpoint.",
            "Convert it with `midfill train convert`, or choose a diffusion checkpoint.",
        )
    if section.get("logits_shift"):
        raise UnsupportedArchitecture("Shifted mask rows are not supported for this architecture.")
    vocab = integer(config, "vocab_size")
    block = integer(section, "block_size", 2, 256)
    forbidden = section.get("forbidden_token_ids", [])
    ids = {name: optional_integer(section, f"{name}_token_id") for name in _TOKENS}
    for name, value in [*ids.items(), *(("forbidden", v) for v in forbidden)]:
        if value is not None and not 0 <= value < vocab:
            raise CorruptCheckpoint(
                f"config.json: the {name} token id {value} is outside the vocabulary of {vocab}.",
                "Copy the checkpoint again.",
            )
    mask, eom, suffix, prefix = (
        integer(section, f"{name}_token_id", 0) for name in ("mask", "eom", "suffix", "prefix")
    )
    return DiffusionSpec(
        block_size=block,
        mask_id=mask,
        eom_id=eom,
        suffix_id=suffix,
        prefix_id=prefix,
        path_id=ids["path"],
        near_id=ids["near"],
        middle_id=ids["middle"],
        forbidden_ids=tuple(sorted({mask, suffix, prefix, *forbidden} - {eom})),
        trained_context_tokens=integer(section, "trained_context_tokens"),
        snippets="snippets" in section.get("trained_segments", []),
        widths=tuple(sorted({*section.get("trained_block_widths", []), block})),
        token_editing=bool(section.get("token_editing", False)),
    )


_TOKENS = ("mask", "eom", "suffix", "prefix", "path", "near", "middle")

FAMILY = ModelFamily(
    name="qwen2",
    architectures=("Qwen2ForCausalLM", "LlamaForCausalLM"),
    decoder=_decoder,
    diffusion=_diffusion,
    tensors=LLAMA_TENSORS,
)
