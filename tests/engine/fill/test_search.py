"""Middles that are more probable than the greedy one, on a tiny random model."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from midfill_engine.deadline import Deadline, StopToken
from midfill_engine.fill.around import Around
from midfill_engine.fill.canvas import Canvas
from midfill_engine.fill.causal import Trail, causal
from midfill_engine.fill.run import Run
from midfill_engine.fill.search import FAULT, LENGTH, Search
from midfill_engine.fill.steps import Halted
from midfill_engine.layout.suffix_first import place
from midfill_engine.wire import FillRequest, FinishReason
from tests.engine.loaded import Model

PREFIX, SUFFIX = "def f(a, b):\n    return ", "\n\nprint(f(1, 2))\n"
PREFIXES = [PREFIX + "ab = 12, (c + d) * e - f"[:n] for n in range(20)]
WIDTH, LIMIT = 8, 30


@pytest.fixture(scope="module")
def model(tiny_path) -> Model:
    """One whose middles end after some tokens."""
    model = Model(tiny_path)
    model.bias[model.spec.eom_id] += 6
    return model


@dataclass
class Gap:
    """A gap that is decoded greedily and searched; ``greedy`` is what it was before the search."""

    model: Model
    prefix: str = PREFIX
    width: int = WIDTH
    behind: str = SUFFIX  # for the search alone

    def __post_init__(self) -> None:
        model = self.model
        self.ids = place(model.spec, model.tokenizer.encode, self.prefix, SUFFIX).ids
        self.run, self.canvas, self.trail = model.run(model.cache()), model.canvas(LIMIT), Trail()

    def decode(self, draft: list[int] | None = None) -> FinishReason:
        spec, draft = self.model.spec, draft or []
        masks = [spec.mask_id] * self.width
        rows = self.model.alone(self.run.prefill(self.ids, draft, masks))
        steps = causal(
            self.run,
            self.canvas,
            rows,
            draft,
            spec,
            width=self.width,
            allow_empty=False,
            trail=self.trail,
        )
        reason = self.model.alone(steps)
        self.greedy = self.tokens
        return reason

    def search(self, reason: FinishReason, tokens: int) -> FinishReason:
        around = Around(self.prefix, self.behind)
        search = Search(self.run, self.canvas, self.model.spec, self.ids, [], self.width, around)
        return self.model.alone(search.improve(self.trail, reason, tokens))

    def both(self, tokens: int) -> FinishReason:
        return self.search(self.decode(), tokens)

    @property
    def tokens(self) -> list[int]:
        return [placed.token for placed in self.canvas.placed]

    def score(self, tokens: list[int]) -> float:
        """By one forward over context and middle, for itself."""
        model = self.model
        hidden = model.alone(model.run(model.cache()).prefill(self.ids, tokens))
        logits = model.decoder.logits(hidden) + model.bias
        logits[0, model.spec.eom_id] = -torch.inf
        rows = logits.log_softmax(-1)
        total = sum(rows[n, t].item() for n, t in enumerate([*tokens, model.spec.eom_id]))
        text = model.tokenizer.decode(tokens)
        alone = Around(self.prefix, SUFFIX).faults(text)
        return total / (len(tokens) + 1) ** LENGTH - FAULT * alone if text.strip() else -math.inf


def test_what_is_found_is_more_probable_by_a_count_of_its_own(model):
    better = 0
    for prefix in PREFIXES:
        gap = Gap(model, prefix)
        if (reason := gap.decode()) != "end":
            continue
        assert gap.search(reason, 60) == "end"
        if gap.tokens == gap.greedy:
            continue
        assert gap.canvas.ended
        assert gap.score(gap.tokens) > gap.score(gap.greedy) + 1e-4
        said = math.prod(placed.confidence for placed in gap.canvas.placed)
        hidden = model.alone(model.run(model.cache()).prefill(gap.ids, gap.tokens))
        rows = (model.decoder.logits(hidden) + model.bias).log_softmax(-1)[:-1]
        rows = rows.gather(1, torch.tensor(gap.tokens)[:, None])[1:]
        first = gap.canvas.placed[0].confidence
        assert said / first == pytest.approx(rows.sum().exp().item(), rel=1e-3)
        better += 1
    assert better > 1


def test_with_time_enough_it_is_the_best_of_all_short_ones(model, monkeypatch):
    """Where two tokens alone may come out, each middle can be tried."""
    few = [model.tokenizer.encode(text)[0] for text in ("a", "b")]
    bias = torch.full_like(model.bias, -torch.inf)
    bias[[*few, model.spec.eom_id]] = model.bias[[*few, model.spec.eom_id]]
    monkeypatch.setattr(model, "bias", bias)
    searched = 0
    for prefix in PREFIXES:
        gap = Gap(model, prefix)
        if gap.decode() == "end" and len(gap.greedy) <= 4:
            gap.search("end", 10_000)
            texts = (few[n >> k & 1] for n in range(16) for k in range(4))
            fours = list(zip(*[texts] * 4, strict=True))
            every = {four[:size] for four in fours for size in range(1, 5)}
            assert gap.score(gap.tokens) >= max(gap.score(list(m)) for m in every) - 1e-4
            searched += 1
    assert searched


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(PREFIXES), st.sampled_from([4, 8, 16]), st.integers(1, 40), st.data())
def test_it_depends_neither_on_widths_nor_on_drafts(model, prefix, width, tokens, data):
    gap, other = Gap(model, prefix), Gap(model, prefix, width)
    reason = gap.both(tokens)
    keep = data.draw(st.integers(0, len(gap.greedy)))
    draft = [*gap.greedy[:keep], *model.tokenizer.encode("x = 1")]
    assert other.search(other.decode(draft), tokens) == reason
    assert other.tokens == gap.tokens


def ended(model: Model) -> Gap:
    """A gap with a greedy middle that ended, and that other ways lead off."""
    for prefix in PREFIXES:
        gap = Gap(model, prefix)
        if gap.decode() == "end":
            before = gap.run.nfe
            gap.search("end", 60)
            if gap.run.nfe > before and gap.tokens != gap.greedy:
                again = Gap(model, prefix)
                again.decode()
                return again
    pytest.fail("none")


def test_other_ways_have_no_more_tokens_than_they_may(model, monkeypatch):
    writes = []
    write = Canvas.write

    def counted(canvas, tokens):
        before = len(canvas.placed)
        write(canvas, tokens)
        writes.append(len(canvas.placed) - before)

    gap = ended(model)
    alone = gap.run.nfe
    assert gap.search("end", 0) == "end"
    assert gap.run.nfe == alone
    assert gap.tokens == gap.greedy[: len(gap.tokens)]  # it ends earlier at most
    monkeypatch.setattr(Canvas, "write", counted)
    gap.search("end", 3)
    assert sum(writes) <= 3 + len(gap.greedy)  # what stands before the place is written again
    short, gap = gap.run.nfe, ended(model)
    gap.search("end", 300)
    assert alone < short < gap.run.nfe


def test_out_of_time_it_is_the_best_so_far_and_stopped_it_is_the_greedy_one(model, monkeypatch):
    gap = ended(model)
    with monkeypatch.context() as patched:
        patched.setattr(Run, "last_chance", lambda _run, _rows: True)
        assert gap.search("end", 60) == "end"
    assert gap.tokens == gap.greedy[: len(gap.tokens)]

    gap = ended(model)
    around = Around(gap.prefix, SUFFIX)
    search = Search(gap.run, gap.canvas, model.spec, gap.ids, [], WIDTH, around)
    steps = search.improve(gap.trail, "end", 60)
    next(steps)
    with pytest.raises(Halted):
        steps.throw(Halted("superseded"))
    assert gap.tokens == gap.greedy


def test_a_middle_that_closes_what_is_open_wins_over_one_that_does_not(model, monkeypatch):
    bias = model.bias.clone()
    bias[[model.tokenizer.encode(text)[0] for text in "()"]] += 3
    monkeypatch.setattr(model, "bias", bias)

    def unpaired(cost: float) -> int:
        monkeypatch.setattr("midfill_engine.fill.search.FAULT", cost)
        count = 0
        for prefix in PREFIXES:
            gap = Gap(model, prefix)
            if (reason := gap.decode()) == "end":
                gap.search(reason, 200)
                count += Around(prefix, SUFFIX).unpaired(model.tokenizer.decode(gap.tokens))
        return count

    assert unpaired(5.0) < unpaired(0.0)


def test_it_looks_further_only_while_the_best_has_a_fault(model, monkeypatch):
    bias = model.bias.clone()
    bias[[model.tokenizer.encode(text)[0] for text in "()"]] += 3
    monkeypatch.setattr(model, "bias", bias)

    def searched(prefix: str, more: int) -> tuple[int, int]:
        """Faults and forwards."""
        monkeypatch.setattr("midfill_engine.fill.search.FAULTY", more)
        gap = Gap(model, prefix)
        if (reason := gap.decode()) == "end":
            gap.search(reason, 12)
        return Around(prefix, SUFFIX).faults(model.tokenizer.decode(gap.tokens)), gap.run.nfe

    near, far = ([searched(prefix, more) for prefix in PREFIXES] for more in (1, 10))
    assert sum(faults for faults, _ in far) < sum(faults for faults, _ in near)
    clean = [pair for pair in zip(near, far, strict=True) if not pair[0][0]]
    assert clean
    # Where the first way already led to a middle without a fault, nothing more was looked for.
    assert all(a[1] <= b[1] and not b[0] for a, b in clean)
    assert any(a == b for a, b in clean)


@pytest.mark.parametrize("fields", [{"temperature": 1.0}, {"max_tokens": 2}])
def test_what_is_drawn_or_at_its_limit_is_not_searched(filler, fields):
    def answer(strategy):
        request = FillRequest(PREFIX, SUFFIX, strategy=strategy, session=strategy, **fields)
        return filler.fill(request, deadline=Deadline.after_ms(None), stop=StopToken())

    searched, greedy = answer("quality"), answer("balanced")
    assert searched.text == greedy.text


@pytest.mark.parametrize(
    ("chance", "first", "left"),
    [
        (0.28, "", False),
        (0.32, "", True),
        (0.0, "", False),
        (0.08, "\n", False),
        (0.12, "\n", True),
        (0.0, "\n", False),
    ],
)
def test_where_an_end_at_once_is_probable_nothing_is_missing(model, chance, first, left):
    gap = ended(model)
    gap.trail.ends[0] = chance
    if first:
        token = model.tokenizer.encode(first)[0]
        gap.canvas.placed[0] = gap.canvas.placed[0]._replace(token=token)
        gap.greedy = gap.tokens
    assert gap.search("end", 0) == "end"
    assert gap.tokens == ([] if left else gap.greedy)
    assert gap.canvas.ended


def test_what_only_repeats_the_suffix_is_not_found(model):
    for prefix in PREFIXES:
        gap = Gap(model, prefix)
        if gap.both(60) == "end" and gap.tokens != gap.greedy:
            break
    repeated = model.tokenizer.decode(gap.tokens)
    again = Gap(model, prefix, behind=repeated + "\n")
    assert Around(prefix, again.behind).repeats(repeated)
    again.both(60)
    assert again.tokens != gap.tokens


def test_beside_a_greedy_middle_that_repeats_the_suffix_none_is_looked_for(model):
    gap = ended(model)
    gap.behind = model.tokenizer.decode(gap.greedy) + "\n"
    forwards = gap.run.nfe
    gap.search("end", 60)
    assert (gap.tokens, gap.run.nfe) == (gap.greedy, forwards)


def test_a_long_middle_is_left_as_it_is(model, monkeypatch):
    gap = ended(model)
    monkeypatch.setattr("midfill_engine.fill.search.LONGEST", len(gap.greedy) - 1)
    before = gap.run.nfe
    assert gap.search("end", 60) == "end"
    assert (gap.tokens, gap.run.nfe) == (gap.greedy, before)
