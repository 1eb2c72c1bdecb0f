"""What an answer costs beside the true one: 0 for the very text, 1 for nothing in common.

Owns the measure that a model is taught to prefer by. It reads characters, for it is asked often.
"""

from __future__ import annotations

from collections.abc import Sequence

from midfill_engine.fill.around import Around
from midfill_train.answers.tested import Program
from midfill_train.data.answered import Answered
from midfill_train.data.cuts import Cut
from midfill_train.data.pack import Drawn
from midfill_train.evaluate.score import echoes, similarity

#: What is added for a middle that is not the very text, however similar: of a program without
#: tests, or with tests that hold, or that fail.
OTHER, RIGHT, WRONG = 0.5, 0.0, 1.0
#: What faults add: brackets that find no partner, a repeated next line, no text, no end.
UNBALANCED, ECHOED, BLANK, ENDLESS = 0.5, 0.5, 0.25, 0.5


class Costs:
    """The costs of answers to ``cut``; those that pass the examples of ``program`` cost little."""

    def __init__(self, cut: Cut, program: Program | None = None) -> None:
        self._truth, self._suffix, self._program = cut.middle, cut.suffix, program
        self._around = Around(cut.prefix, cut.suffix)
        self._unpaired = self._around.unpaired(cut.middle)

    def of(self, answer: str, *, ended: bool) -> float:
        """The cost of one answer."""
        if answer == self._truth and ended:
            return 0.0
        total = self._other(answer) + (1 - OTHER) * (1 - similarity(answer, self._truth))
        total += UNBALANCED * (self._around.unpaired(answer) > self._unpaired)
        total += ECHOED * echoes(answer, self._truth, self._suffix)
        total += BLANK * (not answer.strip())
        return total + ENDLESS * (not ended)

    def _other(self, answer: str) -> float:
        if self._program is None:
            return OTHER
        return RIGHT if self._program.holds(answer) else WRONG


def graded(
    drawn: Drawn,
    truth: list[int],
    answers: Sequence[list[int]],
    texts: Sequence[tuple[str, bool]],
    *,
    tested: bool = False,
) -> Answered:
    """The true middle and those of ``answers`` that differ from it and from each other.

    Parameters
    ----------
    truth
        With the end marker, as ``answers`` that ended.
    texts
        Of each answer its text, and whether it ended.
    tested
        Whether the cut's program is run with each answer: it was drawn as one that tells.
    """
    kept, costs, known = [truth], [0.0], {drawn.cut.middle}
    between = Costs(drawn.cut, Program.read(drawn.cut) if tested else None)
    for ids, (text, ended) in zip(answers, texts, strict=True):
        if text not in known:
            known.add(text)
            kept.append(ids)
            costs.append(between.of(text, ended=ended))
    return Answered(drawn.context, kept, costs)
