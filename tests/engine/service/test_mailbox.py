"""Who displaces whom, without threads: jobs are put and taken by hand."""

from __future__ import annotations

import pytest

from midfill_engine.deadline import Deadline
from midfill_engine.errors import EngineBusy
from midfill_engine.service.mailbox import Job, Mailbox
from midfill_engine.wire import Fill, FillRequest


class Recorded(Job):
    """A job that keeps its answers."""

    def __init__(self, lane: str, speculative: bool) -> None:
        request = FillRequest("x", session=lane, version=7, speculative=speculative)
        self.fills: list[Fill] = []
        super().__init__(request, Deadline.after_ms(None), self.fills.append, lane=lane)


def job(lane: str = "", *, speculative: bool = False) -> Recorded:
    return Recorded(lane, speculative)


def answers(of: Recorded) -> list[str]:
    return [fill.finish_reason for fill in of.fills]


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox(capacity=3)


def test_jobs_of_different_sessions_run_in_order_of_arrival(mailbox):
    first, second = job("a"), job("b")
    mailbox.put(first)
    mailbox.put(second)
    assert [mailbox.take(), mailbox.take()] == [first, second]


def test_a_newer_job_replaces_a_waiting_one_of_its_session_and_answers_it(mailbox):
    old, other, new = job("a"), job("b"), job("a")
    for each in (old, other, new):
        mailbox.put(each)
    assert answers(old) == ["superseded"]
    assert [mailbox.take(), mailbox.take()] == [other, new]


def test_the_superseded_answer_names_its_session_and_version(mailbox):
    old = job("a")
    mailbox.put(old)
    mailbox.put(job("a"))
    (fill,) = old.fills
    assert (fill.session, fill.version, fill.middles) == ("a", 7, ())


def test_a_newer_job_stops_the_running_one_of_its_session(mailbox):
    old = job("a")
    mailbox.put(old)
    assert mailbox.take() is old
    mailbox.put(job("a"))
    assert old.stop.reason == "superseded"
    assert answers(old) == []  # the inference thread answers it


def test_jobs_without_a_lane_displace_nothing(mailbox):
    old = job("")
    mailbox.put(old)
    mailbox.take()
    mailbox.put(job(""))
    assert old.stop.reason is None


def test_a_speculative_job_displaces_no_real_one_and_runs_after_all_of_them(mailbox):
    running, guess, real = job("a"), job("a", speculative=True), job("b")
    mailbox.put(running)
    assert mailbox.take() is running
    mailbox.put(guess)
    mailbox.put(real)
    assert running.stop.reason is None
    assert [mailbox.take(), mailbox.take()] == [real, guess]


def test_any_real_job_stops_a_running_speculative_one(mailbox):
    guess = job("a", speculative=True)
    mailbox.put(guess)
    mailbox.take()
    mailbox.put(job("b"))
    assert guess.stop.reason == "superseded"


def test_a_real_job_replaces_a_waiting_speculative_one_of_its_session(mailbox):
    mailbox.put(job("x"))
    guess = job("a", speculative=True)
    mailbox.put(guess)
    mailbox.put(job("a"))
    assert answers(guess) == ["superseded"]


def test_a_newer_speculative_job_replaces_the_older_one(mailbox):
    old, new = job("a", speculative=True), job("a", speculative=True)
    mailbox.put(old)
    mailbox.put(new)
    assert answers(old) == ["superseded"]
    assert mailbox.take() is new


def test_a_full_queue_refuses_and_keeps_what_waits(mailbox):
    waiting = [job(name) for name in "abc"]
    for each in waiting:
        mailbox.put(each)
    with pytest.raises(EngineBusy, match="3 requests are waiting"):
        mailbox.put(job("d"))
    assert [mailbox.take() for _ in waiting] == waiting


def test_a_full_queue_takes_a_newer_job_of_a_waiting_session(mailbox):
    for name in "abc":
        mailbox.put(job(name))
    new = job("b")
    mailbox.put(new)
    assert len(mailbox) == 3


def test_a_full_queue_gives_a_speculative_place_to_a_real_job(mailbox):
    guess = job("g", speculative=True)
    for each in (job("a"), guess, job("b")):
        mailbox.put(each)
    mailbox.put(job("c"))
    assert answers(guess) == ["superseded"]
    with pytest.raises(EngineBusy):
        mailbox.put(job("h", speculative=True))


def test_a_withdrawn_job_never_runs(mailbox):
    gone, other = job("a"), job("b")
    mailbox.put(gone)
    mailbox.put(other)
    mailbox.withdraw(gone)
    assert mailbox.take() is other
    assert gone.stop.reason == "cancelled"


def test_closing_answers_everybody_and_refuses_new_jobs(mailbox):
    running, waiting = job("a"), job("b")
    mailbox.put(running)
    mailbox.take()
    mailbox.put(waiting)
    mailbox.close()
    assert running.stop.reason == "shutdown"
    assert answers(waiting) == ["shutdown"]
    assert mailbox.take() is None
    with pytest.raises(EngineBusy):
        mailbox.put(job("c"))


def test_idle_means_nothing_runs_and_nothing_waits(mailbox):
    assert mailbox.idle
    mailbox.put(job("a"))
    assert not mailbox.idle
    mailbox.take()
    assert not mailbox.idle
    mailbox.close()
    mailbox.take()
    assert mailbox.idle
