"""Who shares a forward, and that nobody can tell: answers are those of requests run alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from midfill_engine.deadline import Deadline, StopToken
from midfill_engine.fill.costs import Costs
from midfill_engine.fill.filler import Filler
from midfill_engine.fill.steps import Halted, Rounds, Step, Steps, Task, alone, together
from midfill_engine.models.decoder import Decoder, Lane
from midfill_engine.settings import EngineSettings
from midfill_engine.wire import STRATEGIES, Fill, FillRequest

FOREVER = Deadline.after_ms(None)
TEXT = "def f(a, b):\n    return a + b\n\nprint(f(1, 2))\nx = [n for n in range(9)]\n"


class Recorded:
    """A decoder without arithmetic: a row's state is its token; it notes who shared a forward."""

    lanes = 8

    def __init__(self) -> None:
        self.forwards: list[list[list[int]]] = []

    def forward_lanes(self, lanes: list[Lane]) -> list[torch.Tensor]:
        rows = [lane.ids.tolist() for lane in lanes]
        self.forwards.append(rows)
        if any(-1 in ids for ids in rows):
            raise RuntimeError("no such token")
        return [lane.ids.float() for lane in lanes]


def step(token: int, rows: int = 1) -> Step:
    return Step(Lane(torch.tensor([token] * rows), None, 0))


def lane(*tokens: int, rows: int = 1, seen: list | None = None) -> Steps[list[int]]:
    """Runs ``tokens`` one after the other; ``seen`` gets what came back, and why it was halted."""
    seen = [] if seen is None else seen
    try:
        for token in tokens:
            wanted = step(token, rows)
            yield [wanted]
            seen.append(int(wanted.hidden[0]))
    except Halted as halt:
        seen.append(halt.reason)
        raise
    return seen


def started(rounds: Rounds, steps: Steps, deadline: Deadline = FOREVER) -> tuple[list, StopToken]:
    outcomes: list = []
    stop = StopToken()
    rounds.start(Task(steps, deadline, stop, outcomes.append))
    return outcomes, stop


def test_lanes_of_different_length_run_side_by_side():
    decoder, short, long = Recorded(), [], []
    alone(together([lane(1, seen=short), lane(2, 3, 4, seen=long), lane()]), decoder, Costs())
    assert decoder.forwards == [[[1], [2]], [[3]], [[4]]]
    assert (short, long) == ([1], [2, 3, 4])


def test_lanes_are_halted_together_and_those_at_their_end_are_left_alone():
    decoder, short, long = Recorded(), [], []
    rounds = Rounds(decoder, Costs())
    outcomes, stop = started(rounds, together([lane(1, seen=short), lane(2, 3, 4, seen=long)]))
    rounds.round()
    stop.stop("cancelled")
    rounds.round()
    assert (short, long) == ([1], [2, "cancelled"])
    assert isinstance(outcomes[0], Halted)
    assert len(decoder.forwards) == 1


def test_who_comes_later_joins_at_the_next_forward():
    decoder = Recorded()
    rounds = Rounds(decoder, Costs())
    first, _ = started(rounds, lane(1, 2, 3))
    rounds.round()
    second, _ = started(rounds, lane(7, 8, 9))
    while len(rounds):
        rounds.round()
    assert decoder.forwards == [[[1]], [[2], [7]], [[3], [8]], [[9]]]
    assert (first, second) == ([[1, 2, 3]], [[7, 8, 9]])


def test_where_not_all_fit_they_take_turns():
    decoder = Recorded()
    rounds = Rounds(decoder, Costs())  # 32 rows while nothing is measured
    for token in (1, 2, 3):
        started(rounds, lane(token, token, rows=16))
    while len(rounds):
        rounds._costs = Costs()
        rounds.round()
    assert [[ids[0] for ids in rows] for rows in decoder.forwards] == [[1, 2], [3, 1], [2, 3]]


def test_a_step_larger_than_what_is_shared_runs_alone():
    decoder = Recorded()
    rounds = Rounds(decoder, Costs())
    for token, rows in ((1, 1), (2, 100), (3, 1)):
        started(rounds, lane(token, rows=rows))
    for _ in range(3):
        rounds._costs = Costs()
        rounds.round()
    assert [[ids[0] for ids in rows] for rows in decoder.forwards] == [[1], [2], [3]]


def test_where_rows_would_notice_company_each_runs_alone():
    decoder = Recorded()
    decoder.lanes = 1
    rounds = Rounds(decoder, Costs())
    for token in (1, 2):
        started(rounds, lane(token, token))
    while len(rounds):
        rounds.round()
    assert decoder.forwards == [[[1]], [[2]], [[1]], [[2]]]


def test_an_error_is_told_to_the_one_whose_it_is():
    decoder = Recorded()
    rounds = Rounds(decoder, Costs())
    good, _ = started(rounds, lane(1, 2))
    bad, _ = started(rounds, lane(5, -1, 6))
    also_good, _ = started(rounds, lane(3, 4))
    while len(rounds):
        rounds.round()
    assert (good, also_good) == ([[1, 2]], [[3, 4]])
    assert isinstance(bad[0], RuntimeError)


def test_an_error_between_forwards_hurts_nobody_else():
    def broken() -> Steps[None]:
        yield [step(1)]
        raise ValueError

    rounds = Rounds(Recorded(), Costs())
    bad, _ = started(rounds, broken())
    good, _ = started(rounds, lane(1, 2))
    while len(rounds):
        rounds.round()
    assert isinstance(bad[0], ValueError)
    assert good == [[1, 2]]


