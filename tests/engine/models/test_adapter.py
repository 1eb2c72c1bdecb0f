"""Adapters: the base's weights plus ``scale * B A`` in every precision, and clear refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from midfill_engine.errors import CheckpointError, CorruptCheckpoint
from midfill_engine.models.adapter import open_checkpoint
from midfill_engine.models.linear import make_linear
from midfill_engine.models.packed import pack
from midfill_engine.models.weights import StoredWeight, read_weight, stack
from midfill_engine.service.engine import load_filler
from midfill_engine.settings import EngineSettings
from tests import tiny
from tests.engine.loaded import Model

SCALE = 2.0
CPU = torch.device("cpu")
Q = "model.layers.1.self_attn.q_proj"


@pytest.fixture(params=["float32", "bfloat16", "int8", "int4"])
def form(request):
    return request.param


@pytest.fixture
def adapter(tmp_path):
    tiny.checkpoint(tmp_path / "base", "float32")
    return tiny.adapter(tmp_path / "mine", "base", scale=SCALE)


def edit(path: Path, **changes: object) -> None:
    file = path / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def retensor(path: Path, **changes: torch.Tensor | None) -> None:
    """Set tensors of layer 1's query projection, or remove them."""
    file = path / "adapter_model.safetensors"
    tensors = load_file(file)
    for half, tensor in changes.items():
        name = f"base_model.model.{Q}.{half}.weight"
        tensors.pop(name)
        if tensor is not None:
            tensors[name] = tensor
    save_file(tensors, file)


def parts(path: Path, names: str = "qkv") -> StoredWeight:
    checkpoint = open_checkpoint(path)
    rows = {"q": tiny.HEADS * tiny.HEAD_DIM}
    return stack(
        [
            read_weight(
                checkpoint,
                f"model.layers.1.self_attn.{name}_proj",
                (rows.get(name, tiny.KV_HEADS * tiny.HEAD_DIM), tiny.HIDDEN),
            )
            for name in names
        ]
    )


def merged(path: Path, base: Path, names: str = "qkv") -> torch.Tensor:
    """The sum by its definition."""
    tensors = load_file(path / "adapter_model.safetensors")
    added = [
        tensors[f"base_model.model.{at}.lora_B.weight"].float()
        @ tensors[f"base_model.model.{at}.lora_A.weight"].float()
        for at in (f"model.layers.1.self_attn.{name}_proj" for name in names)
    ]
    return parts(base, names).dense(torch.float32) + SCALE * torch.cat(added)


@pytest.mark.parametrize("shared", [True, False])
def test_weights_are_those_of_the_base_plus_the_update(tmp_path, form, shared):
    base = tiny.checkpoint(tmp_path / "base", form)
    mine = tiny.adapter(tmp_path / "mine", "base", scale=SCALE, shared=shared)
    weight, expected = parts(mine), merged(mine, base)
    assert (expected - parts(base).dense(torch.float32)).abs().max() > 0.1
    torch.testing.assert_close(weight.dense(torch.float32), expected)
    values, scale = weight.rowwise_int8()
    step = expected.abs().amax(1, keepdim=True) / 127
    assert ((values * scale[:, None] - expected).abs() <= 0.51 * step).all()
    for precision, error in (("int8", 0.01), ("fp8", 0.04), ("int4", 0.12)):
        packed = pack(weight, precision, CPU)
        assert packed.update is None
        found = packed.dense(torch.float32)
        assert (found - expected).norm() / expected.norm() < error
    assert packed.values.dtype == torch.uint8
    rows = torch.randn(3, tiny.HIDDEN)
    for precision, error in (("float32", 1e-5), ("bfloat16", 0.02), ("int8", 0.03)):
        linear = make_linear(weight, None, precision, CPU)
        rows = rows.to(torch.bfloat16 if precision == "bfloat16" else torch.float32)
        wanted = rows.float() @ expected.T
        assert (linear(rows).float() - wanted).norm() / wanted.norm() < error


def test_a_matrix_without_an_update_stays_beside_one_with(tmp_path):
    base = tiny.checkpoint(tmp_path / "base", "int4")
    mine = tiny.adapter(tmp_path / "mine", "base", scale=SCALE, targets=("q_proj",))
    found, before = parts(mine).dense(torch.float32), parts(base).dense(torch.float32)
    rows = tiny.HEADS * tiny.HEAD_DIM
    torch.testing.assert_close(found[:rows], merged(mine, base, "q"))
    assert torch.equal(found[rows:], before[rows:])


def test_an_adapter_of_zeros_changes_no_bit(tmp_path, form):
    base = tiny.checkpoint(tmp_path / "base", form)
    zeros = tiny.adapter(tmp_path / "zeros", "base", scale=0.0)
    for found, expected in zip(
        parts(zeros).rowwise_int8(), parts(base).rowwise_int8(), strict=True
    ):
        assert torch.equal(found, expected)


