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
    TensorNames,
    integer,
    number,
    optional_integer,
)


def _decoder(config: Mapping[str, Any]) -> DecoderConfig:
    hidden = integer(config, "hidden_size")
    heads = integer(config, "num_attention_heads")
    kv_heads = integer(config, "num_key_value_heads") if "num_key_value_heads" in config else heads
    head_dim = integer(config, "head_dim") if config.get("head_dim") else hidden // heads
    if heads % kv_heads:
        raise CorruptCheckpoint(
            f"config.json: {heads} heads cannot share {kv_heads} key-value heads.",
            "Copy the checkpoint again.",
        )
    if config.get("rope_scaling"):
        raise UnsupportedArchitecture(
            "The checkpoint scales its rotary positions (rope_scaling), which is not supported.",
            "Use a checkpoint without it.",
        )
    return DecoderConfig(
        hidden_size=hidden,
        intermediate_size=integer(config, "intermediate_size"),
        num_layers=integer(config, "num_hidden_layers"),
        num_heads=heads,
        num_kv_heads=kv_heads,
        head_dim=head_dim,
        vocab_size=integer(config, "vocab_size"),
        rms_norm_eps=number(config, "rms_norm_eps"),
        rope_theta=number(config, "rope_theta"),
        max_positions=integer(config, "max_position_embeddings"),
        qkv_bias=bool(config.get("attention_bias", config.get("model_type") == "qwen2")),
        tied_head=bool(config.get("tie_word_embeddings", False)),
    )


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
    tensors=TensorNames(
        embedding="model.embed_tokens",
        final_norm="model.norm",
        head="lm_head",
        layer="model.layers.{}.",
        attention_norm="input_layernorm",
        q="self_attn.q_proj",
        k="self_attn.k_proj",
        v="self_attn.v_proj",
        o="self_attn.o_proj",
        mlp_norm="post_attention_layernorm",
        gate="mlp.gate_proj",
        up="mlp.up_proj",
        down="mlp.down_proj",
    ),
)
