"""Fully bidirectional models from request to fill: lengths, windows, exactness, agreement."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from midfill_engine.cache.window import WindowCache
from midfill_engine.deadline import Deadline, StopToken
from midfill_engine.decode.rows import RowStats
from midfill_engine.fill.filler import Filler
from midfill_engine.fill.in_place import Text, _drafted, choose_length, infill
from midfill_engine.layout.in_place import Frame
from midfill_engine.models.decoder import Decoder
from midfill_engine.settings import EngineSettings
from midfill_engine.wire import STRATEGIES, Draft, Fill, FillRequest
from tests import tiny
from tests.engine.loaded import Model

PREFIX, SUFFIX = "def f(a, b):\n    return ", "\n\nprint(f(1, 2))\n"
FOREVER = Deadline.after_ms(None)


def load(path: Path, **options) -> Filler:
    told = {"model": str(path), "device": "cpu", "precision": "float32", "threads": 1}
    return Filler.load(EngineSettings(**told | options))


def fill(filler: Filler, deadline: Deadline = FOREVER, **fields: object) -> Fill:
    request = FillRequest(**{"prefix": PREFIX, "suffix": SUFFIX, "max_tokens": 20} | fields)
    return filler.fill(request, deadline=deadline, stop=StopToken())


@pytest.fixture(params=["llada", "dream"])
def path(request, llada_path, dream_path) -> Path:
    return llada_path if request.param == "llada" else dream_path


@pytest.fixture
def filler(path) -> Filler:
    return load(path)


def text_of(model: Model, *, refresh: int = 1, **options) -> Text:
    memory = model.cache()
    encode, spec = model.tokenizer.encode, model.spec
    front = [] if spec.bos_id is None else [spec.bos_id]
    frame = Frame([*front, *encode(PREFIX)], encode(SUFFIX))
    return Text(model.run(memory), spec, frame, WindowCache(memory, refresh), **options)


@pytest.fixture
def forwards(monkeypatch) -> list[tuple[int, int]]:
    """Rows and length of the text of every forward."""
    seen: list[tuple[int, int]] = []
    real = Decoder.forward_within

    def noted(decoder, ids, cache, start, end):
        seen.append((len(ids), end))
        return real(decoder, ids, cache, start, end)

    monkeypatch.setattr(Decoder, "forward_within", noted)
    return seen


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_answers_within_its_length(filler, strategy):
    for n in (1, 7, 8, 20):
        answer = fill(filler, strategy=strategy, max_tokens=n)
        middle = answer.middles[0]
        assert len(middle.tokens) <= n
        assert middle.finish_reason == answer.finish_reason == "end"
        assert middle.text == "".join(t.text for t in middle.tokens)
        assert any("causal" in note for note in answer.notes) == (
            strategy in ("autoregressive", "self-speculative")
        )


def test_every_step_commits_what_the_whole_text_says(path):
    """The exact mode against steps written out: one whole forward a token, the surest first."""
    model = Model(path)
    text = text_of(model)
    canvas = model.canvas(6)
    surest = lambda stats, rows: [max(rows, key=stats.probability.__getitem__)]  # noqa: E731
    model.alone(infill(text, canvas, surest, 6))
    cells: list[int | None] = [None] * 6
    start = len(text.frame.before)
    while None in cells:
        hole = [model.spec.mask_id if cell is None else cell for cell in cells]
        ids = torch.tensor(text.frame.around(hole))
        hidden = model.decoder.forward_within(ids, model.decoder.new_cache(), 0, len(ids))
        p = (model.decoder.logits(hidden) + model.bias).softmax(-1).max(-1)
        row = {n: start + n - model.spec.shift for n in range(6) if cells[n] is None}
        first_end = next((n for n in row if p.indices[row[n]] == model.spec.eom_id), 6)
        before = [n for n in row if n < first_end]
        if not before:
            break
        n = max(before, key=lambda n: p.values[row[n]])
        cells[n] = int(p.indices[row[n]])
    canvas.close()
    front = cells[: cells.index(None)] if None in cells else cells
    assert [placed.token for placed in canvas.placed] == front
    assert len(front) > 2


def test_exact_answers_do_not_depend_on_what_came_before(path):
    filler = load(path, refresh_steps=1)
    first = fill(filler, session="a")
    fill(filler, session="a", prefix=PREFIX + "a +")
    again = fill(filler, session="a")
    assert first.text == again.text == fill(filler, session="b").text
    assert again.cached_tokens == 0


def test_a_key_runs_the_hole_and_its_vicinity_only(path, forwards):
    filler = load(path, hole_tokens=16, refresh_steps=1000)
    prefix, suffix = "x = 1\n" * 12 + PREFIX, SUFFIX + "y = 2\n" * 12
    first = fill(filler, prefix=prefix, suffix=suffix, session="s")
    assert forwards[0] == (first.prompt_tokens + 16, first.prompt_tokens + 16)
    forwards.clear()
    typed = fill(filler, prefix=prefix + "a", suffix=suffix, session="s")
    # What was typed took the place of a mask: nothing moved.
    assert {end for _, end in forwards} == {first.prompt_tokens + 16}
    assert all(rows <= 16 + 2 * 8 + 1 for rows, _ in forwards)
    assert typed.cached_tokens >= typed.prompt_tokens - 18


def test_a_hole_that_was_typed_full_is_made_anew(path, forwards):
    filler = load(path, hole_tokens=8, refresh_steps=1000)
    whole = fill(filler, session="s").prompt_tokens + 8
    for typed in range(1, 7):
        forwards.clear()
        fill(filler, prefix=PREFIX + "abcdef"[:typed], session="s")
        assert forwards[-1][1] == (whole if typed <= 4 else whole + 5)


@pytest.mark.parametrize("limit", [1, 6, 8, 20, 40])
def test_the_length_is_one_of_those_tried(path, limit, forwards):
    model = Model(path)
    text = text_of(model)
    masks = model.alone(choose_length(text, limit, 0))
    assert masks in {8, 16, 32, limit}
    assert masks <= limit
    tried = [end - len(text.frame.around(())) for _, end in forwards]
    assert tried == ([] if limit <= 8 else [n for n in (8, 16, 32) if n < limit] + [limit])
    assert model.alone(choose_length(text, limit, 5)) == min(limit, 5)


def test_the_length_whose_masks_are_surest_for_their_number_is_taken(path, monkeypatch):
    model = Model(path)
    text = text_of(model)
    real = Text.read
    for surest in (8, 16, 32):

        def read(text, frame, hole, rows, surest=surest):
            stats = yield from real(text, frame, hole, rows)
            stats.probability[:] = [0.9 if len(rows) == surest else 0.1] * len(rows)
            return stats

        monkeypatch.setattr(Text, "read", read)
        assert model.alone(choose_length(text, 32, 0)) == surest


def test_long_holes_may_be_less_sure_than_short_ones(path, monkeypatch):
    def read(text, frame, hole, rows):
        return RowStats(
            [0] * len(rows), [0.5] * len(rows), [0.0] * len(rows), [0.0] * len(rows), [], []
        )
        yield  # never reached: it needs no forward

    monkeypatch.setattr(Text, "read", read)
    model = Model(path)
    assert model.alone(choose_length(text_of(model), 32, 0)) == 32


def test_agreement_is_whole_in_the_exact_mode_and_told(path):
    answer = fill(load(path, refresh_steps=1, agreement="note"), strategy="threshold:0.99")
    told = re.search(r"(\d+) of (\d+) guesses and (\d+) of (\d+) committed", answer.notes[-1])
    same, guesses, same_commits, commits = map(int, told.groups())
    assert same == guesses >= commits == same_commits > 0


def test_agreement_of_cached_steps_is_counted(path):
    """Random weights mix far more than trained ones; a window still guesses mostly the same."""
    filler = load(path, refresh_steps=8, hole_tokens=24, agreement="note")
    shares = []
    for typed in range(6):
        answer = fill(
            filler,
            prefix=PREFIX + "abc = "[:typed],
            session="s",
            max_tokens=24,
            strategy="steps:12",
        )
        same, guesses = map(int, re.search(r"(\d+) of (\d+) guesses", answer.notes[-1]).groups())
        assert guesses >= answer.completion_tokens
        shares.append(same / guesses)
    assert 0.5 < sum(shares) / len(shares) < 1


def test_guesses_that_say_the_draft_are_committed_beside_the_strategy():
    stats = RowStats([5, 6, 7, 8], [0.1] * 4, [0.0] * 4, [1.0] * 4, [], [])
    assert _drafted(lambda stats, rows: [3], [5, 6, 9, 8])(stats, [1, 2, 3]) == [1, 3]
    assert _drafted(lambda stats, rows: [3], [4, 6])(stats, [0, 1, 2, 3]) == [3]


def test_a_long_hole_is_filled_in_blocks_from_the_left(path, forwards):
    filler = load(path, hole_tokens=150, refresh_steps=1000)
    drafts: list[Draft] = []
    request = FillRequest(prefix=PREFIX, suffix=SUFFIX, max_tokens=150, strategy="steps:4")
    answer = filler.fill(request, deadline=FOREVER, stop=StopToken(), on_draft=drafts.append)
    assert answer.completion_tokens == 150
    assert answer.nfe == len(forwards) == 12  # three blocks of four steps
    assert all(end == answer.prompt_tokens + 150 for _, end in forwards)
    assert [len(d.tokens) for d in drafts] == [64] * 4 + [128] * 4 + [150] * 4
    # The first step of a block brings the rows of the last one to their final state.
    assert forwards[4][0] > 64 + 16
    assert all(rows <= 64 + 3 * 8 for rows, _ in (*forwards[1:4], *forwards[5:8]))


def test_an_end_marker_ends_the_middle_or_may_not_come_first(path, monkeypatch):
    filler = load(path, hole_tokens=8)
    monkeypatch.setattr(filler, "_bias", filler._bias.clone())
    filler._bias[filler._spec.eom_id] = 1e4
    assert fill(filler).text == ""
    assert fill(filler).middles[0].finish_reason == "end"
    assert fill(filler, allow_empty=False).middles[0].tokens


def test_drafts_grow_to_the_fill(filler):
    drafts: list[Draft] = []
    request = FillRequest(prefix=PREFIX, suffix=SUFFIX, max_tokens=8)
    answer = filler.fill(request, deadline=FOREVER, stop=StopToken(), on_draft=drafts.append)
    committed = [sum(t.committed for t in d.tokens) for d in drafts]
    assert committed == sorted(committed)
    assert drafts[-1].text == answer.text


def test_stop_strings_and_single_line(path):
    filler = load(path, hole_tokens=20)
    whole = fill(filler, session="a").text
    stop = whole[3:5]
    cut = fill(filler, session="b", stop=(stop,))
    assert cut.text == whole[: whole.find(stop)]
    assert cut.middles[0].finish_reason == "stop"
    assert "\n" not in fill(filler, single_line=True).text


def test_candidates_differ_and_the_greedy_one_is_first(path):
    filler = load(path, hole_tokens=12)
    greedy = fill(filler)
    several = fill(filler, candidates=4, seed=3, session="b")
    texts = [m.text for m in several.middles]
    assert texts[0] == greedy.text
    assert 2 <= len(set(texts)) == len(texts) <= 4


def test_a_deadline_gives_what_is_settled_from_the_left(filler):
    now = iter(range(10**6))
    for seconds in range(1, 10):
        drafts: list[str] = [""]
        answer = filler.fill(
            FillRequest(prefix=PREFIX, suffix=SUFFIX, max_tokens=20),
            deadline=Deadline(next(now) + seconds, lambda: next(now)),
            stop=StopToken(),
            on_draft=lambda d, into=drafts: into.append(d.text),
        )
        if answer.finish_reason == "deadline" and answer.middles:
            assert any(text.startswith(answer.text) for text in drafts)


def test_texts_longer_than_the_training_are_cut(filler, forwards):
    answer = fill(filler, prefix="a b\n" * 1000, suffix="c d\n" * 1000, max_tokens=64)
    assert answer.prompt_tokens <= 512 - 64
    assert all(end <= 512 for _, end in forwards)
    fill(filler, max_tokens=1000)
    assert all(end <= 512 for _, end in forwards)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(prefix=st.text(max_size=40), suffix=st.text(max_size=40), session=st.sampled_from("ab"))
def test_anything_written_gets_well_formed_text_without_special_tokens(
    filler, prefix, suffix, session
):
    answer = fill(
        filler,
        prefix=prefix.encode("utf-8", "ignore").decode().replace("\0", ""),
        suffix=suffix.encode("utf-8", "ignore").decode().replace("\0", ""),
        session=session,
    )
    assert answer.middles
    answer.text.encode()
    assert not any(special in answer.text for special in tiny.SPECIALS)
