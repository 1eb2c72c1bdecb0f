"""Who displaces whom, without threads: jobs are put and taken by hand."""

from __future__ import annotations

import pytest

from midfill_engine.deadline import Deadline
from midfill_engine.errors import EngineBusy
from midfill_engine.service.mailbox import Job, Mailbox
from midfill_engine.wire import Fill, FillRequest


class Recorded(Job):
    """A job that keeps its answers."""

    def __init__(self, owner: str, speculative: bool) -> None:
        request = FillRequest("x", session=owner, version=7, speculative=speculative)
        self.fills: list[Fill] = []
        super().__init__(request, Deadline.after_ms(None), self.fills.append, owner=owner)


def job(owner: str = "", *, speculative: bool = False) -> Recorded:
    return Recorded(owner, speculative)


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


def test_jobs_without_an_owner_displace_nothing(mailbox):
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
    mailbox.finished(running)
    assert mailbox.take() is real
    assert mailbox.take(wait=False) is None
    mailbox.finished(real)
    assert mailbox.take() is guess


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
    only = job("a")
    mailbox.put(only)
    assert not mailbox.idle
    assert mailbox.take() is only
    assert not mailbox.idle
    mailbox.finished(only)
    assert mailbox.idle


def test_jobs_of_other_sessions_run_beside_one_another(mailbox):
    first, second = job("a"), job("b")
    mailbox.put(first)
    mailbox.put(second)
    assert [mailbox.take(), mailbox.take(wait=False)] == [first, second]
    assert mailbox.running == 2
    assert mailbox.take(wait=False) is None


def test_jobs_that_share_a_cache_never_run_beside_one_another(mailbox):
    first, second, third = job("a"), job("a"), job("b")
    first.owner = second.owner = ""
    for each in (first, second, third):
        mailbox.put(each)
    assert [mailbox.take(), mailbox.take(wait=False)] == [first, third]
    assert mailbox.take(wait=False) is None
    mailbox.finished(first)
    assert mailbox.take(wait=False) is second


def test_who_takes_the_place_of_a_running_job_waits_until_it_has_ended(mailbox):
    old, new = job("a"), job("a")
    mailbox.put(old)
    mailbox.take()
    mailbox.put(new)
    assert mailbox.take(wait=False) is None
    mailbox.finished(old)
    assert mailbox.take(wait=False) is new


def test_a_real_job_stops_all_running_speculative_ones_and_starts_beside_them(mailbox):
    guesses = [job("a", speculative=True), job("b", speculative=True)]
    for guess in guesses:
        mailbox.put(guess)
    assert [mailbox.take(), mailbox.take(wait=False)] == guesses
    real = job("c")
    mailbox.put(real)
    assert [guess.stop.reason for guess in guesses] == ["superseded"] * 2
    assert mailbox.take(wait=False) is real


def test_closing_stops_all_that_runs(mailbox):
    running = [job("a"), job("b")]
    for each in running:
        mailbox.put(each)
        mailbox.take()
    mailbox.close()
    assert [each.stop.reason for each in running] == ["shutdown"] * 2
    assert mailbox.take(wait=False) is None
