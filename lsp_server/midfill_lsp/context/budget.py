"""How much text may surround the cursor.

Owns the size of prefix and suffix and the estimate of characters a token. Knows no languages.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ContextBudget:
    """Room for the text around the cursor.

    Parameters
    ----------
    tokens
        Prefix, suffix and snippets together. The shipped model saw contexts of up to 2,200
        tokens; a first request reads all of them, later ones what has changed.
    prefix_share
        The prefix's share of it; what the suffix does not need is added.
    chars_per_token
        Estimate for code. Measured by the vocabulary at 3.6 over seven languages.
    snippet_share
        Part of ``tokens`` that code of other files may take; 0 takes none, which is what the
        shipped model was trained with.
    """

    tokens: int = 1500
    prefix_share: float = 0.75
    chars_per_token: float = 3.6
    snippet_share: float = 0.0

    @property
    def snippet_chars(self) -> int:
        """Room for code of other files, in characters."""
        return int(self.tokens * self.chars_per_token * self.snippet_share)

    def split(self, before: int, after: int) -> tuple[int, int]:
        """Characters for prefix and suffix, where ``before`` and ``after`` are there."""
        total = int(self.tokens * self.chars_per_token) - self.snippet_chars
        prefix = int(total * self.prefix_share)
        suffix = total - prefix
        if before < prefix:
            return before, min(after, total - before)
        if after < suffix:
            return min(before, total - after), after
        return prefix, suffix
