"""Checkpoint folders: read any precision, write the shipped ones, and adapters.

Owns tensor names, packing, shards and checksums. What ``config.json`` says of the training is
given by the caller.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from midfill_engine.errors import CheckpointError, CorruptCheckpoint
from midfill_engine.models.adapter import TENSOR, open_checkpoint
from midfill_engine.models.checkpoint import LowRank
from midfill_engine.models.configuration import (
    ADAPTER_FILE,
    ADAPTER_STEM,
    CHAIN_FILE,
    CONFIG_FILE,
    MODEL_STEM,
    read_json,
)
from midfill_engine.models.locate import base_of, find_base, is_adapter
from midfill_train.model import quantise
from midfill_train.model.lora import Adapted, adapted, merged
from midfill_train.model.network import Layer, Network, Shape

Precision = Literal["int4", "int8", "bf16"]
#: Bytes of the largest shard, so that each file passes where 50 MB are the limit.
SHARD = 44_000_000

_EMBEDDING, _FINAL_NORM = "model.embed_tokens", "model.norm.weight"
EMBEDDING = f"{_EMBEDDING}.weight"
_NOTICES = ("LICENSE", "NOTICE")
#: What guesses say of one another stays nearly true of weights that were trained further.
_CARRIED = (*_NOTICES, CHAIN_FILE)
_COPIED = ("tokenizer.json", "tokenizer_config.json", *_CARRIED)

_LINEAR = {
    "bits": 4,
    "group_size": quantise.GROUP,
    "tensors": ["<name>.qweight uint8 [out, in/2]", "<name>.scale float16 [out, in/32]"],
    "packing": "group g of a row = bytes 16g..16g+15; byte 16g+j holds input 32g+j in its low "
    "nibble and input 32g+16+j in its high nibble; weight = (nibble - 8) * scale[out, g]; scales "
    "may be negative (scale = signed extreme of the group / -8, as GGUF Q4_0, to which it "
    "converts bit for bit)",
}
_ROWS = {
    "bits": 8,
    "tensors": ["<name>.qweight int8 [out, in]", "<name>.scale float16 [out]"],
    "rule": "weight = q * scale[row]",
}
_EMBEDDING_ROWS = {
    "bits": 8,
    "tensors": [
        "model.embed_tokens.qweight int8 [vocab, hidden]",
        "model.embed_tokens.scale float16 [vocab]",
    ],
    "rule": "weight = q * scale[row]; also the output head",
}
_OTHER = "norms and q/k/v biases float16"


def load(folder: Path) -> Network:
    """The network of a checkpoint folder, float32 on the CPU; an adapter's is merged.

    Raises
    ------
    CheckpointError
        A file of weights is damaged, or not there; an adapter does not fit.
    """
    base = base_of(folder)
    network = Network(Shape.from_config(json.loads((base / CONFIG_FILE).read_text())))
    try:
        fill(network, tensors(base))
    except (SafetensorError, KeyError) as error:
        raise CorruptCheckpoint(
            f"The weights in {base} are damaged or not complete ({error}).",
            "Get them again: `midfill models fetch`.",
        ) from error
    if is_adapter(folder):
        _merge(network, folder)
    return network


@torch.no_grad()
def _merge(network: Network, adapter: Path) -> None:
    checkpoint = open_checkpoint(adapter)
    for numbered in _numbered(network):
        for linear, names, rows in _linears(*numbered):
            for part, name in zip(torch.split(linear.weight, rows), names, strict=True):
                if update := checkpoint.update(name):
                    part.addmm_(update.b, update.a)


@torch.no_grad()
def load_adapter(network: Network, folder: Path) -> None:
    """Set the adapters of ``network``, attached at its rank, to those in ``folder``.

    Raises
    ------
    CheckpointError
        What is one matrix here has several adapters there, as other tools write them.
    """
    checkpoint = open_checkpoint(folder)
    for numbered in _numbered(network):
        for linear, names, _ in _linears(*numbered):
            assert isinstance(linear, Adapted)  # noqa: S101  (all of them are)
            updates = [update for name in names if (update := checkpoint.update(name))]
            if len(updates) < len(names) or any(not u.a.equal(updates[0].a) for u in updates):
                raise CheckpointError(
                    f"{folder} cannot be trained further: {', '.join(names)} share no half A.",
                    "Train an adapter beside it: --rank instead of --further.",
                )
            linear.a.copy_(updates[0].a)
            linear.b.copy_(torch.cat([update.b for update in updates]) / linear.scale)


def rank_of(folder: Path) -> int:
    """The rank of the adapter in ``folder``; 0 where it holds none."""
    return int(read_json(folder / ADAPTER_FILE)["r"]) if is_adapter(folder) else 0


def tensors(folder: Path) -> dict[str, Tensor]:
    """All tensors of a folder's weights, or of its adapter."""
    found: dict[str, Tensor] = {}
    for path in _weights(folder):
        if path.suffix == ".safetensors":
            found.update(load_file(path))
    return found


