"""LLaDA-8B and LLaDA-1.5 (arXiv 2502.09992): every row sees every row, masks predict themselves.

The decoder is Llama's under OLMo's names. Nothing stands around the text; where a mask says "end of
text", the middle ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from midfill_engine.errors import UnsupportedArchitecture
from midfill_engine.models.family import (
    DecoderConfig,
    InPlaceSpec,
    ModelFamily,
    TensorNames,
    integer,
    number,
    token_id,
)
from midfill_engine.models.llama import shared_heads

#: What the configuration can say otherwise, and the one form in which the decoder core has it.
_FORM = {
    "block_type": "llama",
    "layer_norm_type": "rms",
    "activation_type": "silu",
    "rope": True,
    "alibi": False,
    "include_bias": False,
    "attention_layer_norm": False,
    "input_emb_norm": False,
    "scale_logits": False,
    "clip_qkv": None,
}


def _decoder(config: Mapping[str, Any]) -> DecoderConfig:
    for key, form in _FORM.items():
        if config.get(key, form) != form:
            raise UnsupportedArchitecture(
                f"config.json says {key} is {config[key]!r}; only {form!r} is supported.",
                "Use LLaDA-8B or LLaDA-1.5 as they were published.",
            )
    hidden, heads = integer(config, "d_model"), integer(config, "n_heads")
    kv_heads = integer(config, "n_kv_heads") if config.get("n_kv_heads") is not None else heads
    return DecoderConfig(
        hidden_size=hidden,
        intermediate_size=integer(config, "mlp_hidden_size"),
        num_layers=integer(config, "n_layers"),
        num_heads=heads,
        num_kv_heads=shared_heads(heads, kv_heads),
        head_dim=hidden // heads,
        vocab_size=_vocabulary(config),
        rms_norm_eps=number(config, "rms_norm_eps"),
        rope_theta=number(config, "rope_theta"),
        max_positions=integer(config, "max_sequence_length"),
        qkv_bias=bool(config.get("include_qkv_bias", False)),
        tied_head=bool(config.get("weight_tying", False)),
    )


def _diffusion(config: Mapping[str, Any]) -> InPlaceSpec:
    vocab = _vocabulary(config)
    mask = token_id(config, "mask_token_id", vocab)
    return InPlaceSpec(
        mask_id=mask,
        eom_id=token_id(config, "eos_token_id", vocab),
        bos_id=None,
        eos_id=None,
        forbidden_ids=(mask,),
        trained_context_tokens=integer(config, "max_sequence_length"),
        shift=False,
    )


def _vocabulary(config: Mapping[str, Any]) -> int:
    """Rows of the embedding, which may be more than there are tokens."""
    return integer(config, "embedding_size" if config.get("embedding_size") else "vocab_size")


FAMILY = ModelFamily(
    name="llada",
    architectures=("LLaDAModelLM",),
    decoder=_decoder,
    diffusion=_diffusion,
    tensors=TensorNames(
        embedding="model.transformer.wte",
        final_norm="model.transformer.ln_f",
        head="model.transformer.ff_out",
        layer="model.transformer.blocks.{}.",
        attention_norm="attn_norm",
        q="q_proj",
        k="k_proj",
        v="v_proj",
        o="attn_out",
        mlp_norm="ff_norm",
        gate="ff_proj",
        up="up_proj",
        down="ff_out",
    ),
)