def test_the_engine_answers_with_it(adapter):
    settings = EngineSettings(model=str(adapter), device="cpu", precision="float32", threads=1)
    info = load_filler(settings, lambda *_: None).info
    assert (info.name, info.architecture) == ("mine", "Qwen2ForCausalLM")
    changed, plain = Model(adapter), Model(adapter.parent / "base")
    assert changed.tokenizer.size == plain.tokenizer.size
    ids = torch.arange(8)
    rows = [m.decoder.forward(ids, m.decoder.new_cache(), 0) for m in (changed, plain)]
    assert not torch.allclose(*rows, atol=0.1)


def test_the_base_is_found_beside_by_name_and_by_path(adapter, tmp_path, monkeypatch):
    monkeypatch.setenv("MIDFILL_MODELS", str(tmp_path / "models"))
    base = adapter.parent / "base"
    edit(adapter, base_model_name_or_path=str(base))
    assert open_checkpoint(adapter).path == base
    installed = tiny.checkpoint(tmp_path / "models" / "known")
    edit(adapter, base_model_name_or_path="known")
    assert open_checkpoint(adapter).path == installed
    edit(adapter, base_model_name_or_path="owner/known")
    assert open_checkpoint(adapter).path == installed
    edit(adapter, base_model_name_or_path="unknown")
    with pytest.raises(CheckpointError, match=r"adapter of unknown.*Put unknown beside.*known"):
        open_checkpoint(adapter)


def test_shards_are_read(adapter):
    file = adapter / "adapter_model.safetensors"
    tensors = load_file(file)
    file.unlink()
    places = {}
    for n, half in enumerate("AB"):
        part = {name: t for name, t in tensors.items() if f"lora_{half}" in name}
        save_file(part, adapter / f"adapter_model-{n}.safetensors")
        places |= dict.fromkeys(part, f"adapter_model-{n}.safetensors")
    index = adapter / "adapter_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": places}))
    assert open_checkpoint(adapter).update(Q) is not None


def test_it_can_be_read_again(adapter):
    """The tensors of a file in float32 are the file's own pages."""
    file = adapter / "adapter_model.safetensors"
    save_file({name: tensor.float() for name, tensor in load_file(file).items()}, file)
    checkpoint = open_checkpoint(adapter)
    first = [half.clone() for half in checkpoint.update(Q)]
    assert all(map(torch.equal, first, checkpoint.update(Q)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"peft_type": "IA3"}, "peft_type 'IA3'"),
        ({"bias": "all"}, "bias 'all'"),
        ({"use_rslora": True}, "use_rslora"),
        ({"use_something_new": True}, "use_something_new"),
        ({"use_dora": True}, "use_dora"),
        ({"fan_in_fan_out": True}, "fan_in_fan_out"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"alpha_pattern": {"q_proj": 4}}, "alpha_pattern"),
        ({"init_lora_weights": "pissa"}, "pissa"),
        ({"r": 0}, "r is 0"),
        ({"r": 5}, "do not fit r 5"),
        ({"lora_alpha": None}, "lora_alpha None"),
        ({"base_model_name_or_path": None}, "names no base_model_name_or_path"),
        ({"base_model_name_or_path": "mine"}, "no such model"),
    ],
)
def test_other_kinds_are_refused(adapter, change, words):
    edit(adapter, **change)
    with pytest.raises(CheckpointError, match=words):
        open_checkpoint(adapter)


def test_what_does_not_fit_is_refused(adapter):
    retensor(adapter, lora_A=torch.zeros(4, 32))
    with pytest.raises(CheckpointError, match=r"q_proj have the shapes.*another model"):
        open_checkpoint(adapter)
    retensor(adapter, lora_A=None)
    with pytest.raises(CheckpointError, match=r"lacks .*q_proj\.lora_A"):
        open_checkpoint(adapter)


@pytest.mark.parametrize(
    "name",
    ["model.layers.7.self_attn.q_proj", "model.embed_tokens", "model.layers.0.input_layernorm"],
)
def test_a_target_that_the_base_lacks_is_refused(adapter, name):
    file = adapter / "adapter_model.safetensors"
    save_file({f"base_model.model.{name}.lora_A.weight": torch.zeros(4, 64)}, file)
    with pytest.raises(CheckpointError, match="changes nothing that a layer"):
        open_checkpoint(adapter)


def test_damage_is_told(adapter):
    file = adapter / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(CorruptCheckpoint, match="damaged or cut short"):
        open_checkpoint(adapter)
    file.unlink()
    with pytest.raises(CheckpointError, match=r"neither adapter_model\.safetensors"):
        open_checkpoint(adapter)
    (adapter / "adapter_config.json").write_text("{")
    with pytest.raises(CorruptCheckpoint, match="cannot be read"):
        open_checkpoint(adapter)


@pytest.mark.parametrize("place", ["base", "mine"])
def test_checksums_of_both_count(adapter, place):
    (adapter.parent / place / "SHA256SUMS").write_text(f"{'0' * 64}  README.md\n")
    settings = EngineSettings(model=str(adapter), device="cpu", precision="float32", threads=1)
    with pytest.raises(CorruptCheckpoint, match=rf"{place}/README\.md is missing"):
        load_filler(settings, lambda *_: None)