def _weights(folder: Path) -> list[Path]:
    """The files of a folder's weights, or of its adapter, with their index."""
    stems = (MODEL_STEM, ADAPTER_STEM)
    return sorted(path for stem in stems for path in folder.glob(f"{stem}*.safetensors*"))


@torch.no_grad()
def fill(network: Network, stored: Mapping[str, Tensor]) -> None:
    """Copy ``stored`` into ``network``, unpacked."""
    network.embedding.weight.copy_(_dense(stored, _EMBEDDING))
    network.norm.scale.copy_(stored[_FINAL_NORM])
    for layer, i in _numbered(network):
        for linear, names, _ in _linears(layer, i):
            linear.weight.copy_(torch.cat([_dense(stored, name) for name in names]))
            if linear.bias is not None:
                linear.bias.copy_(torch.cat([stored[f"{name}.bias"] for name in names]))
        for norm, name in _norms(layer, i):
            norm.copy_(stored[name])


def _dense(stored: Mapping[str, Tensor], name: str) -> Tensor:
    if f"{name}.weight" in stored:
        return stored[f"{name}.weight"].float()
    values, scale = stored[f"{name}.qweight"], stored[f"{name}.scale"]
    if values.dtype == torch.int8:
        return quantise.from_int8(values, scale)
    return quantise.from_int4(_unpacked(values), scale)


