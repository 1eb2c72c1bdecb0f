"""Requests to fills on a tiny random model: bounds, ends, stops, deadlines, determinism."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from midfill_engine.deadline import Deadline, StopToken
from midfill_engine.decode.rows import RowStats
from midfill_engine.fill.canvas import Canvas
from midfill_engine.fill.causal import Verified, causal, masks_behind, repeated, verify
from midfill_engine.fill.ending import Ending
from midfill_engine.fill.filler import REMEMBERED, Filler, typed_since
from midfill_engine.fill.run import Run
from midfill_engine.hole import Placed
from midfill_engine.layout.suffix_first import place
from midfill_engine.models.decoder import Decoder
from midfill_engine.settings import EngineSettings
from midfill_engine.wire import STRATEGIES, Draft, Fill, FillRequest
from tests import tiny
from tests.engine.loaded import Model

PREFIX, SUFFIX = "def f(a, b):\n    return ", "\n\nprint(f(1, 2))\n"
FOREVER = Deadline.after_ms(None)


def fill(filler: Filler, deadline: Deadline = FOREVER, **fields: object) -> Fill:
    request = FillRequest(**{"prefix": PREFIX, "suffix": SUFFIX, "max_tokens": 20} | fields)
    return filler.fill(request, deadline=deadline, stop=StopToken())


class StepDeadline:
    """A clock that advances a second at every look: deadlines in units of checks."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_answers_within_its_length(filler, strategy):
    for n in (1, 7, 8, 9, 20):
        answer = fill(filler, strategy=strategy, max_tokens=n)
        middle = answer.middles[0]
        assert len(middle.tokens) <= n
        assert middle.finish_reason in ("end", "length")
        assert middle.text == "".join(t.text for t in middle.tokens)
        assert all(0 <= t.confidence <= 1 for t in middle.tokens)


@pytest.mark.usefixtures("masks_everywhere")
@pytest.mark.parametrize("strategy", sorted({*STRATEGIES} - {"quality"}))  # it finds others
def test_what_finds_no_end_ends_with_a_line(filler, monkeypatch, strategy):
    encode = filler._tokenizer.encode
    bias = filler._bias.clone()
    bias[encode("\n")[0]] += 5  # some lines
    monkeypatch.setattr(filler, "_bias", bias)
    bias[filler._spec.eom_id] = -torch.inf  # and no end
    cut = fill(filler, strategy=strategy, max_tokens=40, session="cut")
    monkeypatch.setattr(Canvas, "cut_back", lambda _: "length")
    monkeypatch.setattr(Ending, "decided", False)
    whole = fill(filler, strategy=strategy, max_tokens=40, session="whole")
    assert (whole.finish_reason, len(whole.middles[0].tokens)) == ("length", 40)
    assert cut.finish_reason == "end"
    assert whole.text.startswith(cut.text)
    assert cut.text.strip()
    assert cut.text.endswith("\n") or whole.text[len(cut.text) :].lstrip(" \t").startswith("\n")
    assert cut.nfe <= whole.nfe


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_middle_that_is_only_how_the_suffix_begins_is_none(filler, monkeypatch, strategy):
    bias = filler._bias.clone()
    bias[filler._tokenizer.encode("q")[0]] = 1e4
    monkeypatch.setattr(filler, "_bias", bias)
    asked = {"strategy": strategy, "max_tokens": 3}
    [none] = fill(filler, suffix="qqquit\n", **asked).middles
    assert (none.text, none.tokens, none.finish_reason) == ("", (), "end")
    assert fill(filler, suffix="qqtwo\n", **asked).text == "qqq"
    assert fill(filler, suffix="qqquit\n", allow_empty=False, **asked).text == "qqq"


@pytest.mark.parametrize(("share", "empty"), [(0.4, False), (0.6, True)])
def test_a_middle_is_empty_only_if_that_is_likelier_than_all_else(tiny_path, share, empty):
    model = Model(tiny_path)
    run, end = model.run(model.cache()), model.spec.eom_id
    ids = place(model.spec, model.tokenizer.encode, PREFIX, SUFFIX).ids
    hidden = model.alone(run.prefill(ids))
    logits = model.decoder.logits(hidden)[0]
    run.sampler.bias -= 0.9 * logits  # no other favourite
    p = torch.softmax(logits + run.sampler.bias, -1)
    run.sampler.bias[end] += torch.log(share / (1 - share) * (1 - p[end]) / p[end])
    assert run.stats(hidden).tokens[0] == end
    assert run.stats(hidden).probability[0] == pytest.approx(share, abs=1e-3)
    assert (run.first_stats(hidden, allow_empty=True).tokens[0] == end) == empty
    assert run.first_stats(hidden, allow_empty=False).tokens[0] != end


