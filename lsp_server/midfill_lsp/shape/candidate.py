"""A middle on its way to the screen: text and tokens that always say the same.

Owns cutting and splicing that keep the confidences where they belong. Knows no rules.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from midfill_engine.wire import FinishReason, Middle, Token


@dataclass(frozen=True, slots=True)
class Candidate:
    """Text with its tokens, which join to it.

    ``replace_after`` characters right of the cursor, all on its line, give way to the text.
    """

    text: str = field(repr=False)
    tokens: tuple[Token, ...] = field(repr=False)
    finish: FinishReason = "end"
    replace_after: int = 0

    @classmethod
    def of(cls, middle: Middle) -> Candidate:
        """The candidate that a middle starts as.

        Tokens that do not join to the text (a character split between two of them) become one,
        as sure as the least sure of them.
        """
        tokens = tuple(token for token in middle.tokens if token.text)
        if "".join(token.text for token in tokens) != middle.text:
            least = min((token.confidence for token in middle.tokens), default=0.0)
            tokens = (Token(middle.text, least),) if middle.text else ()
        return cls(middle.text, tokens, middle.finish_reason)

    def keep(self, start: int, end: int) -> Candidate:
        """Only ``text[start:end]``."""
        return self.splice(end, len(self.text), "").splice(0, start, "")

    def splice(self, start: int, end: int, new: str) -> Candidate:
        """Put ``new`` in the place of ``text[start:end]``; it is as sure as what stood there."""
        if self.text[start:end] == new:
            return self
        tokens: list[Token] = []
        at, pending = 0, new
        for token in self.tokens:
            stop = at + len(token.text)
            left = token.text[: max(0, start - at)]
            right = token.text[max(0, end - at) :]
            here = pending if start < stop or stop == len(self.text) else ""
            pending = "" if here else pending
            if left or here or right:
                tokens.append(replace(token, text=left + here + right))
            at = stop
        return replace(self, text=self.text[:start] + new + self.text[end:], tokens=tuple(tokens))


def line_before(prefix: str) -> str:
    """The cursor's line up to the cursor."""
    return prefix[prefix.rfind("\n") + 1 :]


def line_after(suffix: str) -> str:
    """The cursor's line from the cursor on."""
    return suffix.partition("\n")[0]


def substance(text: str) -> int:
    """Letters and digits in ``text``: what two lines must share to be told alike."""
    return sum(map(str.isalnum, text))


def is_word(character: str) -> bool:
    """Whether a character, or none, is part of a word."""
    return character.isalnum() or character == "_"
