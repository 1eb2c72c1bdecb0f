"""How many cores compute: all of them to load, and for a forward those that others leave."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager

import psutil
import torch

#: Seconds between two looks at what others compute: the system counts in hundredths.
LOOK_S = 0.25
#: What of a core others may use before a thread gives way to them.
SHARED = 0.25


class Threads:
    """PyTorch's threads: one a physical core, fewer while others keep the cores busy.

    A forward has hundreds of barriers. A thread that has to take turns with another process at its
    core is late at many of them, and one thread alone is then faster than two
    (docs/decisions/0003-threads-that-sleep.md). What a row says depends on their number nowhere.
    """

    def __init__(
        self,
        wanted: int = 0,
        clock: Callable[[], float] = time.monotonic,
        others: Callable[[], float] | None = None,
    ) -> None:
        """Compute on ``wanted`` threads whatever others do; 0 leaves the number to `share`.

        Parameters
        ----------
        others
            Seconds that other processes have computed so far, on all cores.
        """
        self._fixed = wanted > 0
        self._most = wanted or psutil.cpu_count(logical=False) or torch.get_num_threads()
        self._cores = psutil.cpu_count() or self._most
        self._clock, self._others = clock, others or _seconds_of_others
        self._looked, self._seen = clock(), self._others()
        torch.set_num_threads(self._most)

    def share(self) -> None:
        """Before a forward: as many threads as there were cores to spare since the last look."""
        now = self._clock()
        passed = now - self._looked
        if self._fixed or passed < LOOK_S:
            return
        seconds = self._others()
        spare = self._cores - (seconds - self._seen) / passed
        self._looked, self._seen = now, seconds
        torch.set_num_threads(max(1, min(self._most, int(spare + SHARED))))


def _seconds_of_others() -> float:
    times = psutil.cpu_times()
    waiting = times.idle + getattr(times, "iowait", 0.0)
    # Linux counts what guests compute as its user's, too.
    twice = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    return float(sum(times) - waiting - twice) - time.process_time()


@contextmanager
def all_cores(device: torch.device) -> Iterator[Executor]:
    """Threads for work on ``device``, as many as PyTorch has; one beside a GPU.

    Each computes alone: PyTorch's own threads share each of its many small operations, which costs
    more than it gains, and packing weights knows no threads.
    """
    threads = torch.get_num_threads()
    workers = threads if device.type == "cpu" else 1
    pool = ThreadPoolExecutor(workers, "midfill-load", torch.set_num_threads, (1,))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)  # threads that come later take the last number set