@pytest.mark.parametrize("strategy", ["autoregressive", "balanced", "fast"])
def test_what_a_draft_holds_steady_stays(filler, monkeypatch, strategy):
    bias = filler._bias.clone()
    bias[filler._tokenizer.encode("\n")[0]] += 5
    monkeypatch.setattr(filler, "_bias", bias)
    drafts: list[Draft] = []
    for typed in range(8):
        request = FillRequest(PREFIX + "ab = 12,"[:typed], SUFFIX, max_tokens=40, strategy=strategy)
        answer = filler.fill(request, deadline=FOREVER, stop=StopToken(), on_draft=drafts.append)
        assert drafts
        for draft in drafts:
            steady = [t for t in draft.tokens[: draft.steady] if t.committed]
            assert answer.text.startswith("".join(t.text for t in steady))
        drafts.clear()


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_greedy_middles_that_run_on_are_not_written_to_their_limit(
    filler, monkeypatch, temperature
):
    bias = filler._bias.clone()
    bias[filler._tokenizer.encode("\n")[0]] += 8
    bias[filler._spec.eom_id] = -torch.inf
    for going_on in "([{:=&|\\":
        bias[filler._tokenizer.encode(going_on)[0]] = -torch.inf
    monkeypatch.setattr(filler, "_bias", bias)
    early = fill(filler, strategy="autoregressive", max_tokens=120, temperature=temperature)
    monkeypatch.setattr(Ending, "decided", False)
    late = fill(
        filler, strategy="autoregressive", max_tokens=120, temperature=temperature, session="late"
    )
    assert late.finish_reason == "end"
    assert (early.nfe < late.nfe) == (temperature == 0)
    assert (early.completion_tokens, early.text) == (late.completion_tokens, late.text)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_deterministic_and_independent_of_what_is_cached(filler, strategy):
    first = fill(filler, strategy=strategy, session="a")
    fill(filler, strategy=strategy, session="a", prefix=PREFIX + "a +")
    again = fill(filler, strategy=strategy, session="a")
    fresh = fill(filler, strategy=strategy, session="b")
    assert first.text == again.text == fresh.text
    assert again.cached_tokens > 0 == fresh.cached_tokens


@pytest.mark.parametrize("strategy", ["self-speculative", "balanced", "tolerance:1"])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("lines", [0, 3, 5])
def test_self_speculation_equals_autoregressive(tmp_path, seed, strategy, lines):
    """Also where lines end, where it stops, and where it is known early that it runs on."""
    path = tiny.checkpoint(tmp_path / "m", seed=seed)
    filler = Filler.load(
        EngineSettings(model=str(path), device="cpu", precision="float32", threads=1)
    )
    filler._bias[filler._tokenizer.encode("\n")[0]] += lines
    whole = fill(filler, strategy="autoregressive", max_tokens=30, session="whole").text
    whole = whole.replace("\0", "")
    for more in (
        {},
        {"single_line": True},
        {"stop": (whole[3:5],)} if whole[3:5] else {},
        {"draft": whole},
        {"draft": whole[:4] + "x"},
        {"max_tokens": 7},
    ):
        asked = {"max_tokens": 30, **more}
        want = fill(filler, strategy="autoregressive", session="want", **asked)
        got = fill(filler, strategy=strategy, session="got", **asked)
        assert (got.text, got.finish_reason) == (want.text, want.finish_reason)
        if want.finish_reason != "stop":  # a draft may have gone beyond it
            assert got.completion_tokens == want.completion_tokens


@pytest.mark.usefixtures("masks_everywhere")
@pytest.mark.parametrize("seed", range(6))
def test_masks_behind_each_place_of_a_draft_change_no_token(tmp_path, monkeypatch, seed):
    path = tiny.checkpoint(tmp_path / "m", seed=seed)
    filler = Filler.load(
        EngineSettings(model=str(path), device="cpu", precision="float32", threads=1)
    )
    want = fill(filler, strategy="autoregressive", max_tokens=40, session="want")
    steps: list[int] = []
    step = Run.step

    def watched(self, causal, block, behind, branch):
        assert all(0 < rows < len(causal) for rows in behind)
        steps.append(len(behind))
        return step(self, causal, block, behind, branch)

    monkeypatch.setattr(Run, "step", watched)
    got = fill(filler, strategy="balanced", max_tokens=40, session="got")
    assert (got.text, got.finish_reason) == (want.text, want.finish_reason)
    assert sum(map(bool, steps)) > 1


