"""What an answer costs beside the true one: 0 for the very text, 1 for nothing in common.

Owns the measure that a model is taught to prefer by. It reads characters, for it is asked often.
"""

from __future__ import annotations

from collections.abc import Sequence

from midfill_engine.fill.around import Around
from midfill_train.data.answered import Answered
from midfill_train.data.pack import Drawn
from midfill_train.evaluate.score import echoes, similarity

#: What is added for a middle that is not the very text, however similar.
OTHER = 0.5
#: What faults add: brackets that find no partner, a repeated next line, no text, no end.
UNBALANCED, ECHOED, BLANK, ENDLESS = 0.5, 0.5, 0.25, 0.5


def cost(prefix: str, truth: str, answer: str, suffix: str, *, ended: bool) -> float:
    """The cost of ``answer`` between ``prefix`` and ``suffix``, where ``truth`` stood."""
    if answer == truth and ended:
        return 0.0
    around = Around(prefix, suffix)
    total = OTHER + (1 - OTHER) * (1 - similarity(answer, truth))
    total += UNBALANCED * (around.unpaired(answer) > around.unpaired(truth))
    total += ECHOED * echoes(answer, truth, suffix)
    total += BLANK * (not answer.strip())
    return total + ENDLESS * (not ended)


def graded(
    drawn: Drawn, truth: list[int], answers: Sequence[list[int]], texts: Sequence[tuple[str, bool]]
) -> Answered:
    """The true middle and those of ``answers`` that differ from it and from each other.

    Parameters
    ----------
    truth
        With the end marker, as ``answers`` that ended.
    texts
        Of each answer its text, and whether it ended.
    """
    cut, kept, costs, known = drawn.cut, [truth], [0.0], {drawn.cut.middle}
    for ids, (text, ended) in zip(answers, texts, strict=True):
        if text not in known:
            known.add(text)
            kept.append(ids)
            costs.append(cost(cut.prefix, cut.middle, text, cut.suffix, ended=ended))
    return Answered(drawn.context, kept, costs)
