"""Seeded random checkpoints of each family: two small layers, a byte-level tokenizer."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

SPECIALS = [
    "<|endoftext|>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
]
MERGES = [("Ġ", "Ġ"), ("r", "e"), ("re", "t"), ("i", "n"), ("o", "r"), ("Ġ", "="), ("s", "e")]
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
#: A few rows more than there are tokens: padding that must never come out.
VOCAB = 320
HIDDEN, HEADS, KV_HEADS, HEAD_DIM, FF, LAYERS = 64, 4, 2, 16, 96, 2


def tokenizer() -> Tokenizer:
    """A byte-level tokenizer shaped like Qwen2's, with a handful of merges."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: n for n, token in enumerate([*alphabet, *(a + b for a, b in MERGES)])}
    built = Tokenizer(models.BPE(vocab=vocab, merges=MERGES))
    built.normalizer = normalizers.NFC()
    built.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    built.decoder = decoders.ByteLevel()
    built.add_special_tokens(SPECIALS)
    return built


def config(vocab: int, ids: dict[str, int], *, near: bool = False) -> dict:
    """A ``config.json`` for the tiny decoder."""
    diffusion = {
        "block_size": 8,
        "mask_token_id": ids["<|fim_pad|>"],
        "eom_token_id": ids["<|endoftext|>"],
        "suffix_token_id": ids["<|fim_suffix|>"],
        "prefix_token_id": ids["<|fim_prefix|>"],
        "path_token_id": ids["<|file_sep|>"],
        "forbidden_token_ids": [n for token, n in ids.items() if token != "<|endoftext|>"],
        "trained_context_tokens": 400,
    }
    if near:
        diffusion |= {
            "near_token_id": ids["<|repo_name|>"],
            "middle_token_id": ids["<|fim_middle|>"],
        }
    return {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_size": HIDDEN,
        "intermediate_size": FF,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "head_dim": HEAD_DIM,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "attention_bias": True,
        "tie_word_embeddings": True,
        "vocab_size": vocab,
        "max_position_embeddings": 1024,
        "diffusion": diffusion,
    }


