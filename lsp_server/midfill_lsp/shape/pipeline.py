"""From a middle to what is shown: the rules in their order.

Owns the order of the rules and the form of the result. Each rule is a pure function in a file of
its own and only ever trims, respells blank space or falls silent: what the user has written is
never changed. Knows neither LSP nor the engine.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from midfill_engine.wire import Silence, Token
from midfill_lsp.shape import (
    blank,
    brackets,
    confidence,
    indentation,
    line_ends,
    repeated_prefix,
    repeated_suffix,
    repetition,
    single_line,
)
from midfill_lsp.shape.candidate import Candidate

if TYPE_CHECKING:
    from collections.abc import Callable

    from midfill_engine.wire import Middle
    from midfill_lsp.context.window import ContextWindow

    Rule = Callable[[Candidate, ContextWindow], Candidate | Silence]

#: Each rule sees what the ones before it left.
RULES: tuple[Rule, ...] = (
    repeated_prefix.restarted_line,
    repeated_suffix.following_lines,
    repetition.looped,
    single_line.first_line,
    indentation.same_unit,
    indentation.fresh_line,
    repeated_suffix.rest_of_line,
    brackets.balanced,
    blank.trailing,
    repeated_prefix.repeated_lines,
    blank.visible,
)
#: A trimmed text can give an earlier rule something to do; every round makes it shorter.
MAX_ROUNDS = 8


@dataclass(frozen=True, slots=True)
class Shaped:
    """What is shown.

    ``tokens`` join to ``text``; ``sure`` is the length, in code points, of the part before the
    first unsure token; ``replace_after`` code points right of the cursor, on its line, give way
    to the text, which contains them.
    """

    text: str = field(repr=False)
    tokens: tuple[Token, ...] = field(repr=False)
    sure: int
    replace_after: int = 0


def shape(
    middle: Middle,
    window: ContextWindow,
    *,
    sure_confidence: float,
    hold_back: bool = False,
    least_confidence: float = 0.0,
) -> Shaped | Silence:
    """Fit ``middle`` into ``window``.

    Parameters
    ----------
    sure_confidence
        Confidence from which a token counts as sure, 0 to 1.
    hold_back
        Show only what stands before the first unsure token.
    least_confidence
        Mean confidence below which nothing is shown, 0 to 1.
    """
    whole = line_ends.plain(Candidate.of(middle))
    candidate = confidence.held_back(whole, sure_confidence) if hold_back else whole
    if isinstance(candidate, Candidate):
        candidate = _settled(candidate, line_ends.plain_window(window))
    if isinstance(candidate, Candidate):
        candidate = confidence.sure_enough(candidate, least_confidence)
    if isinstance(candidate, Silence):
        return candidate
    if line_ends.uses_crlf(window):
        candidate = line_ends.with_crlf(candidate)
    sure = confidence.sure_length(candidate, sure_confidence)
    return Shaped(candidate.text, candidate.tokens, sure, candidate.replace_after)


def _settled(candidate: Candidate, window: ContextWindow) -> Candidate | Silence:
    for _ in range(MAX_ROUNDS):
        before = candidate
        for rule in RULES:
            result = rule(candidate, window)
            if isinstance(result, Silence):
                return result
            candidate = result
        if candidate == before:
            break
    return candidate