def test_where_a_draft_is_refused_the_masks_of_that_place_draft():
    def rows(agreed: int, whole: bool) -> list[int]:  # of a draft of 4, masks 8 and 4 at 0 and 2
        said = Verified([Placed(1, 1.0)] * agreed, Placed(2, 1.0), whole)
        return list(range(40))[masks_behind(said, 4, 8, [0, 2])]

    assert rows(4, True) == list(range(5, 13))
    assert rows(0, False) == [13, 14, 15, 16]
    assert rows(2, False) == [17, 18, 19, 20]
    assert rows(1, False) == rows(3, False) == []


def test_the_models_own_tokens_are_accepted_as_a_draft_in_one_forward(tiny_path):
    model = Model(tiny_path)
    ids = place(model.spec, model.tokenizer.encode, PREFIX, SUFFIX).ids
    written = model.canvas(8)
    run = model.run(model.cache())
    model.alone(causal(run, written, model.alone(run.prefill(ids)), [], model.spec))
    draft = [placed.token for placed in written.placed]
    assert len(draft) == 8
    for wrong in (8, 5, 0):  # the first position at which the draft is spoiled
        spoiled = [*draft[:wrong], *((t + 1) % 250 for t in draft[wrong:])]
        run = model.run(model.cache())
        rows = model.alone(run.prefill(ids, spoiled))
        said = verify(run.stats(rows), spoiled)
        assert [placed.token for placed in said.agreed] == draft[:wrong]
        assert said.whole == (wrong == 8)
        assert run.nfe == 1
        fresh = model.alone(model.run(model.cache()).prefill([*ids, *draft[:wrong]]))
        torch.testing.assert_close(rows[wrong : wrong + 1], fresh, rtol=1e-4, atol=1e-4)
        canvas = model.canvas(wrong)
        model.alone(causal(run, canvas, rows, spoiled, model.spec))
        assert [placed.token for placed in canvas.placed] == draft[:wrong]


def test_what_is_probable_enough_passes_within_the_tolerance():
    stats = RowStats([5, 6, 7], [0.6, 0.5, 0.9], [], [], [0.3, 0.1], [])
    assert verify(stats, [4, 6]).agreed == []
    lenient = verify(stats, [4, 3], tolerance=0.5)
    assert lenient.agreed == [Placed(4, 0.3)]
    assert lenient.follower == Placed(6, 0.5)
    assert not lenient.whole
    assert verify(stats, [4, 3], tolerance=0.2).whole


def test_an_earlier_middle_is_taken_up_where_it_goes_on():
    earlier = [10, 11, 12, 13, 12, 14]

    def behind(*tokens: int) -> list[int]:
        return repeated(earlier, tokens)

    assert behind(11) == [12, 13, 12, 14]
    assert behind(99, 13) == [12, 14]
    assert behind(12) == []  # it stands there twice
    assert behind(13, 12) == [14]
    assert behind(14) == behind(98) == []


def test_what_stands_behind_a_place_like_this_is_a_draft():
    assert repeated([7, 1, 2, 3, 9, 1, 2, 4, 1, 5], [8, 1, 2]) == [4, 1, 5]  # the last of two
    assert repeated([7, 1, 2, 3, 9, 1, 2, 4], [7, 1, 2]) == [3, 9, 1, 2, 4]  # more of it agrees
    assert repeated([1, 2, 3], []) == repeated([], [1]) == []


def test_an_answer_is_the_same_with_and_without_an_earlier_one(tmp_path):
    filler = Filler.load(
        EngineSettings(
            model=str(tiny.checkpoint(tmp_path / "m")), device="cpu", precision="float32", threads=1
        )
    )
    for prefix in (PREFIX, PREFIX + "x", PREFIX + "xy", PREFIX):
        session = fill(filler, prefix=prefix, session="typed", max_tokens=20)
        assert session.text == fill(filler, prefix=prefix, session=prefix, max_tokens=20).text


@pytest.mark.parametrize("strategy", ["balanced", "fast", "autoregressive"])
def test_what_is_left_of_a_middle_is_a_draft_for_who_types_it(tmp_path, strategy):
    """As clients do that ask after each key, without a word of what they show."""
    path = tiny.checkpoint(tmp_path / "m", seed=3)
    filler = Filler.load(
        EngineSettings(model=str(path), device="cpu", precision="float32", threads=1)
    )
    shown = fill(filler, session="typed", strategy=strategy).text
    spared = 0
    for count in range(4):
        prefix = PREFIX + shown[:count]
        typed = fill(filler, prefix=prefix, session="typed", strategy=strategy)
        fresh = fill(filler, prefix=prefix, session=f"fresh {count}", strategy=strategy)
        assert typed.text == fresh.text
        spared += fresh.nfe - typed.nfe
        shown = shown[:count] + typed.text
    assert spared > 8 if strategy == "balanced" else spared == 0


