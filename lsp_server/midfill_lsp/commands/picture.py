"""How a completion is drawn in a terminal: what was there dim, what is new by confidence.

Owns shades, excerpts and the line of figures. Knows nothing of engines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from midfill_engine.wire import Fill, Token

#: (least confidence, style), surest first.
SHADES = ((0.9, "bold bright_green"), (0.7, "green"), (0.5, "yellow"), (0.0, "bright_red"))
#: A guess that the next step may change.
OPEN = "italic bright_black"
CONTEXT = "dim"

#: Marks of the middle where there are no colours.
LEFT, RIGHT = "├", "┤"


def shade(confidence: float) -> str:
    """Style of a token committed with this confidence."""
    return next(style for least, style in SHADES if confidence >= least)


def middle_text(tokens: Iterable[Token]) -> Text:
    """The tokens, each in its shade."""
    text = Text()
    for token in tokens:
        text.append(token.text, shade(token.confidence) if token.committed else OPEN)
    return text


def excerpt(prefix: str, suffix: str, above: int, below: int) -> tuple[str, str]:
    """The last lines of ``prefix`` and the first of ``suffix``, blank ones at the edges aside."""
    head = "".join(prefix.splitlines(keepends=True)[-above:]).lstrip("\n")
    tail = "".join(suffix.splitlines(keepends=True)[:below]).rstrip()
    return head, tail


def picture(prefix: str, middle: Text, suffix: str, *, marked: bool) -> Text:
    """Prefix, middle and suffix as one text; ``marked`` where colours do not show."""
    text = Text(prefix, CONTEXT)
    text.append(LEFT if marked else "")
    text.append_text(middle)
    text.append(RIGHT if marked else "")
    text.append(suffix, CONTEXT)
    return text


def legend() -> Text:
    """What the shades mean."""
    text = Text("confidence  ")
    for least, style in SHADES:
        text.append(f"≥ {least:.0%}  " if least else "less  ", style)
    text.append("not yet decided", OPEN)
    return text


def figures(fill: Fill) -> str:
    """Milliseconds, forwards, tokens a forward, and what the cache saved."""
    return (
        f"{fill.total_ms:,.0f} ms · {fill.nfe} forward{'s' * (fill.nfe != 1)} (NFE) · "
        f"{fill.tokens_per_forward:.1f} tokens per forward · "
        f"{fill.cached_tokens:,} of {fill.prompt_tokens:,} context tokens cached"
    )
