"""Reads autoregressive checkpoints: Hugging Face folders and GGUF files.

Owns both sets of names. Gives Hugging Face names, float32, a ``config.json`` and a
``tokenizer.json``; knows nothing of diffusion. No code of a checkpoint is run.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from midfill_engine.errors import CheckpointError, UnsupportedArchitecture
from midfill_train.model import files

_ARCHITECTURES = {"qwen2": "Qwen2ForCausalLM", "llama": "LlamaForCausalLM"}
_GGUF_LAYER = {
    "attn_norm.weight": "input_layernorm.weight",
    "attn_q.weight": "self_attn.q_proj.weight",
    "attn_k.weight": "self_attn.k_proj.weight",
    "attn_v.weight": "self_attn.v_proj.weight",
    "attn_q.bias": "self_attn.q_proj.bias",
    "attn_k.bias": "self_attn.k_proj.bias",
    "attn_v.bias": "self_attn.v_proj.bias",
    "attn_output.weight": "self_attn.o_proj.weight",
    "ffn_norm.weight": "post_attention_layernorm.weight",
    "ffn_gate.weight": "mlp.gate_proj.weight",
    "ffn_up.weight": "mlp.up_proj.weight",
    "ffn_down.weight": "mlp.down_proj.weight",
}
_QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_GPT2_SPLIT = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
#: How GGUF's ``tokenizer.ggml.pre`` splits text before merging.
_SPLITS = {"qwen2": [_QWEN2_SPLIT], "gpt-2": [_GPT2_SPLIT], "smollm": [r"\p{N}", _GPT2_SPLIT]}
_NORMAL, _CONTROL, _USER = 1, 3, 4


@dataclass(frozen=True, slots=True)
class Base:
    """An autoregressive checkpoint: ``config.json``, ``tokenizer.json`` and all tensors."""

    config: dict[str, Any]
    tokenizer: dict[str, Any]
    tensors: dict[str, Tensor]


def read(path: Path) -> Base:
    """Read a Hugging Face folder or a GGUF file.

    Raises
    ------
    CheckpointError
        It is neither, or its head is not tied to its embedding.
    UnsupportedArchitecture
        Neither Qwen2 nor Llama shaped.
    """
    if path.is_dir() and (path / "config.json").exists():
        return _read_folder(path)
    if path.suffix == ".gguf" and path.exists():
        return _read_gguf(path)
    raise CheckpointError(
        f"{path} is neither a folder with a config.json nor a .gguf file.",
        "Give the folder of a Hugging Face checkpoint, or a GGUF file.",
    )


def _check(architecture: str) -> None:
    if architecture not in _ARCHITECTURES:
        known = " and ".join(_ARCHITECTURES)
        raise UnsupportedArchitecture(
            f"The architecture {architecture!r} is not supported.", f"Supported are {known}."
        )


def _read_folder(path: Path) -> Base:
    config = json.loads((path / "config.json").read_text())
    _check(str(config.get("model_type")))
    if not config.get("tie_word_embeddings"):
        raise CheckpointError(
            f"{path}: the output head is not tied to the embedding.",
            "Small models of the Qwen2 and Llama families have tied heads; choose one of them.",
        )
    return Base(config, json.loads((path / "tokenizer.json").read_text()), files.tensors(path))


def _read_gguf(path: Path) -> Base:
    from gguf import GGUFReader  # noqa: PLC0415  (only this format needs it)
    from gguf.quants import dequantize  # noqa: PLC0415

    reader = GGUFReader(str(path))
    values = {name: field.contents() for name, field in reader.fields.items()}
    kind = str(values["general.architecture"])
    _check(kind)
    config = _gguf_config(kind, values)
    stored = {
        t.name: torch.from_numpy(dequantize(t.data, t.tensor_type).copy()).float()
        for t in reader.tensors
    }
    # Files keep the head as well where it is rounded finer than the embedding: the same matrix.
    head = stored.pop("output.weight", None)
    tensors = {
        "model.embed_tokens.weight": stored["token_embd.weight"] if head is None else head,
        "model.norm.weight": stored["output_norm.weight"],
    }
    for name, tensor in stored.items():
        if name.startswith("blk."):
            _, layer, rest = name.split(".", 2)
            value = _unpermuted(tensor, rest, config) if kind == "llama" else tensor
            tensors[f"model.layers.{layer}.{_GGUF_LAYER[rest]}"] = value
    return Base(config, _gguf_tokenizer(values), tensors)


def _gguf_config(kind: str, values: dict[str, Any]) -> dict[str, Any]:
    def of(name: str) -> Any:
        return values[f"{kind}.{name}"]

    heads = int(of("attention.head_count"))
    return {
        "architectures": [_ARCHITECTURES[kind]],
        "model_type": kind,
        "hidden_size": int(of("embedding_length")),
        "intermediate_size": int(of("feed_forward_length")),
        "num_hidden_layers": int(of("block_count")),
        "num_attention_heads": heads,
        "num_key_value_heads": int(values.get(f"{kind}.attention.head_count_kv", heads)),
        "head_dim": int(of("embedding_length")) // heads,
        "hidden_act": "silu",
        "rms_norm_eps": round(float(of("attention.layer_norm_rms_epsilon")), 9),
        "rope_theta": float(values.get(f"{kind}.rope.freq_base", 10_000.0)),
        "attention_bias": kind == "qwen2",
        "tie_word_embeddings": True,
        "max_position_embeddings": int(of("context_length")),
    }


def _unpermuted(tensor: Tensor, name: str, config: dict[str, Any]) -> Tensor:
    """Llama's GGUF files interleave the halves of each query and key head."""
    if name not in {"attn_q.weight", "attn_k.weight"}:
        return tensor
    heads = config["num_attention_heads" if name[5] == "q" else "num_key_value_heads"]
    rows, columns = tensor.shape
    return tensor.view(heads, rows // heads // 2, 2, columns).transpose(1, 2).reshape(rows, columns)


def _gguf_tokenizer(values: dict[str, Any]) -> dict[str, Any]:
    """A ``tokenizer.json`` of the byte-level BPE that the file describes."""
    split = values.get("tokenizer.ggml.pre", "gpt-2")
    if split not in _SPLITS or values["tokenizer.ggml.model"] != "gpt2":
        raise UnsupportedArchitecture(f"The tokenizer {split!r} is not supported.")
    tokens, kinds = values["tokenizer.ggml.tokens"], values["tokenizer.ggml.token_type"]
    special = [i for i, kind in enumerate(kinds) if kind in (_CONTROL, _USER)]
    steps: list[dict[str, Any]] = [
        {"type": "Split", "pattern": {"Regex": p}, "behavior": "Isolated", "invert": False}
        for p in _SPLITS[split]
    ]
    bytes_ = {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": False,
        "use_regex": False,
    }
    return {
        "version": "1.0",
        "added_tokens": [added_token(i, tokens[i]) for i in special],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [*steps, bytes_]},
        "post_processor": None,
        "decoder": bytes_,
        "model": {
            "type": "BPE",
            "vocab": {t: i for i, t in enumerate(tokens) if kinds[i] == _NORMAL},
            "merges": [merge.split(" ") for merge in values["tokenizer.ggml.merges"]],
        },
    }


def added_token(i: int, content: str) -> dict[str, Any]:
    """A special token as ``tokenizer.json`` writes it."""
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": i, "content": content, **flags, "special": True}
