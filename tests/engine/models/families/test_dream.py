"""Dream's numbers against transformers' Qwen2 with a full mask, and its shifted rows."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

from midfill_engine.cache.window import WindowCache
from midfill_engine.fill.in_place import Text
from midfill_engine.layout.in_place import Frame
from midfill_engine.models.registry import family_of
from tests.engine.loaded import Model
from tests.engine.models.test_decoder import load

BEFORE, HOLE, AFTER = [264, 7, 3, 41], [267, 99, 267, 267], [12, 200, 5, 263]


@pytest.fixture(scope="module")
def logits(dream_path) -> torch.Tensor:
    """``(T, V)`` of the whole text in transformers, not shifted."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    config = json.loads((dream_path / "config.json").read_text())
    for name in ("architectures", "model_type", "mask_token_id"):
        del config[name]
    model = Qwen2ForCausalLM(Qwen2Config(**config, attn_implementation="eager"))
    tensors = {}
    for shard in dream_path.glob("*.safetensors"):
        tensors |= load_file(shard)
    model.load_state_dict(tensors)
    ids = torch.tensor([BEFORE + HOLE + AFTER])
    with torch.inference_mode():
        out = model.float().eval()(
            input_ids=ids,
            attention_mask=torch.zeros(1, 1, ids.shape[1], ids.shape[1]),
            position_ids=torch.arange(ids.shape[1])[None],
            use_cache=False,
        )
    return out.logits[0]


def test_logits_equal_transformers_with_a_full_mask(dream_path, logits):
    decoder = load(dream_path)
    ids = torch.tensor(BEFORE + HOLE + AFTER)
    hidden = decoder.forward_within(ids, decoder.new_cache(), 0, len(ids))
    torch.testing.assert_close(decoder.logits(hidden), logits, rtol=1e-4, atol=1e-4)


def test_a_mask_is_predicted_by_the_row_before_it(dream_path, logits):
    model = Model(dream_path)
    memory = model.cache()
    text = Text(
        model.run(memory), model.spec, Frame(BEFORE, AFTER), WindowCache(memory), allow_empty=True
    )
    rows = [0, 2, 3]
    stats = model.alone(text.read(text.frame, HOLE, rows))
    shifted = logits[[len(BEFORE) - 1 + n for n in rows]] + model.bias
    assert stats.tokens == shifted.argmax(-1).tolist()
    p = shifted.softmax(-1).max(-1).values
    torch.testing.assert_close(torch.tensor(stats.probability), p, rtol=1e-4, atol=1e-5)


def test_texts_are_no_longer_than_the_diffusion_training(dream_path):
    config = json.loads((dream_path / "config.json").read_text())
    config["max_position_embeddings"] = 131072
    family = family_of(config)
    assert family.name == "dream"
    assert family.decoder(config).max_positions == 2048
    spec = family.diffusion(config)
    assert spec.trained_context_tokens == 2048
    assert (spec.mask_id, spec.bos_id, spec.eos_id, spec.shift) == (267, 264, 263, True)
