"""The keystroke cache is exact: any edits give the logits of a fresh prefill."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from midfill_engine.cache.keystroke import Sessions
from midfill_engine.layout.suffix_first import place
from midfill_engine.models.kv import KVCache
from tests.engine.loaded import Model

CODE = st.text(alphabet=st.sampled_from(list("ab1_ ()\t\n:=x")), max_size=30)
EDITS = st.lists(
    st.one_of(
        st.tuples(st.just("type"), CODE),
        st.tuples(st.just("delete"), st.integers(1, 6)),
        st.tuples(st.just("move"), st.integers(-40, 40)),
        st.tuples(st.just("suffix"), CODE),
    ),
    max_size=12,
)


@pytest.fixture(scope="module", params=["plain", "near"])
def model(request, tiny_path, near_path) -> Model:
    return Model(tiny_path if request.param == "plain" else near_path)


@settings(max_examples=40, deadline=None)
@given(prefix=CODE, suffix=CODE, edits=EDITS)
def test_any_edits_give_the_logits_of_a_fresh_prefill(model, prefix, suffix, edits):
    cache = model.cache()
    for kind, value in [("start", 0), *edits]:
        match kind:
            case "type":
                prefix += value
            case "delete":
                prefix = prefix[: -int(value)]
            case "suffix":
                suffix = value + suffix
            case "move":
                text, at = prefix + suffix, max(0, len(prefix) + int(value))
                prefix, suffix = text[:at], text[at:]
        placement = place(
            model.spec, model.tokenizer.encode, prefix, suffix, path="a.py", anchor=cache.anchor
        )
        cache.anchor = placement.far
        run = model.run(cache)
        row = model.alone(run.prefill(placement.ids))
        fresh = model.alone(model.run(model.cache()).prefill(placement.ids))
        torch.testing.assert_close(row, fresh, rtol=1e-4, atol=1e-4)
        # What a request leaves behind (a block, a settled middle) must not show in the next one.
        model.alone(run.step(block=[model.spec.mask_id] * 8))
        model.alone(run.step([7, 8, 9], [model.spec.mask_id] * 4))


def test_a_keystroke_recomputes_its_own_tokens_only(model):
    cache, encode = model.cache(), model.tokenizer.encode
    code, suffix = "x = 1\n" * 20 + "ret", "\n" * 3 + "y = 2\n"
    before = place(model.spec, encode, code, suffix, path="a.py", anchor=cache.anchor)
    model.alone(model.run(cache).prefill(before.ids))
    after = place(model.spec, encode, code + "urn", suffix, path="a.py", anchor=before.far)
    near = len(encode(suffix)) + 2 if model.spec.near_id is not None else 0
    assert len(after.ids) - cache.keep(after.ids) <= near + 5


def test_near_suffix_moves_while_the_far_suffix_keeps_its_place(near_path):
    model = Model(near_path)
    encode, suffix = model.tokenizer.encode, "a)\nb\nc\nd\n"
    first = place(model.spec, encode, "f(", suffix)
    assert first.far == "c\nd\n"
    closed = place(model.spec, encode, "f(\n", f"\n{suffix}", anchor=first.far)
    assert closed.far == first.far
    front = len(encode(first.far)) + 2
    assert closed.ids[:front] == first.ids[:front]
    assert closed.ids[-1] == model.spec.middle_id


def test_least_recently_used_session_leaves_first():
    sessions = Sessions(lambda: KVCache(1, 1, 4, torch.float32, torch.device("cpu")), 20_000)
    for name in "abc":
        sessions.get(name).kv.reserve(256)  # 8 KiB each
    sessions.get("a")
    sessions.get("c").ids.append(1)
    assert sessions.get("c").ids == [1]
    assert sessions.nbytes <= 20_000
    sessions.forget("c")
    assert sessions.get("c").ids == []
