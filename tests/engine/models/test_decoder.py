"""Golden numerics: the cached decoder against plain forwards and against transformers."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from midfill_engine.device.choose import memory_dtype
from midfill_engine.models import decoder as decoders
from midfill_engine.models.checkpoint import Checkpoint
from midfill_engine.models.decoder import Decoder, Lane, load_decoder
from midfill_engine.models.registry import family_of
from midfill_engine.models.sight import Branch, sight
from tests import tiny

IDS = torch.tensor([7, 3, 260, 41, 99, 12, 12, 200, 5, 77, 140, 33])


def load(path: Path, precision: str = "float32") -> Decoder:
    checkpoint = Checkpoint.open(path)
    family = family_of(checkpoint.config)
    return load_decoder(
        checkpoint,
        family.decoder(checkpoint.config),
        family.tensors,
        precision=precision,
        device=torch.device("cpu"),
    )


@pytest.fixture(scope="module")
def decoder(tiny_path: Path) -> Decoder:
    return load(tiny_path)


@pytest.fixture(scope="module")
def int8_decoder(tiny_path: Path) -> Decoder:
    return load(tiny_path, "int8")


@pytest.fixture(scope="module")
def reference(tiny_path: Path):
    """The same weights in transformers' Qwen2."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    checkpoint = Checkpoint.open(tiny_path)
    config = dict(checkpoint.config)
    config.pop("diffusion")
    model = Qwen2ForCausalLM(Qwen2Config(**config, attn_implementation="eager"))
    tensors = {}
    for shard in sorted(tiny_path.glob("*.safetensors")):
        tensors |= load_file(shard)
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    assert set(missing) <= {"lm_head.weight"}
    assert not unexpected
    return model.float().eval()


def hidden_of(reference, ids: torch.Tensor, sees: torch.Tensor) -> torch.Tensor:
    """Final hidden states of an uncached forward where ``sees[i, j]``: row i sees row j."""
    bias = torch.where(sees, 0.0, torch.finfo(torch.float32).min)[None, None]
    with torch.inference_mode():
        out = reference.model(
            input_ids=ids[None],
            attention_mask=bias,
            position_ids=torch.arange(len(ids))[None],
            use_cache=False,
        )
    return out.last_hidden_state[0]


def block_mask(n: int, context: int) -> torch.Tensor:
    """Causal context, then rows that see one another."""
    sees = torch.tril(torch.ones(n, n, dtype=torch.bool))
    sees[context:, context:] = True
    return sees


def test_causal_rows_equal_transformers(decoder, reference):
    want = hidden_of(reference, IDS, torch.tril(torch.ones(12, 12, dtype=torch.bool)))
    got = decoder.forward(IDS, decoder.new_cache(), 0)
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("context", [1, 4, 11])
def test_block_over_cached_context_equals_uncached_forward(decoder, reference, context):
    want = hidden_of(reference, IDS, block_mask(len(IDS), context))
    cache = decoder.new_cache()
    decoder.forward(IDS[:context], cache, 0)
    got = decoder.forward(IDS[context:], cache, context, open_rows=len(IDS) - context)
    torch.testing.assert_close(got, want[context:], rtol=1e-4, atol=1e-5)


def test_a_block_leaves_no_trace_in_the_context(decoder):
    cache = decoder.new_cache()
    decoder.forward(IDS[:6], cache, 0)
    decoder.forward(torch.full((8,), 263), cache, 6, open_rows=8)
    got = decoder.forward(IDS[6:], cache, 6)
    want = decoder.forward(IDS, decoder.new_cache(), 0)[6:]
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)


def test_causal_rows_and_the_open_block_behind_them_share_a_forward(decoder):
    mixed, apart = decoder.new_cache(), decoder.new_cache()
    decoder.forward(IDS[:4], mixed, 0)
    got = decoder.forward(IDS[4:], mixed, 4, open_rows=3)
    causal = decoder.forward(IDS[:9], apart, 0)[4:]
    block = decoder.forward(IDS[9:], apart, 9, open_rows=3)
    torch.testing.assert_close(got, torch.cat((causal, block)), rtol=1e-4, atol=1e-5)


BRANCHES = [Branch(1, 2), Branch(4, 3), Branch(0, 1)]
MASKS = torch.full((6,), 263)


