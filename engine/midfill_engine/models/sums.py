"""Checksums of a checkpoint, compared on threads of their own while something else goes on.

Owns the comparison with ``SHA256SUMS``. Knows nothing of what the files hold, and needs no torch.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from midfill_engine.errors import CorruptCheckpoint

SUMS_FILE = "SHA256SUMS"


@contextmanager
def sums_checked(*directories: Path) -> Iterator[None]:
    """Compare every file in ``directories`` with their ``SHA256SUMS``, if any, beside the body.

    The end of the body waits for the comparison; a damaged file is named also when the body has
    stumbled over it.

    Raises
    ------
    CorruptCheckpoint
        Naming the first file that is missing or differs.
    """
    entries = [entry for directory in dict.fromkeys(directories) for entry in _entries(directory)]
    with ThreadPoolExecutor(2, "midfill-sums") as pool:
        checks = pool.map(lambda entry: _good(*entry), entries)
        try:
            yield
        finally:
            for (directory, words), good in zip(entries, checks, strict=True):
                if not good:
                    pool.shutdown(cancel_futures=True)
                    raise CorruptCheckpoint(
                        f"{directory / words[-1]} is missing or is not what {SUMS_FILE} says.",
                        "Copy or download the checkpoint again.",
                    )


def _entries(directory: Path) -> list[tuple[Path, list[str]]]:
    """The words of each line, with the directory."""
    sums = directory / SUMS_FILE
    lines = sums.read_text("utf-8", "replace").splitlines() if sums.is_file() else []
    return [(directory, line.split(maxsplit=1)) for line in lines if line.strip()]


def _good(directory: Path, words: list[str]) -> bool:
    file = directory / words[-1].lstrip("*")
    return len(words) == 2 and file.is_file() and _sha256(file) == words[0].lower()


def _sha256(file: Path) -> str:
    """In one call, which lets go of the interpreter lock once: other threads go on meanwhile."""
    with file.open("rb") as stream:
        if not file.stat().st_size:
            return hashlib.sha256().hexdigest()
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as whole:
            return hashlib.sha256(whole).hexdigest()
