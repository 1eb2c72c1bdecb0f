"""Answered cuts on disk: the context, the true middle and other answers with their costs.

Owns the file format. Knows neither where answers come from nor what costs mean.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from midfill_engine.wire import MidfillError


@dataclass(frozen=True, slots=True)
class Answered:
    """One cut as token ids.

    Attributes
    ----------
    context
        Everything before the middle.
    answers
        The true middle first, each with its end marker unless it was cut short.
    costs
        Of each answer, the true one's being 0.
    """

    context: list[int]
    answers: list[list[int]]
    costs: list[float]


class Store:
    """Random access to answered cuts; the tokens are memory-mapped.

    Raises
    ------
    MidfillError
        ``folder`` does not hold what `write` writes.
    """

    def __init__(self, folder: Path) -> None:
        try:
            self._tokens = np.load(folder / "tokens.npy", mmap_mode="r")
            self._token_at = np.load(folder / "token_at.npy")
            self._costs = np.load(folder / "costs.npy")
            self._cut_at = np.load(folder / "cut_at.npy")
        except (OSError, ValueError, EOFError) as error:
            raise MidfillError(
                f"{folder} holds no answers ({type(error).__name__}).",
                "`midfill train answers` writes them.",
            ) from error

    def __len__(self) -> int:
        return len(self._cut_at) - 1

    def __getitem__(self, i: int) -> Answered:
        first, end = map(int, self._cut_at[i : i + 2])
        context, *answers = (self._piece(n) for n in range(first, end))
        return Answered(context, answers, self._costs[first + 1 : end].tolist())

    def _piece(self, n: int) -> list[int]:
        piece: NDArray[np.int32] = self._tokens[self._token_at[n] : self._token_at[n + 1]]
        ids: list[int] = piece.tolist()
        return ids


def write(folder: Path, cuts: Iterable[Answered]) -> None:
    """Write ``cuts`` into ``folder``, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    pieces: list[list[int]] = []
    costs: list[float] = []
    cut_at = [0]
    for one in cuts:
        pieces += [one.context, *one.answers]
        costs += [0.0, *one.costs]
        cut_at.append(len(pieces))
    tokens = [np.array(piece, np.int32) for piece in pieces]
    np.save(folder / "tokens.npy", np.concatenate([np.zeros(0, np.int32), *tokens]))
    np.save(folder / "token_at.npy", np.cumsum([0, *map(len, pieces)]))
    np.save(folder / "costs.npy", np.array(costs, np.float32))
    np.save(folder / "cut_at.npy", np.array(cut_at))
