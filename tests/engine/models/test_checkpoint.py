"""Loading: every way a checkpoint can be wrong is one clear sentence."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from midfill_engine.errors import CheckpointError, CorruptCheckpoint, UnsupportedArchitecture
from midfill_engine.fill.filler import Filler
from midfill_engine.models.checkpoint import Checkpoint
from midfill_engine.service.engine import load_filler
from midfill_engine.settings import EngineSettings
from tests import tiny


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tiny.checkpoint(tmp_path / "copy")


def load(path: Path) -> Filler:
    return Filler.load(
        EngineSettings(model=str(path), device="cpu", precision="float32", threads=1)
    )


def edit(path: Path, **changes: object) -> None:
    file = path / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps(config | changes))


def test_loads(copy):
    assert load(copy).info.name == "copy"


def test_missing_directory(tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint directory"):
        Checkpoint.open(tmp_path / "nowhere")


def test_missing_config(copy):
    (copy / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"config\.json is missing"):
        load(copy)


def test_config_that_is_not_json(copy):
    (copy / "config.json").write_text("{")
    with pytest.raises(CorruptCheckpoint, match="cannot be read"):
        load(copy)


def test_missing_shard(copy):
    (copy / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(CorruptCheckpoint, match="lacks its file"):
        load(copy)


def test_shard_cut_short(copy):
    shard = copy / "model-00001-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(CorruptCheckpoint, match="damaged or cut short"):
        load(copy)


def test_index_reaching_outside(copy):
    index = copy / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"x": "../elsewhere.safetensors"}}))
    with pytest.raises(CorruptCheckpoint, match="names the file"):
        Checkpoint.open(copy)


def test_wrong_shape(copy):
    edit(copy, intermediate_size=128)
    with pytest.raises(CorruptCheckpoint, match="has the shape"):
        load(copy)


def test_wrong_type(copy):
    shard = copy / "model-00001-of-00002.safetensors"
    tensors = load_file(shard)
    name = next(n for n, t in tensors.items() if t.dim() == 2)
    tensors[name] = tensors[name].to(torch.int64)
    save_file(tensors, shard)
    with pytest.raises(CorruptCheckpoint, match="has the type"):
        load(copy)


@pytest.mark.parametrize("value", [None, "many", -3, 0, 2.5, True])
def test_senseless_number(copy, value):
    edit(copy, num_hidden_layers=value)
    with pytest.raises(CorruptCheckpoint, match="num_hidden_layers"):
        load(copy)


def test_unknown_architecture(copy):
    edit(copy, architectures=["MysteryForCausalLM"])
    with pytest.raises(UnsupportedArchitecture, match="MysteryForCausalLM"):
        load(copy)


def test_autoregressive_checkpoint(copy):
    edit(copy, diffusion=None)
    with pytest.raises(UnsupportedArchitecture, match="autoregressive"):
        load(copy)


def test_special_id_outside_the_vocabulary(copy):
    config = json.loads((copy / "config.json").read_text())
    edit(copy, diffusion=config["diffusion"] | {"path_token_id": 99_999})
    with pytest.raises(CorruptCheckpoint, match="path token id"):
        load(copy)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("tokenizer.json", lambda data: data.replace(b"ret", b"rot", 1)),  # cannot be read any more
        ("model-00001-of-00002.safetensors", lambda data: data[:-1] + bytes([data[-1] ^ 1])),
        ("model-00002-of-00002.safetensors", lambda data: data[:-1]),
    ],
)
def test_checksums(copy, name, damage):
    files = [f for f in copy.iterdir() if f.suffix in (".safetensors", ".json")]
    sums = [f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.name}" for f in files]
    (copy / "SHA256SUMS").write_text("\n".join(sums) + "\n")
    settings = EngineSettings(model=str(copy), device="cpu", precision="float32", threads=1)
    assert load_filler(settings, lambda *_: None).info.name == "copy"
    damaged = copy / name
    damaged.write_bytes(damage(damaged.read_bytes()))
    with pytest.raises(CorruptCheckpoint, match=f"{name} is missing or is not"):
        load_filler(settings, lambda *_: None)


def test_pickles_are_not_read(copy):
    for shard in copy.glob("*.safetensors*"):
        shard.unlink()
    torch.save({}, copy / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="Only safetensors"):
        load(copy)
