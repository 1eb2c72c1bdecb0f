"""Work of many like pieces, spread over the cores."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager

import torch


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