def test_a_stop_ends_one_and_a_deadline_another():
    decoder, late = Recorded(), []
    now = [0.0]
    rounds = Rounds(decoder, Costs())
    on, _ = started(rounds, lane(1, 2, 3))
    _, stop = started(rounds, lane(4, 5, 6))
    started(rounds, lane(7, 8, 9, seen=late), Deadline(1.0, lambda: now[0]))
    rounds.round()
    stop.stop("superseded")
    now[0] = 2.0
    while len(rounds):
        rounds.round()
    assert decoder.forwards == [[[1], [4], [7]], [[2]], [[3]]]
    assert (on, late) == ([[1, 2, 3]], [7, "deadline"])


def test_who_waits_for_a_turn_can_be_stopped_too():
    decoder, waiting = Recorded(), []
    rounds = Rounds(decoder, Costs())
    started(rounds, lane(1, 1, rows=30))
    _, stop = started(rounds, lane(2, rows=30, seen=waiting))
    stop.stop("cancelled")
    rounds.round()
    assert waiting == ["cancelled"]
    assert decoder.forwards == [[[1] * 30]]


def test_a_deadline_counts_the_whole_forward_not_only_ones_own_rows():
    costs = Costs()
    for rows, ms in ((2, 10.0), (16, 20.0)):
        costs.add(rows, ms, causal=True)
    late: list = []
    rounds = Rounds(Recorded(), costs)
    started(rounds, lane(1, rows=14))
    started(rounds, lane(2, rows=2, seen=late), Deadline(0.015, lambda: 0.0))
    rounds.round()
    assert late == ["deadline"]


def test_a_step_knows_how_many_rows_ran_beside_its_own():
    steps = [step(1, rows=3), step(2, rows=2)]

    def run(own: Step) -> Steps[None]:
        yield [own]

    rounds = Rounds(Recorded(), Costs())
    for own in steps:
        started(rounds, run(own))
    rounds.round()
    assert [own.beside for own in steps] == [2, 3]


@pytest.fixture(scope="module", params=["int8", "float32"])
def loaded(request, tiny_path: Path) -> Filler:
    return Filler.load(
        EngineSettings(model=str(tiny_path), device="cpu", precision=request.param, threads=1)
    )


@pytest.fixture(autouse=True)
def _one_width(monkeypatch):
    """The width is chosen by the clock."""
    monkeypatch.setattr("midfill_engine.fill.filler.draft_width", lambda *_: 5)


REQUESTS = st.builds(
    lambda start, cut, **fields: FillRequest(TEXT[start:cut], TEXT[cut:], **fields),
    start=st.integers(0, 10),
    cut=st.integers(10, len(TEXT)),
    max_tokens=st.integers(1, 24),
    strategy=st.sampled_from([*STRATEGIES, "tolerance:0.2", "threshold:0.7"]),
    candidates=st.integers(1, 5),
    temperature=st.sampled_from([0.0, 1.2]),
    seed=st.integers(0, 9),
    single_line=st.booleans(),
)


def told(fill: Fill) -> tuple:
    """What an answer says, without how long it took."""
    return fill.middles, fill.finish_reason, fill.completion_tokens, fill.prompt_tokens


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(request=REQUESTS)
def test_candidates_together_are_those_written_one_after_the_other(loaded, request):
    def fill() -> Fill:
        loaded.forget("")
        return loaded.fill(request, deadline=FOREVER, stop=StopToken())

    shared = fill()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Decoder, "lanes", 1)
        single = fill()
    assert told(shared) == told(single)
    assert shared.nfe <= single.nfe


def test_further_candidates_share_their_forwards(tiny_path, monkeypatch):
    filler = Filler.load(
        EngineSettings(model=str(tiny_path), device="cpu", precision="int8", threads=1)
    )
    shared: list[int] = []
    real = Decoder.forward_lanes

    def forward_lanes(decoder: Decoder, lanes: list[Lane]) -> list[torch.Tensor]:
        shared.append(len(lanes))
        return real(decoder, lanes)

    monkeypatch.setattr(Decoder, "forward_lanes", forward_lanes)
    request = FillRequest("x", "y", candidates=4, max_tokens=8, allow_empty=False)
    answer = filler.fill(request, deadline=FOREVER, stop=StopToken())
    assert shared[0] == 1  # the first comes as if it were asked for alone
    assert shared.count(3) > 0
    assert answer.nfe == len(shared)


def test_candidates_are_stopped_within_one_forward_and_keep_what_they_have(loaded, monkeypatch):
    stop, forwards = StopToken(), []
    real = Decoder.forward_lanes

    def forward_lanes(decoder: Decoder, lanes: list[Lane]) -> list[torch.Tensor]:
        forwards.append(len(lanes))
        if len(forwards) == 8:
            stop.stop("cancelled")
        return real(decoder, lanes)

    request = FillRequest(
        TEXT[:20], TEXT[20:], candidates=4, max_tokens=6, strategy="autoregressive", session="c"
    )
    whole = loaded.fill(request, deadline=FOREVER, stop=StopToken())
    loaded.forget("c")
    monkeypatch.setattr(Decoder, "forward_lanes", forward_lanes)
    cut = loaded.fill(request, deadline=FOREVER, stop=stop)
    assert len(forwards) == 8
    assert cut.finish_reason == "cancelled"
    assert cut.middles[0] == whole.middles[0]
    texts = [middle.text for middle in whole.middles]
    for middle in cut.middles[1:]:
        assert any(text.startswith(middle.text) for text in texts)