def test_a_branch_says_what_a_block_in_its_place_would_say(decoder):
    cache = decoder.new_cache()
    decoder.forward(IDS[:4], cache, 0)
    rows = torch.cat((IDS[4:], MASKS))  # five causal rows, a block of three, the branches
    got = decoder.forward(rows, cache, 4, open_rows=3, branches=BRANCHES)
    plain = decoder.new_cache()
    decoder.forward(IDS[:4], plain, 0)
    want = [decoder.forward(IDS[4:], plain, 4, open_rows=3)]
    for behind, size in BRANCHES:
        want.append(decoder.forward(MASKS[:size], plain, 4 + behind, open_rows=size))
        decoder.forward(IDS[4:], plain, 4, open_rows=3)
    torch.testing.assert_close(got, torch.cat(want), rtol=1e-4, atol=1e-5)
    assert torch.equal(cache.layer(1)[:, :, :9], plain.layer(1)[:, :, :9])


def test_each_row_says_where_it_stands_and_what_it_sees():
    """Two causal rows, an open block of two, and two branches."""
    assert sight(7, 2, [Branch(1, 2), Branch(0, 1)]).tolist() == [
        [0, 1, 0, 0],
        [1, 2, 0, 0],
        [2, 4, 0, 0],
        [3, 4, 0, 0],
        [1, 1, 4, 6],
        [2, 1, 4, 6],
        [0, 0, 6, 7],
    ]
    assert sight(2).tolist() == [[0, 1, 0, 0], [1, 2, 0, 0]]


def test_branches_change_nothing_in_int8_rows(int8_decoder):
    """Bit by bit, as any company: what is verified must not depend on what is drafted."""
    want = int8_decoder.forward(IDS, int8_decoder.new_cache(), 0, open_rows=3)
    rows = torch.cat((IDS, MASKS))
    lane, other = (
        Lane(rows, int8_decoder.new_cache(), 0, 3, branches=BRANCHES),
        Lane(IDS, int8_decoder.new_cache(), 0, 3),
    )
    for lanes in ([lane], [other, lane]):
        got = int8_decoder.forward_lanes(lanes)
        assert torch.equal(got[-1][:12], want)


def test_rows_say_the_same_on_any_number_of_threads(int8_decoder):
    """Their number follows what else runs on the machine, and must not be seen in a text."""
    context = torch.arange(700) * 7 % 250
    before = torch.get_num_threads()

    def hidden(threads: int) -> torch.Tensor:
        torch.set_num_threads(threads)
        cache = int8_decoder.new_cache()
        long = int8_decoder.forward(context, cache, 0)
        return torch.cat((long, int8_decoder.forward(IDS, cache, 700, open_rows=8)))

    try:
        one = hidden(1)
        assert torch.equal(one, hidden(2))
        assert torch.equal(one, hidden(3))
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("start", [0, 5])
def test_attention_without_a_mask_sees_the_same(decoder, monkeypatch, start):
    masked, plain = decoder.new_cache(), decoder.new_cache()
    for cache in (masked, plain):
        if start:
            decoder.forward(IDS[:start], cache, 0)
    want = decoder.forward(IDS[start:], masked, start)
    monkeypatch.setattr(decoders, "FLASH_ROWS", {"cpu": 1})
    got = decoder.forward(IDS[start:], plain, start)
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)
    branches = [Branch(1, 2)]  # no attention without a mask is made for these
    got = decoder.forward(IDS[start:], plain, start, branches=branches)
    monkeypatch.undo()
    want = decoder.forward(IDS[start:], masked, start, branches=branches)
    assert torch.equal(got, want)


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("cut", [1, 5, 11])
def test_chunked_prefill_equals_whole(tiny_path, precision, cut):
    decoder = load(tiny_path, precision)
    whole = decoder.forward(IDS, decoder.new_cache(), 0)
    cache = decoder.new_cache()
    decoder.forward(IDS[:cut], cache, 0)
    chunked = decoder.forward(IDS[cut:], cache, cut)
    # Int8 rows are scaled one by one; only the order of float sums may differ.
    torch.testing.assert_close(chunked, whole[cut:], rtol=2e-2, atol=2e-2)
    if precision == "float32":
        torch.testing.assert_close(chunked, whole[cut:], rtol=1e-4, atol=1e-5)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=4), st.integers(0, 9))