def test_what_a_superseded_request_has_written_is_not_lost(filler):
    whole = fill(filler, session="whole")
    steps = 0

    def stopped_after_three(_draft: Draft) -> None:
        nonlocal steps
        steps += 1
        if steps == 3:
            stop.stop("superseded")

    stop = StopToken()
    request = FillRequest(PREFIX, SUFFIX, max_tokens=20, session="cut")
    cut = filler.fill(request, deadline=FOREVER, stop=stop, on_draft=stopped_after_three)
    assert cut.finish_reason == "superseded"
    assert 0 < cut.completion_tokens < whole.completion_tokens
    again = fill(filler, session="cut")
    assert again.text == whole.text
    assert again.nfe < whole.nfe


def test_writing_may_have_less_time_than_reading(filler):
    whole = fill(filler, strategy="autoregressive")
    endless = Deadline(float("inf"), StepDeadline())
    short = fill(filler, endless, writing_ms=9_000, strategy="autoregressive")
    assert short.finish_reason == "deadline"
    assert 0 < short.completion_tokens < whole.completion_tokens
    assert whole.text.startswith(short.text)
    sooner = Deadline(3.0, StepDeadline())
    sooner.within(60_000)
    assert sooner.at == 3.0


def stopped(filler, after: int, **fields: object) -> Fill:
    """A fill that is superseded after so many drafts."""
    stop, drafts = StopToken(), []

    def on_draft(draft: Draft) -> None:
        drafts.append(draft)
        if len(drafts) == after:
            stop.stop("superseded")

    request = FillRequest(**{"prefix": PREFIX, "suffix": SUFFIX, "max_tokens": 20} | fields)
    return filler.fill(request, deadline=FOREVER, stop=stop, on_draft=on_draft)


def test_what_a_stopped_fill_took_is_lost_only_where_the_next_has_no_use_for_it(filler):
    cut = stopped(filler, 3, session="same")
    assert min(cut.reading_ms, cut.writing_ms) > 0
    assert cut.lost_reading_ms == cut.lost_writing_ms == 0  # not known yet
    again = fill(filler, session="same")
    assert again.lost_writing_ms < 1e-3
    # All but the last row of its context, which runs again.
    assert 0 < again.lost_reading_ms < cut.reading_ms / 2
    assert fill(filler, session="same").lost_reading_ms == 0  # once

    cut = stopped(filler, 3, session="other")
    elsewhere = fill(filler, session="other", prefix="import os\n", suffix="\n")
    assert elsewhere.lost_writing_ms == pytest.approx(cut.writing_ms, abs=0.01)
    assert 0 < elsewhere.lost_reading_ms <= cut.reading_ms


def test_what_was_answered_is_never_lost(filler):
    fill(filler, session="s")
    elsewhere = fill(filler, session="s", prefix="import os\n", suffix="\n")
    assert elsewhere.lost_reading_ms == elsewhere.lost_writing_ms == 0


def test_what_waits_for_a_use_is_not_forgotten_by_fills_that_never_ran(filler):
    cut = stopped(filler, 3, session="s")
    gone = StopToken()
    gone.stop("cancelled")
    request = FillRequest(PREFIX, SUFFIX, session="s")
    never = filler.fill(request, deadline=FOREVER, stop=gone)
    elsewhere = fill(filler, session="s", prefix="import os\n", suffix="\n")
    assert never.lost_writing_ms + elsewhere.lost_writing_ms == pytest.approx(
        cut.writing_ms, abs=0.01
    )


@given(before=st.text(max_size=300), typed=st.text(max_size=9), gone=st.integers(0, 300))
def test_what_was_typed_is_known_though_the_window_moves(before, typed, gone):
    kept, now = before[-REMEMBERED:], before + typed
    # Typed text that ends as what stood there is taken for it; a draft is verified anyway.
    assume(now.rfind(kept) == len(before) - len(kept))
    assert typed_since(kept, now) == typed
    window = now[min(gone, max(0, len(before) - REMEMBERED)) :]
    assert typed_since(kept, window) == typed


def test_what_was_changed_before_the_cursor_was_not_typed():
    assert typed_since("x = 1", "y = 1") is None
    assert typed_since("x = 12", "x = 1") is None
    assert typed_since("", "x") == "x"


