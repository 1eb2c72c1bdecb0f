"""Row statistics and strategies."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from midfill_engine.decode.rows import RowStats, output_bias, row_stats
from midfill_engine.decode.table import PRESETS, Verify, strategy_of
from midfill_engine.wire import InvalidRequest

NAMED = ["threshold:0.8", "factor:1", "local-leap:0.9", "entropy:0.3", "margin:0.5", "steps:3"]
LOGITS = torch.tensor([[2.0, 1.0, 0.0, 9.0], [0.0, 0.0, 0.0, 0.0]])


def test_statistics_agree_with_their_definitions():
    bias = output_bias(4, 4, (3,))
    stats = row_stats(LOGITS, bias)
    p = torch.softmax(LOGITS[:, :3], -1)
    assert stats.tokens == [0, 0]
    assert stats.probability == pytest.approx(p.amax(-1).tolist())
    assert stats.margin == pytest.approx([(p[0, 0] - p[0, 1]).item(), 0.0], abs=1e-6)
    assert stats.entropy == pytest.approx((-(p * p.log()).sum(-1)).tolist())


@given(seed=st.integers(0, 2**31), temperature=st.sampled_from([0.0, 0.7, 3.0]))
def test_forbidden_tokens_never_come_out(seed, temperature):
    g = torch.Generator().manual_seed(seed)
    logits = torch.randn(5, 9, generator=g) * 4
    logits[:, [2, 7, 8]] += 50
    tokens = row_stats(
        logits, output_bias(9, 8, (2, 7)), temperature=temperature, seed=seed, at=range(5)
    ).tokens
    assert not {2, 7, 8} & set(tokens)


def test_the_probability_of_an_asked_token_is_told():
    stats = row_stats(LOGITS, torch.zeros(4), asked=[1])
    assert stats.asked == pytest.approx([torch.softmax(LOGITS[0], -1)[1].item()])
    assert row_stats(LOGITS, torch.zeros(4)).asked == []


def test_the_probability_of_the_end_is_told_of_each_row():
    stats = row_stats(LOGITS, output_bias(4, 4, (3,)), end=2)
    assert stats.end == pytest.approx(torch.softmax(LOGITS[:, :3], -1)[:, 2].tolist())


def test_presets_verify_what_they_draft():
    assert set(PRESETS) >= {"quality", "balanced", "fast"}
    assert strategy_of("balanced") == strategy_of("tolerance:1") == Verify()


def drawn(logits, seed, at, temperature=1.0):
    bias = torch.zeros(logits.shape[-1])
    return row_stats(logits, bias, temperature=temperature, seed=seed, at=at).tokens


def test_same_seed_same_draw():
    rows = torch.zeros(50, 9)
    draws = [drawn(rows, seed, range(50)) for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_tokens_are_drawn_as_often_as_they_are_probable(temperature):
    logits = torch.tensor([[1.0, 0.0, -1.0, 0.5, -torch.inf]])
    tokens = drawn(logits.repeat(4000, 1), 3, range(4000), temperature)
    shares = [tokens.count(token) / 4000 for token in range(5)]
    expected = (logits[0] / temperature).softmax(-1).tolist()
    assert shares == pytest.approx(expected, abs=0.03)


def test_what_is_drawn_depends_on_the_place_and_not_on_the_company():
    logits = torch.randn(6, 200, generator=torch.Generator().manual_seed(5))
    together = drawn(logits, 4, range(10, 16))
    for n in range(6):
        assert drawn(logits[n : n + 1], 4, [10 + n]) == together[n : n + 1]
    # A mask that says nearly what its causal row says draws the same there.
    near = drawn(logits + 1e-3 * torch.randn(logits.shape), 4, range(10, 16))
    assert near == together
    assert drawn(logits, 4, range(20, 26)) != together


@given(
    probability=st.lists(st.floats(0, 1), min_size=1, max_size=12),
    name=st.sampled_from(NAMED),
    data=st.data(),
)
def test_every_strategy_commits_open_rows_and_at_least_one(probability, name, data):
    n = len(probability)
    rows = data.draw(st.lists(st.sampled_from(range(n)), min_size=1, unique=True))
    stats = RowStats([0] * n, probability, probability, [1 - p for p in probability], [], [])
    chosen = strategy_of(name)(stats, sorted(rows))
    assert chosen
    assert set(chosen) <= set(rows)
    assert len(set(chosen)) == len(chosen)


def stats_of(*probability: float) -> RowStats:
    entropy = [1 - p for p in probability]
    return RowStats([0] * len(probability), list(probability), list(probability), entropy, [], [])


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("threshold:0.9", [0, 3]),
        ("threshold:0.999", [0]),
        ("factor:0.5", [0, 3]),
        ("factor:4", [0, 3, 1, 2]),
        ("local-leap:0.9", [0, 1, 3]),
        ("entropy:0.2", [0, 3, 1]),
        ("margin:0.75", [0, 1, 3]),
        ("steps:2", [0, 3]),
        ("steps:1", [0, 3, 1, 2]),
    ],
)
def test_what_each_strategy_commits(name, want):
    assert strategy_of(name)(stats_of(0.99, 0.8, 0.3, 0.92), [0, 1, 2, 3]) == want


@pytest.mark.parametrize("name", ["hasty", "threshold", "threshold:high", "steps:nan"])
def test_unknown_strategies_are_refused_in_words(name):
    with pytest.raises(InvalidRequest, match="There is no strategy"):
        strategy_of(name)
