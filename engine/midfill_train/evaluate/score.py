"""Scores of answers against what stood there.

Owns the figures and their definitions. Knows neither models nor files.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher

from midfill_train.evaluate import syntax

_PAIRS = {")": "(", "]": "[", "}": "{"}


@dataclass(frozen=True, slots=True)
class Scored:
    """One answer beside the truth."""

    prefix: str
    middle: str
    suffix: str
    answer: str
    tokens: int
    forwards: int
    passes: int
    ended: bool
    language: str = ""


@dataclass(frozen=True, slots=True)
class Figures:
    """Shares (0..1) and means over many answers.

    Attributes
    ----------
    exact, similar
        The very text; mean edit similarity.
    first_line
        The first line is the very text.
    echoes
        Ends with the line that follows anyway.
    other_brackets
        Leaves brackets open or closed otherwise than the truth (``unbalanced`` in older results).
    parses
        No syntax error around the gap, among those where the truth leaves none; 0 without any.
    parses_of
        Those where the truth leaves none.
    duplicates_closer
        Ends with the closing bracket or quote that follows anyway, and the truth does not.
    unbalances
        Leaves brackets unpaired where those around the gap are paired with the truth.
    runs_away
        No end within the budget.
    blank
        Nothing where something is missing.
    forwards
        After the prefill.
    tokens_per_forward
        End marker and prefill counted.
    tokens_per_pass
        Tokens a verifying pass (self-speculation).
    """

    cuts: int
    exact: float
    similar: float
    first_line: float
    echoes: float
    other_brackets: float
    parses: float
    parses_of: int
    duplicates_closer: float
    unbalances: float
    runs_away: float
    blank: float
    tokens: float
    forwards: float
    tokens_per_forward: float
    tokens_per_pass: float

    def as_dict(self) -> dict[str, float]:
        """Rounded, for JSON."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


def figures(answers: Iterable[Scored]) -> Figures:
    """Figures over ``answers``, which must not be empty."""
    items = list(answers)
    count = len(items)

    def mean(values: Iterable[float]) -> float:
        return sum(values) / count

    whole = [a for a in items if a.language and syntax.parses(*_true(a))]
    written = sum(a.tokens + a.ended for a in items)
    passes = sum(a.passes for a in items)
    return Figures(
        cuts=count,
        exact=mean(a.answer == a.middle for a in items),
        similar=mean(similarity(a.answer, a.middle) for a in items),
        first_line=mean(_first_line(a.answer) == _first_line(a.middle) for a in items),
        echoes=mean(echoes(a.answer, a.middle, a.suffix) for a in items),
        other_brackets=mean(brackets(a.answer) != brackets(a.middle) for a in items),
        parses=sum(syntax.parses(*_filled(a)) for a in whole) / max(1, len(whole)),
        parses_of=len(whole),
        duplicates_closer=mean(
            syntax.duplicates_closer(a.answer, a.middle, a.suffix) for a in items
        ),
        unbalances=mean(
            bool(a.language)
            and syntax.unbalances(a.prefix, a.middle, a.answer, a.suffix, a.language)
            for a in items
        ),
        runs_away=mean(not a.ended for a in items),
        blank=mean(bool(a.middle.strip()) and not a.answer.strip() for a in items),
        tokens=mean(a.tokens for a in items),
        forwards=mean(a.forwards for a in items),
        tokens_per_forward=written / (sum(a.forwards for a in items) + count),
        tokens_per_pass=(written - count) / passes if passes else 0.0,
    )


def _true(a: Scored) -> tuple[str, str, str, str]:
    return a.prefix, a.middle, a.suffix, a.language


def _filled(a: Scored) -> tuple[str, str, str, str]:
    return a.prefix, a.answer, a.suffix, a.language


def similarity(answer: str, truth: str) -> float:
    """Edit similarity: 1 for equal texts, 0 for texts with nothing in common."""
    return SequenceMatcher(None, answer, truth, autojunk=False).ratio()


def echoes(answer: str, truth: str, suffix: str) -> bool:
    """Whether ``answer`` ends with the line that follows it anyway, and ``truth`` does not."""
    following = next((line.strip() for line in suffix.split("\n") if len(line.strip()) > 3), "")

    def ends(text: str) -> bool:
        return text.rstrip().split("\n")[-1].strip() == following

    return bool(following) and ends(answer) and not ends(truth)


def brackets(text: str) -> tuple[str, str]:
    """Brackets that ``text`` closes without having opened them, and those it leaves open."""
    closed, waiting = [], []
    for character in text:
        if character in "([{":
            waiting.append(character)
        elif character in _PAIRS:
            if waiting and waiting[-1] == _PAIRS[character]:
                waiting.pop()
            else:
                closed.append(character)
    return "".join(closed), "".join(waiting)


def _first_line(text: str) -> str:
    return text.split("\n", 1)[0].rstrip()
