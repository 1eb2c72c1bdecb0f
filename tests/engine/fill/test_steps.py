"""Who shares a forward, and that nobody can tell: answers are those of requests run alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
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
from midfill_engine.wire import STRATEGIES, Draft, Fill, FillRequest

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


def costing(forward: float, row: float) -> Costs:
    costs = Costs()
    for rows in (1, 16):
        costs.add(rows, forward + row * rows, "causal")
    return costs


def forwards(*lanes: Steps, costs: Costs) -> list[list[int]]:
    """Who ran in each forward: the first token of each lane."""
    decoder = Recorded()
    rounds = Rounds(decoder, costs)
    costs.add = lambda *_, **__: None
    for each in lanes:
        started(rounds, each)
    while len(rounds):
        rounds.round()
    return [[ids[0] for ids in rows] for rows in decoder.forwards]


def test_whose_rows_cost_more_than_the_forward_itself_waits_in_order_of_arrival():
    def three() -> list[Steps]:
        return [lane(token, token, rows=12) for token in (1, 2, 3)]

    assert forwards(*three(), costs=costing(forward=24, row=1)) == [[1, 2, 3], [1, 2, 3]]
    assert forwards(*three(), costs=costing(forward=23, row=1)) == [[1, 2], [1, 2], [3], [3]]
    assert forwards(*three(), costs=costing(forward=11, row=1)) == [[1], [1], [2], [2], [3], [3]]


def test_few_rows_join_many():
    lanes = [lane(1, rows=40), lane(2, rows=40), lane(3, rows=2)]
    assert forwards(*lanes, costs=costing(forward=10, row=1)) == [[1, 3], [2]]


def test_who_reads_a_long_context_takes_turns_with_who_writes():
    def reader(token: int) -> Steps[None]:
        for _ in range(4):
            yield [Step(Lane(torch.tensor([token] * 32), None, 0), reads=True)]

    order = forwards(reader(1), reader(2), lane(7, 7, 7, rows=12), costs=costing(1, 1))
    assert order == [[1], [7], [1], [7], [1], [7], [1], [2], [2], [2], [2]]


def test_where_rows_would_notice_company_each_runs_alone(monkeypatch):
    monkeypatch.setattr(Recorded, "lanes", 1)
    assert forwards(lane(1, 1), lane(2, 2), costs=Costs()) == [[1], [1], [2], [2]]


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


def test_who_waits_for_a_turn_ends_when_it_is_late():
    waiting: list = []
    now = [0.0]
    rounds = Rounds(Recorded(), Costs())
    started(rounds, lane(1, 1, 1, rows=30))
    started(rounds, lane(2, rows=30, seen=waiting), Deadline(1.0, lambda: now[0]))
    rounds.round()
    assert waiting == []
    now[0] = 1.0
    rounds.round()
    assert waiting == ["deadline"]


def test_a_deadline_counts_the_whole_forward_not_only_ones_own_rows():
    costs = Costs()
    costs.add(2, 10.0, "causal")
    costs.add(16, 20.0, "shared")
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
    return loaded_as(request.param, tiny_path)


def loaded_as(precision: str, path: Path) -> Filler:
    return Filler.load(
        EngineSettings(model=str(path), device="cpu", precision=precision, threads=1)
    )


def watched(monkeypatch, before: Callable[[], None] = lambda: None) -> list[int]:
    """How many lanes share each forward from now on; ``before`` is called when it is counted."""
    forwards: list[int] = []
    real = Decoder.forward_lanes

    def forward_lanes(decoder: Decoder, lanes: list[Lane]) -> list[torch.Tensor]:
        forwards.append(len(lanes))
        before()
        return real(decoder, lanes)

    monkeypatch.setattr(Decoder, "forward_lanes", forward_lanes)
    return forwards


@pytest.fixture(autouse=True)
def _one_width(monkeypatch, masks_everywhere):
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
    filler, shared = loaded_as("int8", tiny_path), watched(monkeypatch)
    request = FillRequest("x", "y", candidates=4, max_tokens=8, allow_empty=False)
    answer = filler.fill(request, deadline=FOREVER, stop=StopToken())
    assert shared[0] == 1  # the first comes as if it were asked for alone
    assert shared.count(3) > 0
    assert answer.nfe == len(shared)


def test_candidates_are_stopped_within_one_forward_and_keep_what_they_have(loaded, monkeypatch):
    stop = StopToken()

    def at_the_eighth() -> None:
        if len(forwards) == 8:
            stop.stop("cancelled")

    request = FillRequest(
        TEXT[:20], TEXT[20:], candidates=4, max_tokens=6, strategy="autoregressive", session="c"
    )
    whole = loaded.fill(request, deadline=FOREVER, stop=StopToken())
    loaded.forget("c")
    forwards = watched(monkeypatch, at_the_eighth)
    cut = loaded.fill(request, deadline=FOREVER, stop=stop)
    assert len(forwards) == 8
    assert cut.finish_reason == "cancelled"
    assert cut.middles[0] == whole.middles[0]
    texts = [middle.text for middle in whole.middles]
    for middle in cut.middles[1:]:
        assert any(text.startswith(middle.text) for text in texts)


@dataclass(frozen=True)
class Asked:
    """A request, before which round it comes, and after how many drafts it is late or stopped."""

    request: FillRequest
    comes: int
    late: int | None
    stopped: int | None

    def start(self, filler: Filler, session: str) -> list:
        """What becomes of it: its drafts, then its fill."""
        seen: list = []
        stop = StopToken()

        def on_draft(draft: Draft) -> None:
            seen.append(draft)
            if len(seen) == self.stopped:
                stop.stop("cancelled")

        filler.start(
            replace(self.request, session=session),
            deadline=Deadline(float("inf" if self.late is None else self.late), lambda: len(seen)),
            stop=stop,
            on_draft=on_draft,
            done=lambda fill: seen.append(told(fill)),
        )
        return seen


ASKED = st.builds(
    Asked,
    REQUESTS,
    st.integers(0, 6),
    st.none() | st.integers(0, 8),
    st.none() | st.integers(1, 5),
)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(asked=st.lists(ASKED, min_size=2, max_size=4), most=st.sampled_from([0, 12, 1000]))
def test_sessions_together_get_what_each_gets_alone(loaded, asked, most):
    """Bit by bit, with their drafts; whenever they come, are stopped or run out of time."""

    def run(some: dict[str, Asked]) -> dict[str, list]:
        seen, number = {}, 0
        waiting = dict(some)
        for session in some:
            loaded.forget(session)
        while waiting or len(loaded._rounds):
            for session, one in list(waiting.items()):
                if one.comes <= number:
                    seen[session] = waiting.pop(session).start(loaded, session)
            loaded.round()
            number += 1
        return seen

    sessions = dict(zip("abcd", asked, strict=False))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("midfill_engine.fill.steps.joining_rows", lambda _: most)
        together = run(sessions)
    for session, one in sessions.items():
        assert run({session: one})[session] == together[session]


def test_sessions_share_their_forwards(tiny_path, monkeypatch):
    filler, shared = loaded_as("int8", tiny_path), watched(monkeypatch)
    fills: list[Fill] = []
    for session in "ab":
        request = FillRequest("x", "y", session=session, max_tokens=8, strategy="autoregressive")
        filler.start(request, deadline=FOREVER, stop=StopToken(), done=fills.append)
    while len(fills) < 2:
        filler.round()
    assert shared.count(2) == min(fill.nfe for fill in fills) + 1  # and the prefill
    assert len(shared) == max(fill.nfe for fill in fills) + 1


def test_a_prefill_delays_nobody_by_more_than_a_chunk(tiny_path):
    """While one reads a long context, another takes a step at every second forward at least."""
    filler = loaded_as("int8", tiny_path)
    drafts: list[Draft] = []
    fills: list[Fill] = []
    long = FillRequest("y = 1\n" * 120, "", session="long", max_tokens=1)
    short = FillRequest("x", "y", session="short", max_tokens=8, strategy="autoregressive")
    filler.start(long, deadline=FOREVER, stop=StopToken(), done=fills.append)
    filler.start(
        short, deadline=FOREVER, stop=StopToken(), on_draft=drafts.append, done=fills.append
    )
    seen = []
    while not fills:
        filler.round()
        seen.append(len(drafts))
    assert all(later > before for before, later in zip(seen, seen[2:], strict=False))
    assert fills[0].session == "short"
    while len(fills) < 2:
        filler.round()
