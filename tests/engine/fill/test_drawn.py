"""Which of several middles makes what follows most probable, on a tiny random model."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch

from midfill_engine.deadline import Deadline, StopToken
from midfill_engine.decode.table import PRESETS
from midfill_engine.fill import drawn
from midfill_engine.fill.around import Around
from midfill_engine.fill.canvas import Canvas
from midfill_engine.fill.drawn import LONG, MARGIN, Judge, doubtful, following
from midfill_engine.fill.filler import Filler
from midfill_engine.fill.governor import draft_width
from midfill_engine.fill.steps import Halted
from midfill_engine.hole import Placed
from midfill_engine.layout.suffix_first import place
from midfill_engine.settings import EngineSettings
from midfill_engine.wire import Fill, FillRequest
from tests.engine.loaded import Model

PREFIX, SUFFIX = "def f(a, b):\n    return ", "\n\nprint(f(1, 2))\nx = 3\ny = 4\n"
TEXTS = ["a + b", "b", "ab = 12 - a", "f(a) or b", "aa", "in or in"]


@pytest.fixture(scope="module")
def model(tiny_path) -> Model:
    return Model(tiny_path)


def canvas(model: Model, text: str) -> Canvas:
    one = model.canvas(60)
    one.placed = [Placed(token, 0.5) for token in model.tokenizer.encode(text)]
    one.ended = True
    return one


def judge(model: Model) -> Judge:
    placement = place(model.spec, model.tokenizer.encode, PREFIX, SUFFIX)
    run = model.run(model.cache())
    model.alone(run.prefill(placement.ids))
    upto = placement.ids[: placement.prefix_end]
    around = Around(PREFIX, SUFFIX)
    return Judge(run, around, model.tokenizer.encode, upto, following(SUFFIX))


def probability(model: Model, one: Judge, text: str) -> float:
    """By one forward over context, middle and what follows, for itself."""
    said = model.tokenizer.encode(text + one.follows)
    hidden = model.decoder.forward(torch.tensor([*one.context, *said]), model.cache().kv, 0)
    rows = (model.decoder.logits(hidden) + model.bias).log_softmax(-1)
    at = len(one.context) - 1
    return sum(rows[at + n, token].item() for n, token in enumerate(said))


def test_the_most_probable_with_what_follows_wins(model):
    first, *others = TEXTS
    one = judge(model)
    scores = {text: probability(model, one, text) for text in TEXTS}
    expected = first
    for text in others:
        if scores[text] > scores[expected] + (MARGIN if expected == first else 0):
            expected = text
    assert expected != first  # else there is nothing to see
    best = canvas(model, first)
    found = [(canvas(model, text), "end") for text in others]
    assert model.alone(one.choose(best, found, "stop")) == "end"
    assert model.tokenizer.decode(p.token for p in best.placed) == expected


def test_each_score_is_that_of_a_forward_for_itself(model, monkeypatch):
    monkeypatch.setattr(drawn, "READ", 5)  # in pieces, whose borders lie anywhere
    one = judge(model)
    for text in TEXTS:
        assert model.alone(one._score(text)) == pytest.approx(
            probability(model, one, text), rel=1e-4
        )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "end"),
        ("  ", "end"),
        ("a + b)", "end"),
        ("b", "length"),
        ("a", "end"),
        ("\n\np", "end"),
    ],
)
def test_what_is_blank_faulty_endless_or_known_is_not_heard(model, monkeypatch, text, reason):
    monkeypatch.setattr(Judge, "_score", lambda *_: pytest.fail("It was scored."))
    best = canvas(model, "a")
    assert model.alone(judge(model).choose(best, [(canvas(model, text), reason)], "end")) == "end"
    assert model.tokenizer.decode(p.token for p in best.placed) == "a"


def test_out_of_time_the_best_so_far_stays(model, monkeypatch):
    one = judge(model)
    best = canvas(model, "a")
    monkeypatch.setattr(type(one.run), "last_chance", lambda *_: True)
    assert model.alone(one.choose(best, [(canvas(model, "b"), "end")], "end")) == "end"
    assert model.tokenizer.decode(p.token for p in best.placed) == "a"

    def stopped(*_):
        raise Halted("superseded")
        yield

    monkeypatch.setattr(Judge, "_score", stopped)
    with pytest.raises(Halted):
        model.alone(one.choose(best, [(canvas(model, "b"), "end")], "end"))


def test_lines_that_judge_and_middles_that_are_doubted(model):
    assert following(")\n  a\nb\nc\n") == ")\n  a\nb\n"
    assert following("\n \n") == following("") == ""
    one = model.canvas(9)
    one.placed = [Placed(1, 0.9), Placed(2, 0.9)]
    assert not doubtful(one)
    one.placed.append(Placed(3, 0.5))
    assert doubtful(one)


def fill(filler: Filler, **fields: object) -> Fill:
    values = {"prefix": PREFIX, "suffix": SUFFIX, "max_tokens": 40, "strategy": "quality"}
    request = FillRequest(**values | fields)
    return filler.fill(request, deadline=Deadline.after_ms(None), stop=StopToken())


@pytest.fixture
def ending(filler) -> Filler:
    """One whose middles end."""
    filler._bias[filler._spec.eom_id] += 6
    return filler


@pytest.fixture
def judged(monkeypatch) -> list[list[str]]:
    """The middles that were drawn, each time that some were judged."""
    heard: list[list[str]] = []
    choose = Judge.choose

    def watched(self, best, others, reason):
        heard.append([other.text_of(other.placed) for other, _ in others])
        return choose(self, best, others, reason)

    monkeypatch.setattr(Judge, "choose", watched)
    return heard


def test_what_is_drawn_does_not_depend_on_what_forwards_cost(ending, judged, monkeypatch):
    first = fill(ending, session="a")
    assert judged
    assert len(judged[0]) == PRESETS["quality"].drawn
    for width in (4, 8):
        monkeypatch.setattr(
            "midfill_engine.fill.filler.draft_width",
            lambda costs, widths, device, width=width: min(
                width, draft_width(costs, widths, device)
            ),
        )
        assert fill(ending, session=str(width)).text == first.text
    everywhere = lambda _costs, draft, _rows, _device: list(range(len(draft)))  # noqa: E731
    monkeypatch.setattr("midfill_engine.fill.causal.branches", everywhere)
    monkeypatch.setattr("midfill_engine.fill.causal.LIKELY_WITH_BRANCHES", 1e-9)
    assert fill(ending, session="everywhere").text == first.text
    assert all(texts == judged[0] for texts in judged)


def test_what_is_drawn_off_the_best_middle_is_what_would_be_drawn_from_its_start(ending, judged):
    fill(ending)
    drawn_alone = [
        fill(ending, strategy="balanced", temperature=drawn.TEMPERATURE, seed=n, session=str(n))
        for n in range(PRESETS["quality"].drawn)
    ]
    [texts] = judged
    assert texts
    for text, alone in zip(texts, drawn_alone, strict=True):
        assert alone.text.startswith(text)  # it may have fewer tokens


def test_further_candidates_are_the_same_behind_a_judge(near_path, monkeypatch):
    """It has read something else behind the cursor than the lines that are their context."""
    settings = EngineSettings(model=str(near_path), device="cpu", precision="float32", threads=1)
    filler = Filler.load(settings)
    filler._bias[filler._spec.eom_id] += 7
    heard: list[str] = []
    score = Judge._score

    def watched(self, text):
        heard.append(text)
        return score(self, text)

    monkeypatch.setattr(Judge, "_score", watched)
    behind_a_judge = 0
    for seed, prefix in product(range(4), ("x = ", "a.b(", "in or ", PREFIX)):
        texts = []
        for sure in (0.6, 0.0):
            monkeypatch.setattr(drawn, "SURE", sure)
            heard.clear()
            asked = {"prefix": prefix, "candidates": 4, "seed": seed}
            answer = fill(filler, session=f"{asked} {sure}", **asked)
            behind_a_judge += bool(heard)
            texts.append([middle.text for middle in answer.middles])
        assert {*texts[1][1:]} <= {*texts[0]}
    assert behind_a_judge > 1


@pytest.mark.parametrize(
    "fields",
    [
        {"max_tokens": LONG - 1},
        {"suffix": "\n"},
        {"strategy": "balanced"},
        {"strategy": "search:12"},
        {"temperature": 0.5},
    ],
)
def test_nothing_is_drawn_where_it_is_of_no_use(ending, judged, fields):
    fill(ending, **fields)
    assert not judged


def test_a_sure_middle_is_not_doubted(ending, judged, monkeypatch):
    monkeypatch.setattr(drawn, "SURE", math.exp(-1000))
    fill(ending)
    assert not judged
