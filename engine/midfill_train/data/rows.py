"""One cut as positions: [clean | noisy blocks | answers], what each position sees and has to say.

Owns the arrays and the loss weights. Attention follows from them (`model.attention`): a clean row
sees clean rows before it; a row of a noisy block sees its block and the clean rows before that; a
row of an answer sees the context and what stands before it in the answer.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from midfill_train.data import noise
from midfill_train.data.marks import Marks

#: Loss weights. What causal rows say is what is written by default, and they are fewer than masked
#: rows. The end of the middle decides whether an answer stops at all, and there is only one causal
#: row of it a cut, against one in each noisy block.
CAUSAL, CAUSAL_FIRST, CAUSAL_END, CAUSAL_BEFORE_END = 3.0, 5.0, 18.0, 4.4
MASKED, MASKED_END, BEHIND_END, FAR_BEHIND_END = 1.5, 3.75, 0.18, 0.045
WRONG, VISIBLE = 1.0, 0.06
CONTEXT, CONTEXT_SHARE = 0.4, 0.15
#: A row behind many masks cannot be told yet: its weight falls by e for so many of them.
_FADE, _FADE_TO = 14.0, 0.2


@dataclass(slots=True)
class Rows:
    """``N`` positions.

    Attributes
    ----------
    ids, labels
        Input and target tokens.
    position
        For the rotary embedding; a noisy block stands where its clean copy stands.
    limit
        Clean rows at positions below it are seen.
    block
        Zero for clean rows, above zero the number of a noisy block, below zero of an answer.
    weight
        Of the row's loss.
    teacher
        The clean row that predicts what a masked row has to say, knowing all before it; -1 for
        none.
    cost
        Of the answer that the row belongs to (`answers.cost`).
    """

    ids: NDArray[np.int32]
    labels: NDArray[np.int32]
    position: NDArray[np.int32]
    limit: NDArray[np.int32]
    block: NDArray[np.int32]
    weight: NDArray[np.float32]
    teacher: NDArray[np.int32]
    cost: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.ids)


def build(
    rng: random.Random,
    marks: Marks,
    context: list[int],
    middle: list[int],
    *,
    block_size: int,
    ends: bool = True,
    answers: Sequence[tuple[list[int], float]] = (),
) -> Rows:
    """Rows of one cut.

    Parameters
    ----------
    ends
        Whether the middle ends here; a piece of plain text does not.
    answers
        Token ids and costs of answers to be compared, the true one among them.
    """
    noisy = np.random.default_rng(rng.getrandbits(64))
    answer = [*middle, marks.eom] if ends else middle
    clean = np.array([*context, *answer], np.int32)
    parts = [_clean(noisy, marks, clean, len(context), ends=ends)]
    tokens = np.array(answer, np.int32)
    for number, start in enumerate(_anchors(rng, len(context), len(answer), ends=ends), 1):
        block = _block(
            noisy,
            marks,
            tokens,
            context=len(context),
            start=start,
            number=number,
            block_size=block_size,
        )
        parts.append(block)
    parts += [_answer(context, *one, number) for number, one in enumerate(answers, 1)]
    return Rows(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Rows)))


def _clean(
    rng: np.random.Generator, marks: Marks, ids: NDArray[np.int32], context: int, *, ends: bool
) -> Rows:
    size = len(ids)
    labels = np.append(ids[1:], marks.eom).astype(np.int32)
    weight = ((rng.random(size) < CONTEXT_SHARE) * CONTEXT).astype(np.float32)
    weight[labels >= marks.first_special] = 0
    weight[size - 1] = 0
    if ends:
        weight[context - 1 : size - 1] = CAUSAL
        weight[max(context - 1, size - 4) : size - 2] = CAUSAL_BEFORE_END
        weight[size - 2] = CAUSAL_END
        weight[context - 1] = CAUSAL_FIRST  # an empty middle's end too: a blank must be sure
    position = np.arange(size, dtype=np.int32)
    none, free = np.full(size, -1, np.int32), np.zeros(size, np.float32)
    return Rows(ids, labels, position, position + 1, np.zeros(size, np.int32), weight, none, free)


def _answer(context: list[int], answer: list[int], cost: float, number: int) -> Rows:
    """Rows that say ``answer``; the first stands where the context's last row does."""
    labels = np.array(answer, np.int32)
    size, start = len(labels), len(context) - 1
    ids = np.append(context[-1:], labels[:-1]).astype(np.int32)
    position = np.arange(start, start + size, dtype=np.int32)
    limit, block = np.full(size, start, np.int32), np.full(size, -number, np.int32)
    none, weight = np.full(size, -1, np.int32), np.zeros(size, np.float32)
    costs = np.full(size, cost, np.float32)
    return Rows(ids, labels, position, limit, block, weight, none, costs)


def _anchors(rng: random.Random, context: int, answer: int, *, ends: bool) -> list[int]:
    """Where noisy blocks begin in the answer: at its front most often, else anywhere."""
    if not ends:
        return list(range(rng.randrange(16), max(1, answer - 32), 32))
    if answer == 1:
        return [0, 0]
    count = min(12, max(6, round(context / 55))) + (2 if answer > 33 else 0)
    return [0 if rng.random() < 0.45 else rng.randrange(answer - 1) for _ in range(count)]


def _block(
    rng: np.random.Generator,
    marks: Marks,
    answer: NDArray[np.int32],
    *,
    context: int,
    start: int,
    number: int,
    block_size: int,
) -> Rows:
    width = noise.width(rng, block_size)
    labels = np.full(width, marks.eom, np.int32)
    piece = answer[start : start + width]
    labels[: len(piece)] = piece
    tokens = int((labels != marks.eom).sum())
    state = noise.draw(rng, width, tokens)
    ids = np.where(state.wrong, _wrong(rng, labels, marks), labels)
    ids = np.where(state.masked, marks.mask, ids).astype(np.int32)
    at = np.arange(width, dtype=np.int32)
    limit = np.full(width, context + start, np.int32)
    number_of = np.full(width, number, np.int32)
    weight = _block_weight(state, width, tokens)
    teacher = np.where(state.masked & (at < len(piece)), context + start + at - 1, -1)
    position, free = context + start + at, np.zeros(width, np.float32)
    return Rows(ids, labels, position, limit, number_of, weight, teacher.astype(np.int32), free)


def _block_weight(state: noise.Noise, width: int, tokens: int) -> NDArray[np.float32]:
    before: NDArray[np.int64] = np.cumsum(state.masked) - state.masked
    fade = np.maximum(np.exp(-before / _FADE), _FADE_TO)
    weight = state.masked * MASKED * fade
    if tokens < width:
        weight[tokens] = MASKED_END * max(fade[tokens], 0.5)
        weight[tokens + 1 : tokens + 5] = BEHIND_END
        weight[tokens + 5 :] = FAR_BEHIND_END
    if state.edited:
        visible = ~state.masked
        weight[visible] = np.where(state.wrong, WRONG, VISIBLE)[visible]
    return np.asarray(weight, np.float32)


def _wrong(rng: np.random.Generator, tokens: NDArray[np.int32], marks: Marks) -> NDArray[np.int32]:
    """Wrong tokens as parallel decoding makes them: a neighbour's, another's, or any."""
    size = len(tokens)
    neighbour = np.roll(tokens, rng.choice([-1, 1]))
    other = tokens[rng.integers(0, size, size)]
    anything = rng.integers(0, marks.first_special, size)
    kind = rng.random(size)
    return np.where(kind < 0.4, neighbour, np.where(kind < 0.6, other, anything)).astype(np.int32)
