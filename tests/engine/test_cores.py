"""How many threads compute while others need the cores."""

import time
from dataclasses import dataclass
from typing import NamedTuple

import psutil
import pytest
import torch

from midfill_engine.device import cores
from midfill_engine.device.cores import LOOK_S, Threads


@pytest.fixture(autouse=True)
def threads_as_before():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@dataclass
class Machine:
    """What others have computed by now, in seconds."""

    now: float = 100.0
    others: float = 1000.0

    def passes(self, seconds: float, busy: float) -> None:
        self.now += seconds
        self.others += seconds * busy


@pytest.fixture
def machine(monkeypatch):
    count = {True: 8, False: 4}
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: count[logical])
    return Machine()


def threads_of(machine: Machine, wanted: int = 0) -> Threads:
    return Threads(wanted, clock=lambda: machine.now, others=lambda: machine.others)


@pytest.mark.parametrize(
    ("busy", "left"), [(0.0, 4), (3.9, 4), (4.2, 4), (4.3, 3), (6.0, 2), (7.9, 1), (8.0, 1)]
)
def test_threads_take_the_cores_that_others_leave(machine, busy, left):
    threads = threads_of(machine)
    assert torch.get_num_threads() == 4
    machine.passes(1, busy)
    threads.share()
    assert torch.get_num_threads() == left
    machine.passes(1, 0)
    threads.share()
    assert torch.get_num_threads() == 4


def test_what_others_compute_is_looked_at_over_a_while(machine):
    threads = threads_of(machine)
    machine.passes(LOOK_S / 2, 8)
    threads.share()
    assert torch.get_num_threads() == 4
    machine.passes(LOOK_S / 2, 4)
    threads.share()
    assert torch.get_num_threads() == 2


def test_a_number_that_was_asked_for_stays(machine):
    threads = threads_of(machine, wanted=3)
    machine.passes(5, 8)
    threads.share()
    assert torch.get_num_threads() == 3


class Times(NamedTuple):
    """As Linux counts them, in seconds."""

    user: float = 70.0
    system: float = 20.0
    idle: float = 500.0
    iowait: float = 9.0
    guest: float = 5.0
    guest_nice: float = 1.0


def test_what_this_process_and_nobody_computes_counts_for_no_other(monkeypatch):
    monkeypatch.setattr(psutil, "cpu_times", Times)
    monkeypatch.setattr(time, "process_time", lambda: 30.0)
    assert cores._seconds_of_others() == 70 + 20 - 30
    monkeypatch.undo()
    assert cores._seconds_of_others() >= 0
