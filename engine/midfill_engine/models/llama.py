"""Configuration keys and tensor names that Llama, Qwen2 and their diffusion descendants share.

Owns the reading of Hugging Face's ``config.json`` of such decoders. Knows no family by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from midfill_engine.errors import CorruptCheckpoint, UnsupportedArchitecture
from midfill_engine.models.family import DecoderConfig, TensorNames, integer, number

LLAMA_TENSORS = TensorNames(
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
)


def llama_decoder(config: Mapping[str, Any], *, qkv_bias: bool) -> DecoderConfig:
    """Sizes and switches of a decoder with Llama's configuration keys.

    Raises
    ------
    CorruptCheckpoint
        A size is missing or does not fit the others.
    UnsupportedArchitecture
        It scales its rotary positions.
    """
    hidden = integer(config, "hidden_size")
    heads = integer(config, "num_attention_heads")
    kv_heads = integer(config, "num_key_value_heads") if "num_key_value_heads" in config else heads
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
        num_kv_heads=shared_heads(heads, kv_heads),
        head_dim=integer(config, "head_dim") if config.get("head_dim") else hidden // heads,
        vocab_size=integer(config, "vocab_size"),
        rms_norm_eps=number(config, "rms_norm_eps"),
        rope_theta=number(config, "rope_theta"),
        max_positions=integer(config, "max_position_embeddings"),
        qkv_bias=qkv_bias,
        tied_head=bool(config.get("tie_word_embeddings", False)),
    )


def shared_heads(heads: int, kv_heads: int) -> int:
    """``kv_heads``, if ``heads`` can share them evenly.

    Raises
    ------
    CorruptCheckpoint
        They cannot.
    """
    if heads % kv_heads:
        raise CorruptCheckpoint(
            f"config.json: {heads} heads cannot share {kv_heads} key-value heads.",
            "Copy the checkpoint again.",
        )
    return kv_heads