def test_int8_rows_say_the_same_in_any_company(int8_decoder, pieces, width):
    """Bit by bit: else a near tie would make a verified draft differ from what it verifies."""
    ids = torch.randint(0, 260, (75,), generator=torch.Generator().manual_seed(1))
    block = torch.full((width,), 263)

    def read(sizes: list[int], block: torch.Tensor) -> torch.Tensor:
        cache, hidden, at = int8_decoder.new_cache(), [], 0
        for size in [*sizes, *[1] * (len(ids) - sum(sizes))]:
            rows = torch.cat((ids[at : at + size], block))
            hidden.append(int8_decoder.forward(rows, cache, at, open_rows=len(block))[:size])
            at += size
        return torch.cat(hidden)

    pieces = [n for n, total in zip(pieces, accumulate(pieces), strict=True) if total <= len(ids)]
    alone = read([], block[:0])
    together = read(pieces, block)
    if memory_dtype("int8", torch.device("cpu")) == torch.bfloat16:
        assert torch.equal(together, alone)
    else:  # the order of float32 sums may differ, and so, at a near tie, a rounded value
        assert (together - alone).norm() < 5e-3 * alone.norm()


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 70), st.integers(1, 40), st.integers(0, 40)), max_size=5),
    st.integers(0, 3),
)
def test_int8_lanes_say_together_what_each_says_alone(int8_decoder, pieces, within):
    """Bit by bit, whatever the others are: causal rows, blocks, rows within a text."""
    draw = torch.Generator().manual_seed(len(pieces))
    lanes = []
    for number, (context, rows, opened) in enumerate([(33, 5, 0), *pieces]):
        cache = int8_decoder.new_cache()
        if context:
            int8_decoder.forward(torch.randint(0, 260, (context,), generator=draw), cache, 0)
        ids = torch.randint(0, 260, (rows,), generator=draw)
        end = context + rows if number < within else None
        lanes.append(Lane(ids, cache, context, min(opened, rows) if end is None else 0, end))
    alone = [replace(lane, cache=lane.cache.copy()) for lane in lanes]
    want = [int8_decoder.forward_lanes([lane])[0] for lane in alone]
    got = int8_decoder.forward_lanes(lanes)
    for of_all, of_one, lane, twin in zip(got, want, lanes, alone, strict=True):
        assert torch.equal(of_all, of_one)
        assert torch.equal(lane.cache.layer(1), twin.cache.layer(1))


def test_lanes_share_forwards_where_rows_do_not_depend_on_their_company(decoder, int8_decoder):
    assert (decoder.lanes, int8_decoder.lanes) == (1, decoders.MOST_LANES)


@pytest.mark.parametrize("form", ["bfloat16", "float16", "int8", "int4"])
def test_every_storage_form_reads_back(tmp_path, decoder, form):
    """The stored form's own rounding, and nothing else, stands between it and float32."""
    got = load(tiny.checkpoint(tmp_path / form, form)).forward(IDS, decoder.new_cache(), 0)
    want = decoder.forward(IDS, decoder.new_cache(), 0)
    error = (got - want).norm() / want.norm()
    assert error < {"bfloat16": 0.03, "float16": 0.005, "int8": 0.05, "int4": 0.4}[form]


def test_int4_unpacks_as_q4_0(tmp_path):
    from gguf import GGMLQuantizationType
    from gguf.quants import dequantize

    from midfill_engine.models.weights import StoredWeight

    weight = torch.randn(6, 64, generator=torch.Generator().manual_seed(1))
    packed, scale = tiny.int4(weight)
    blocks = torch.cat(
        (scale.view(6, 2, 1).view(torch.uint8).view(6, 2, 2), packed.view(6, 2, 16)), -1
    ).reshape(6, -1)
    want = torch.from_numpy(dequantize(blocks.numpy(), GGMLQuantizationType.Q4_0))
    assert torch.equal(StoredWeight(packed, scale).dense(torch.float32), want)


def test_parameters_are_counted(decoder):
    sizes = {n: t.numel() for n, t in tiny.weights(320).items() if t.dim() == 2}
    assert decoder.parameters == sum(sizes.values())