def test_drafts_grow_to_the_fill(filler):
    drafts: list[Draft] = []
    request = FillRequest(prefix=PREFIX, suffix=SUFFIX, max_tokens=8)
    answer = filler.fill(request, deadline=FOREVER, stop=StopToken(), on_draft=drafts.append)
    assert [d.step for d in drafts] == list(range(1, len(drafts) + 1))
    committed = [sum(t.committed for t in d.tokens) for d in drafts]
    assert committed == sorted(committed)
    assert drafts[-1].text == answer.text


def test_stop_strings_and_single_line(filler):
    whole = fill(filler, strategy="autoregressive").text
    stop = whole[3:5]
    cut = fill(filler, strategy="autoregressive", stop=(stop,))
    assert cut.text == whole[: whole.find(stop)]
    assert cut.middles[0].finish_reason == "stop"
    assert "".join(t.text for t in cut.middles[0].tokens) == cut.text
    assert "\n" not in fill(filler, single_line=True, max_tokens=60).text


def test_an_empty_middle_can_be_forbidden(filler, monkeypatch):
    monkeypatch.setattr(filler, "_bias", filler._bias.clone())
    filler._bias[filler._spec.eom_id] = 1e4  # a model that always wants to end at once
    assert fill(filler).text == ""
    assert fill(filler).middles[0].finish_reason == "end"
    assert len(fill(filler, allow_empty=False).middles[0].tokens) == 1


@pytest.mark.usefixtures("masks_everywhere")
def test_candidates_differ_and_the_greedy_one_is_first(filler):
    greedy = fill(filler)
    several = fill(filler, candidates=5, seed=3)
    texts = [m.text for m in several.middles]
    assert texts[0] == greedy.text
    assert 2 <= len(set(texts)) == len(texts) <= 5
    assert several.middles == fill(filler, candidates=5, seed=3).middles


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_any_deadline_gives_the_front_of_a_state(filler, strategy):
    """Whenever time runs out, what comes back was settled: a front of a draft."""
    for seconds in range(1, 12):
        drafts: list[str] = [""]
        answer = filler.fill(
            FillRequest(prefix=PREFIX, suffix=SUFFIX, max_tokens=20, strategy=strategy),
            deadline=Deadline(float(seconds), StepDeadline()),
            stop=StopToken(),
            on_draft=lambda d, into=drafts: into.append(d.text),
        )
        if answer.finish_reason == "deadline" and answer.middles:
            assert any(text.startswith(answer.text) for text in drafts)
        assert all(t.committed for m in answer.middles for t in m.tokens)


def test_a_stop_takes_at_most_one_forward(filler, monkeypatch):
    forwards = 0
    stop = StopToken()
    real = Decoder.forward

    def forward(*args, **options) -> torch.Tensor:
        nonlocal forwards
        forwards += 1
        if forwards == 3:
            stop.stop("superseded")
        return real(*args, **options)

    monkeypatch.setattr(Decoder, "forward", forward)
    request = FillRequest(prefix=PREFIX * 20, suffix=SUFFIX, max_tokens=60)
    answer = filler.fill(request, deadline=FOREVER, stop=stop)
    assert answer.finish_reason == "superseded"
    assert forwards == 3


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    prefix=st.text(max_size=60),
    suffix=st.text(max_size=60),
    strategy=st.sampled_from(STRATEGIES),
    temperature=st.sampled_from([0.0, 1.5]),
)
def test_anything_written_gets_well_formed_text_without_special_tokens(
    filler, prefix, suffix, strategy, temperature
):
    answer = fill(
        filler,
        prefix=prefix.encode("utf-8", "ignore").decode().replace("\0", ""),
        suffix=suffix.encode("utf-8", "ignore").decode().replace("\0", ""),
        strategy=strategy,
        temperature=temperature,
    )
    assert answer.middles
    answer.text.encode()
    assert not any(special in answer.text for special in tiny.SPECIALS)


@pytest.mark.model
def test_the_shipped_model_fills_a_middle():
    shipped = Path(__file__).parents[3] / "models" / "midfill-0.5b-v8"
    if not any(shipped.glob("*.safetensors")):
        pytest.skip("the shipped checkpoint is not in this tree")
    filler = Filler.load(EngineSettings(model=str(shipped), device="cpu"))
    prefix = "class Stack:\n    def __init__(self):\n        self.items = []\n\n"
    prefix += "    def push(self, item):\n        "
    suffix = "\n\n    def pop(self):\n        return self.items.pop()\n"
    for strategy in ("balanced", "self-speculative", "autoregressive"):
        answer = fill(filler, prefix=prefix, suffix=suffix, path="stack.py", strategy=strategy)
        assert answer.text == "self.items.append(item)"
        assert answer.finish_reason == "end"
