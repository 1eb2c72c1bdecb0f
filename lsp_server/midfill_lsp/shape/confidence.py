"""How sure the model is, and what a user who wants only sure text sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from midfill_engine.wire import Silence

if TYPE_CHECKING:
    from midfill_lsp.shape.candidate import Candidate


def sure_length(candidate: Candidate, least: float) -> int:
    """Characters before the first token whose confidence is below ``least``."""
    length = 0
    for token in candidate.tokens:
        if token.confidence < least:
            break
        length += len(token.text)
    return length


def held_back(candidate: Candidate, least: float) -> Candidate | Silence:
    """Only the sure beginning."""
    kept = candidate.keep(0, sure_length(candidate, least))
    if kept.text.strip():
        return kept
    return Silence("unsure", f"The model is less than {least:.0%} sure of its first word here.")


def sure_enough(candidate: Candidate, least: float) -> Candidate | Silence:
    """Say nothing where the tokens' mean confidence is below ``least``."""
    tokens = candidate.tokens
    mean = sum(token.confidence for token in tokens) / len(tokens) if tokens else 0.0
    if mean >= least:
        return candidate
    return Silence("unsure", f"The model is {mean:.0%} sure here; you ask for {least:.0%}.")