def weights(vocab: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """Dense float32 tensors under their Hugging Face names."""
    g = torch.Generator().manual_seed(seed)

    def rand(*shape: int, std: float = 0.2) -> torch.Tensor:
        return torch.randn(*shape, generator=g) * std

    kv = KV_HEADS * HEAD_DIM
    tensors = {"model.embed_tokens.weight": rand(vocab, HIDDEN, std=0.5)}
    for n in range(LAYERS):
        at = f"model.layers.{n}."
        shapes = {
            "self_attn.q_proj": (HEADS * HEAD_DIM, HIDDEN),
            "self_attn.k_proj": (kv, HIDDEN),
            "self_attn.v_proj": (kv, HIDDEN),
            "self_attn.o_proj": (HIDDEN, HEADS * HEAD_DIM),
            "mlp.gate_proj": (FF, HIDDEN),
            "mlp.up_proj": (FF, HIDDEN),
            "mlp.down_proj": (HIDDEN, FF),
        }
        tensors |= {f"{at}{name}.weight": rand(*shape) for name, shape in shapes.items()}
        for name in ("q", "k", "v"):
            rows = shapes[f"self_attn.{name}_proj"][0]
            tensors[f"{at}self_attn.{name}_proj.bias"] = rand(rows)
        for name in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{at}{name}.weight"] = 1 + rand(HIDDEN)
    tensors["model.norm.weight"] = 1 + rand(HIDDEN)
    return tensors


def int4(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Q4_0 groups of 32: packed nibbles and float16 scales."""
    groups = weight.view(weight.shape[0], -1, 32)
    extreme = groups.gather(-1, groups.abs().argmax(-1, keepdim=True))
    scale = (extreme / -8).half()
    safe = torch.where(scale == 0, torch.ones_like(scale), scale).float()
    nibbles = (groups / safe).round().add(8).clamp(0, 15).to(torch.uint8)
    packed = nibbles[..., :16] | nibbles[..., 16:] << 4
    return packed.reshape(weight.shape[0], -1).contiguous(), scale[..., 0].contiguous()


def int8(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """One scale a row."""
    scale = (weight.abs().amax(1, keepdim=True) / 127).half()
    return (weight / scale.float()).round().clamp(-127, 127).to(torch.int8), scale[:, 0].clone()


def stored(tensors: dict[str, torch.Tensor], form: str) -> dict[str, torch.Tensor]:
    """``tensors`` as ``form`` (float32, bfloat16, float16, int8, int4) stores them."""
    dtypes = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if form in dtypes:
        return {name: t.to(dtypes[form]).contiguous() for name, t in tensors.items()}
    out = {}
    for name, t in tensors.items():
        base = name.removesuffix(".weight")
        if t.dim() < 2:
            out[name] = t.half()
        elif form == "int4" and "embed" not in name:
            out[f"{base}.qweight"], out[f"{base}.scale"] = int4(t)
        else:
            suffix = ".qweight" if form == "int4" else ".weight"
            out[f"{base}{suffix}"], out[f"{base}.scale"] = int8(t)
    return out


def checkpoint(
    directory: Path, form: str = "float32", *, seed: int = 0, shards: int = 2, near: bool = False
) -> Path:
    """Write a tiny block-diffusion checkpoint and return its directory."""
    ids = {token: tokenizer().token_to_id(token) for token in SPECIALS}
    return _write(
        directory, config(VOCAB, ids, near=near), stored(weights(VOCAB, seed), form), shards=shards
    )


def adapter(
    directory: Path,
    base: str,
    *,
    scale: float = 2.0,
    rank: int = 4,
    shared: bool = True,
    targets: tuple[str, ...] = (),
) -> Path:
    """Write a random LoRA adapter of a tiny checkpoint, as PEFT does.

    Parameters
    ----------
    shared
        Whether matrices that see the same rows have the same A, as after `midfill train`.
    targets
        The matrices that it changes; all by default.
    """
    g = torch.Generator().manual_seed(7)
    tensors = {}
    for name, weight in weights(VOCAB).items():
        module = name.removesuffix(".weight")
        if weight.dim() != 2 or "layers" not in name or not module.endswith(targets or "proj"):
            continue
        a = torch.randn(rank, weight.shape[1], generator=g) * 0.2
        if shared:
            a = torch.linspace(-0.3, 0.3, a.numel()).view(a.shape)
        b = torch.randn(len(weight), rank, generator=g) * (0.5 if scale else 0)
        for half, tensor in (("A", a), ("B", b)):
            stored = tensor.to(torch.bfloat16).clone()
            tensors[f"base_model.model.{module}.lora_{half}.weight"] = stored
    directory.mkdir(parents=True)
    config = {
        "peft_type": "LORA",
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": scale * rank,
        "bias": "none",
    }
    (directory / "adapter_config.json").write_text(json.dumps(config))
    save_file(tensors, directory / "adapter_model.safetensors")
    return directory


def llada(directory: Path, *, seed: int = 0) -> Path:
    """Write a tiny checkpoint with LLaDA's keys and names: no biases, a key head a head."""
    ids = {token: tokenizer().token_to_id(token) for token in SPECIALS}
    config = {
        "architectures": ["LLaDAModelLM"],
        "model_type": "llada",
        "activation_type": "silu",
        "alibi": False,
        "attention_layer_norm": False,
        "block_type": "llama",
        "d_model": HIDDEN,
        "embedding_size": VOCAB,
        "eos_token_id": ids["<|endoftext|>"],
        "include_bias": False,
        "include_qkv_bias": False,
        "layer_norm_type": "rms",
        "mask_token_id": ids["<|fim_pad|>"],
        "max_sequence_length": 512,
        "mlp_hidden_size": FF,
        "n_heads": HEADS,
        "n_kv_heads": HEADS,
        "n_layers": LAYERS,
        "pad_token_id": ids["<|endoftext|>"],
        "rms_norm_eps": 1e-5,
        "rope": True,
        "rope_full_precision": True,
        "rope_theta": 500000.0,
        "vocab_size": VOCAB,
        "weight_tying": False,
    }
    return _write(directory, config, _llada_weights(seed))


def dream(directory: Path, *, seed: int = 0) -> Path:
    """Write a tiny checkpoint with Dream's keys: Qwen2's names, biases, a head of its own."""
    ids = {token: tokenizer().token_to_id(token) for token in SPECIALS}
    config = {
        "architectures": ["DreamModel"],
        "model_type": "Dream",
        "bos_token_id": ids["<|fim_prefix|>"],
        "eos_token_id": ids["<|endoftext|>"],
        "hidden_size": HIDDEN,
        "intermediate_size": FF,
        "mask_token_id": ids["<|fim_pad|>"],
        "max_position_embeddings": 512,
        "num_attention_heads": HEADS,
        "num_hidden_layers": LAYERS,
        "num_key_value_heads": KV_HEADS,
        "pad_token_id": ids["<|endoftext|>"],
        "rms_norm_eps": 1e-6,
        "rope_scaling": None,
        "rope_theta": 1000000.0,
        "tie_word_embeddings": False,
        "vocab_size": VOCAB,
    }
    tensors = weights(VOCAB, seed)
    head = torch.randn(VOCAB, HIDDEN, generator=torch.Generator().manual_seed(seed + 1)) * 0.5
    return _write(directory, config, tensors | {"lm_head.weight": head})


def _llada_weights(seed: int) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)

    def rand(*shape: int, std: float = 0.2) -> torch.Tensor:
        return torch.randn(*shape, generator=g) * std

    at = "model.transformer."
    tensors = {
        f"{at}wte.weight": rand(VOCAB, HIDDEN, std=0.5),
        f"{at}ln_f.weight": 1 + rand(HIDDEN),
        f"{at}ff_out.weight": rand(VOCAB, HIDDEN, std=0.5),
    }
    shapes = {
        **dict.fromkeys(("q_proj", "k_proj", "v_proj", "attn_out"), (HIDDEN, HIDDEN)),
        **dict.fromkeys(("ff_proj", "up_proj"), (FF, HIDDEN)),
        "ff_out": (HIDDEN, FF),
    }
    for n in range(LAYERS):
        tensors |= {f"{at}blocks.{n}.{name}.weight": rand(*s) for name, s in shapes.items()}
        for name in ("attn_norm", "ff_norm"):
            tensors[f"{at}blocks.{n}.{name}.weight"] = 1 + rand(HIDDEN)
    return tensors


def _write(
    directory: Path, config: dict, tensors: dict[str, torch.Tensor], *, shards: int = 1
) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer().save(str(directory / "tokenizer.json"))
    (directory / "config.json").write_text(json.dumps(config))
    names = sorted(tensors)
    index = {}
    for n in range(shards):
        file = f"model-{n + 1:05d}-of-{shards:05d}.safetensors"
        part = {name: tensors[name] for name in names[n::shards]}
        save_file(part, directory / file)
        index |= dict.fromkeys(part, file)
    (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    return directory