def _packed(nibbles: Tensor) -> Tensor:
    halves = nibbles.view(nibbles.shape[0], -1, 2, quantise.GROUP // 2)
    return (halves[:, :, 0] | halves[:, :, 1] << 4).flatten(1)


def _unpacked(packed: Tensor) -> Tensor:
    halves = packed.view(packed.shape[0], -1, quantise.GROUP // 2)
    return torch.cat((halves & 15, halves >> 4), -1).flatten(1)


def _numbered(network: Network) -> Iterator[tuple[Layer, int]]:
    for i, layer in enumerate(network.layers):
        assert isinstance(layer, Layer)  # noqa: S101  (ModuleList does not say)
        yield layer, i


def _linears(layer: Layer, i: int) -> list[tuple[nn.Linear, list[str], list[int]]]:
    """Each fused matrix with the names and rows of its parts."""
    attention, mlp = f"model.layers.{i}.self_attn", f"model.layers.{i}.mlp"
    heads = [count * layer.head for count in layer.split]
    inner = layer.down.in_features
    return [
        (layer.qkv, [f"{attention}.{n}_proj" for n in "qkv"], heads),
        (layer.out, [f"{attention}.o_proj"], [layer.out.out_features]),
        (layer.gate_up, [f"{mlp}.gate_proj", f"{mlp}.up_proj"], [inner, inner]),
        (layer.down, [f"{mlp}.down_proj"], [layer.down.out_features]),
    ]


def _norms(layer: Layer, i: int) -> list[tuple[Tensor, str]]:
    prefix = f"model.layers.{i}."
    return [
        (layer.attention_norm.scale, f"{prefix}input_layernorm.weight"),
        (layer.mlp_norm.scale, f"{prefix}post_attention_layernorm.weight"),
    ]


@torch.no_grad()
def packed(network: Network, precision: Precision) -> dict[str, Tensor]:
    """All tensors as a checkpoint of ``precision`` stores them, adapters merged."""
    out: dict[str, Tensor] = {}
    small = torch.bfloat16 if precision == "bf16" else torch.float16

    def put(name: str, weight: Tensor, bits: int) -> None:
        if precision == "bf16":
            out[f"{name}.weight"] = weight.to(torch.bfloat16)
        elif bits == 8:
            out[f"{name}.qweight"], out[f"{name}.scale"] = quantise.int8(weight)
        else:
            nibbles, out[f"{name}.scale"] = quantise.int4(weight)
            out[f"{name}.qweight"] = _packed(nibbles)

    put(_EMBEDDING, network.embedding.weight, 8)
    for layer, i in _numbered(network):
        for linear, names, rows in _linears(layer, i):
            for name, weight in zip(names, torch.split(merged(linear), rows), strict=True):
                put(name, weight, 8 if precision == "int8" else 4)
            if linear.bias is not None:
                for name, bias in zip(names, torch.split(linear.bias, rows), strict=True):
                    out[f"{name}.bias"] = bias.to(small)
        for norm, name in _norms(layer, i):
            out[name] = norm.to(small)
    out[_FINAL_NORM] = network.norm.scale.to(small)
    return {name: tensor.cpu().contiguous().clone() for name, tensor in out.items()}


def save(
    network: Network,
    out: Path,
    *,
    like: Path,
    precision: Precision = "int4",
    diffusion: Mapping[str, Any] | None = None,
    texts: Mapping[str, str] | None = None,
) -> None:
    """Write a checkpoint folder.

    Parameters
    ----------
    like
        A Midfill checkpoint whose tokenizer, licence and configuration are carried over; of an
        adapter, those of its base.
    diffusion
        What the ``diffusion`` section of ``config.json`` says anew.
    texts
        More files, by name; these win over carried ones.
    """
    _write_texts(out, like, _COPIED, texts or {})
    config = json.loads((base_of(like) / CONFIG_FILE).read_text())
    config["vocab_size"] = network.shape.vocab
    config["diffusion"] = {**config.get("diffusion", {}), **(diffusion or {})}
    config.pop("quantization", None)
    if precision != "bf16":
        linear = _LINEAR if precision == "int4" else _ROWS
        config["quantization"] = {"linear": linear, "embedding": _EMBEDDING_ROWS, "other": _OTHER}
    (out / CONFIG_FILE).write_text(json.dumps(config, indent=1) + "\n")
    stored = packed(network, precision)
    _remove_weights(out)
    (out / ADAPTER_FILE).unlink(missing_ok=True)
    _write_shards(stored, out)
    write_checksums(out)


@torch.no_grad()
def save_adapter(
    network: Network, out: Path, *, base: Path, texts: Mapping[str, str] | None = None
) -> None:
    """Write the adapters of ``network`` (`lora.attach`) as a folder, in PEFT's format and bfloat16.

    Parameters
    ----------
    base
        The checkpoint that they were trained on: the adapter's configuration names it, and its
        licence is carried over. Of an adapter, its own base: what is written does what both do,
        at the sum of their ranks.
    texts
        As for `save`.
    """
    before = open_checkpoint(base)
    earlier = rank_of(base)
    stored: dict[str, Tensor] = {}
    targets: dict[str, None] = {}
    for numbered in _numbered(network):
        for linear, names, rows in _linears(*numbered):
            assert isinstance(linear, Adapted)  # noqa: S101  (all of them are)
            for name, b in zip(names, torch.split(linear.b, rows), strict=True):
                halves = (linear.a.cpu(), (b * linear.scale).cpu())
                if earlier:
                    halves = _both(before.update(name), earlier, *halves)
                for half, tensor in zip("AB", halves, strict=True):
                    stored[TENSOR.format(name, half)] = tensor.to(torch.bfloat16)
                targets[name.rpartition(".")[2]] = None
    rank = earlier + len(adapted(network)[0].a)  # all have one rank
    name = _name(before.path, out)
    card = f"# {out.name}\n\nAn adapter (LoRA, rank {rank}) of {name}, by `midfill train`.\n"
    _write_texts(out, base, _CARRIED, {"README.md": card, **(texts or {})})
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": name,
        "r": rank,
        "lora_alpha": rank,
        "lora_dropout": 0.0,
        "target_modules": list(targets),
        "bias": "none",
        "inference_mode": True,
    }
    _write_adapter(stored, config, out)


@torch.no_grad()
def scale_adapter(adapter: Path, out: Path, share: float) -> None:
    """Write an adapter that adds ``share`` of what ``adapter`` adds to the same base."""
    stored = tensors(adapter)
    for name, tensor in stored.items():
        if name.endswith(".lora_B.weight"):
            stored[name] = tensor * share
    _write_texts(out, adapter, (*_CARRIED, "README.md"), {})
    config = read_json(adapter / ADAPTER_FILE)
    config["base_model_name_or_path"] = _name(base_of(adapter), out)
    _write_adapter(stored, config, out)


def _write_adapter(stored: Mapping[str, Tensor], config: Mapping[str, Any], out: Path) -> None:
    (out / ADAPTER_FILE).write_text(json.dumps(config, indent=1) + "\n")
    _remove_weights(out)
    (out / CONFIG_FILE).unlink(missing_ok=True)
    # In one file, whatever its size: other tools look for no other name.
    _write(stored, out / f"{ADAPTER_STEM}.safetensors")
    write_checksums(out)


def _both(update: LowRank | None, rank: int, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """The halves of what ``update``, of ``rank`` where it is there, and ``b a`` do together."""
    first = update or LowRank(a.new_zeros(rank, a.shape[1]), b.new_zeros(len(b), rank))
    return torch.cat((first.a, a)), torch.cat((first.b, b), 1)


def _name(base: Path, out: Path) -> str:
    """What finds ``base`` again: its name, if it is installed or beside ``out``, else its path."""
    base = base.resolve()
    return base.name if find_base(out, base.name) == base else str(base)


def _write_texts(out: Path, like: Path, copied: Sequence[str], texts: Mapping[str, str]) -> None:
    """Copy from ``like``, or what it lacks from its base, and write ``texts``."""
    out.mkdir(parents=True, exist_ok=True)
    folders = (like, base_of(like))
    for name in copied:
        places = (folder / name for folder in folders)
        found = next((place for place in places if place.exists()), None)
        if found and found != out / name:
            shutil.copyfile(found, out / name)
    for name, text in texts.items():
        (out / name).write_text(text)


def _remove_weights(folder: Path) -> None:
    """Of an earlier writing into ``folder``: its index would win over a single file."""
    for path in _weights(folder):
        path.unlink()


def _write(stored: Mapping[str, Tensor], path: Path) -> None:
    save_file(dict(stored), path, metadata={"format": "pt"})
    path.chmod(0o644)


def _write_shards(stored: Mapping[str, Tensor], out: Path) -> None:
    shards: list[dict[str, Tensor]] = [{}]
    room = SHARD
    for name in sorted(stored, key=_order):
        size = stored[name].nbytes
        if size > room and shards[-1]:
            shards.append({})
            room = SHARD
        shards[-1][name] = stored[name]
        room -= size
    places: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        file = f"{MODEL_STEM}-{number:05d}-of-{len(shards):05d}.safetensors"
        _write(shard, out / file)
        places |= dict.fromkeys(shard, file)
    total = sum(tensor.nbytes for tensor in stored.values())
    index = {"metadata": {"total_size": total}, "weight_map": places}
    (out / f"{MODEL_STEM}.safetensors.index.json").write_text(json.dumps(index, indent=0) + "\n")


def _order(name: str) -> tuple[int, int, str]:
    """Embedding, layers, the rest."""
    if name.startswith(_EMBEDDING):
        return (0, 0, name)
    _, layers, number = name.partition(".layers.")
    return (1, int(number.partition(".")[0]), name) if layers else (2, 0, name)


def write_checksums(folder: Path) -> None:
    """Write ``SHA256SUMS`` of the weights, and of the tokenizer or an adapter's configuration."""
    others = (folder / name for name in ("tokenizer.json", ADAPTER_FILE))
    paths = [*sorted(folder.glob("*.safetensors")), *(p for p in others if p.exists())]
    lines = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}\n" for p in paths]
    (folder / "SHA256SUMS").write_text("".join(lines))
