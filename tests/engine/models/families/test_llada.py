"""LLaDA's numbers against its arithmetic written out plainly, with no cache and no fusing."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from midfill_engine.errors import CorruptCheckpoint, UnsupportedArchitecture
from midfill_engine.models.registry import family_of
from tests import tiny
from tests.engine.models.test_decoder import load

IDS = torch.tensor([7, 3, 260, 41, 267, 267, 267, 99, 12, 200, 5])


def reference(path: Path, ids: torch.Tensor) -> torch.Tensor:
    """Logits ``(T, V)`` of one pass in which every row sees every row."""
    config = json.loads((path / "config.json").read_text())
    w = {}
    for shard in path.glob("*.safetensors"):
        w |= load_file(shard)
    heads = config["n_heads"]
    size = config["d_model"] // heads
    inverse = 1 / config["rope_theta"] ** (torch.arange(0, size, 2) / size)
    angle = torch.outer(torch.arange(len(ids)), inverse)
    cos, sin = (torch.cat((f(angle), f(angle)), -1) for f in (torch.cos, torch.sin))

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        return x * (x.pow(2).mean(-1, keepdim=True) + config["rms_norm_eps"]).rsqrt() * w[name]

    def rotated(x: torch.Tensor) -> torch.Tensor:
        left, right = x[..., : size // 2], x[..., size // 2 :]
        return x * cos + torch.cat((-right, left), -1) * sin

    x = w["model.transformer.wte.weight"][ids]
    for n in range(config["n_layers"]):
        at = f"model.transformer.blocks.{n}."
        h = norm(x, f"{at}attn_norm.weight")
        q, k, v = (
            (h @ w[f"{at}{name}_proj.weight"].T).view(len(ids), heads, size).transpose(0, 1)
            for name in "qkv"
        )
        scores = rotated(q) @ rotated(k).transpose(1, 2) / math.sqrt(size)
        y = (scores.softmax(-1) @ v).transpose(0, 1).reshape(len(ids), -1)
        x = x + y @ w[f"{at}attn_out.weight"].T
        h = norm(x, f"{at}ff_norm.weight")
        gated = F.silu(h @ w[f"{at}ff_proj.weight"].T) * (h @ w[f"{at}up_proj.weight"].T)
        x = x + gated @ w[f"{at}ff_out.weight"].T
    return norm(x, "model.transformer.ln_f.weight") @ w["model.transformer.ff_out.weight"].T


def test_logits_equal_the_plain_arithmetic(llada_path):
    decoder = load(llada_path)
    hidden = decoder.forward_within(IDS, decoder.new_cache(), 0, len(IDS))
    want = reference(llada_path, IDS)
    torch.testing.assert_close(decoder.logits(hidden), want, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(want, reference(llada_path, IDS.flip(0)).flip(0), atol=1e-2)


def test_rows_behind_a_window_are_seen(llada_path):
    decoder = load(llada_path)
    cache = decoder.new_cache()
    whole = decoder.forward_within(IDS, cache, 0, len(IDS))
    again = decoder.forward_within(IDS[4:7], cache, 4, len(IDS))
    torch.testing.assert_close(again, whole[4:7], rtol=1e-4, atol=1e-5)
    blind = decoder.forward_within(IDS[4:7], cache, 4, 7)
    assert not torch.allclose(blind, whole[4:7], atol=1e-2)


def test_what_config_says_is_what_the_family_reads(llada_path):
    config = json.loads((llada_path / "config.json").read_text())
    family = family_of(config)
    spec, decoder = family.diffusion(config), family.decoder(config)
    assert family.name == "llada"
    assert (spec.mask_id, spec.eom_id, spec.bos_id, spec.shift) == (267, 263, None, False)
    assert decoder.num_kv_heads == tiny.HEADS
    assert not decoder.qkv_bias
    assert not decoder.tied_head


@pytest.mark.parametrize(
    ("key", "value"),
    [("block_type", "sequential"), ("alibi", True), ("layer_norm_type", "low_precision")],
)
def test_other_forms_of_the_architecture_are_refused(llada_path, key, value):
    config = json.loads((llada_path / "config.json").read_text()) | {key: value}
    with pytest.raises(UnsupportedArchitecture, match=key):
        family_of(config).decoder(config)


def test_a_mask_outside_the_vocabulary_is_refused(llada_path):
    config = json.loads((llada_path / "config.json").read_text()) | {"mask_token_id": 126336}
    with pytest.raises(CorruptCheckpoint, match="mask_token_id"):
        family_of(config).diffusion(config)
