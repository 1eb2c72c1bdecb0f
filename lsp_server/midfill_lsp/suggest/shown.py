"""What is known without asking: suggestions that the user types along with, or comes back to.

Owns a small memory of answers. An answer is found again when the text before the place where it
was given and the text after the cursor are the same, and what was typed since is how the answer
begins. Typing along, deleting back and moving away and back therefore cost no model call. Keeps
hashes of the surroundings, not their text; knows no networks.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midfill_engine.wire import Token

Source = Literal["model", "typed-along", "speculated"]

#: As much of the surroundings as decides an answer, code points: about what a model is shown.
BEFORE_CHARS, AFTER_CHARS = 8_000, 4_000
#: Answers remembered for one document.
CAPACITY = 64
#: What editors put after the cursor by themselves when the opening partner is typed.
AUTO_CLOSED = ")]}>\"'`"


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Text to put at the cursor, with what the model thinks of it.

    ``sure`` counts code points of ``text`` up to the first unsure token; ``replace_after`` counts
    code points after the cursor, on its line, that the text replaces. ``typed`` is how much of
    the answer was typed since it was given; ``hurried`` says that there was no time for all of it.
    """

    id: str
    text: str = field(repr=False)
    tokens: tuple[Token, ...] = field(repr=False)
    sure: int
    replace_after: int = 0
    ms: float = 0.0
    nfe: int = 0
    source: Source = "model"
    typed: int = 0
    hurried: bool = False

    def rest(self, length: int) -> Suggestion:
        """What is left of it once its first ``length`` code points are typed."""
        if not length:
            return self
        return replace(
            self,
            text=self.text[length:],
            tokens=_rest_of(self.tokens, length),
            sure=max(self.sure - length, 0),
            typed=self.typed + length,
        )

    def with_lf(self) -> Suggestion:
        """With LF where it has CRLF."""
        if "\r" not in self.text:
            return self
        tokens = tuple(replace(t, text=t.text.replace("\r\n", "\n")) for t in self.tokens)
        sure = len(self.text[: self.sure].replace("\r\n", "\n"))
        return replace(self, text=self.text.replace("\r\n", "\n"), tokens=tokens, sure=sure)

    def cut(self, length: int) -> Suggestion:
        """Its first ``length`` code points only; what stood after the cursor then stays."""
        kept, tokens = 0, []
        for token in self.tokens:
            text = token.text[: max(length - kept, 0)]
            kept += len(token.text)
            if text:
                tokens.append(replace(token, text=text))
        return replace(
            self,
            text=self.text[:length],
            tokens=tuple(tokens),
            sure=min(self.sure, length),
            replace_after=0,
        )


@dataclass(frozen=True, slots=True)
class _Answer:
    offset: int
    before: bytes
    after: bytes
    suggestions: tuple[Suggestion, ...]


class Known:
    """Answers of one document, the latest used last."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._answers: OrderedDict[tuple[bytes, bytes], _Answer] = OrderedDict()
        self._capacity = capacity

    def remember(self, text: str, offset: int, suggestions: Sequence[Suggestion]) -> None:
        """Keep what was answered at a cursor."""
        before, after = _before(text, offset), _after(text, offset)
        self._answers.pop((before, after), None)
        self._answers[before, after] = _Answer(offset, before, after, tuple(suggestions))
        while len(self._answers) > self._capacity:
            self._answers.popitem(last=False)

    def find(self, text: str, offset: int) -> tuple[Suggestion, ...]:
        """What is left of a known answer at this cursor, best first; empty if there is none.

        A bracket or quote that the editor closed by itself right after the cursor does not
        hide an answer that goes on to contain it: the suggestion then replaces it.
        """
        skips = [0]
        if text[offset : offset + 1] and text[offset] in AUTO_CLOSED:
            skips.append(1)
        for skip in skips:
            after = _after(text, offset + skip)
            for key, answer in reversed(self._answers.items()):
                if answer.after != after or not 0 <= offset - answer.offset <= BEFORE_CHARS:
                    continue
                left = _left_of(answer, text, offset, skip)
                if left and answer.before == _before(text, answer.offset):
                    self._answers.move_to_end(key)
                    return tuple(_reused(suggestion) for suggestion in left)
        return ()

    def clear(self) -> None:
        """Drop all answers."""
        self._answers.clear()

    def forget(self, suggestion_id: str) -> None:
        """Drop the answer that this suggestion is part of: it was dismissed or accepted."""
        for key, answer in list(self._answers.items()):
            if any(s.id == suggestion_id for s in answer.suggestions):
                del self._answers[key]


def agrees(typed: str, expected: str) -> bool:
    """Whether what was typed is how ``expected`` begins, but for a bracket that closed itself."""
    if expected.startswith(typed):
        return True
    return (
        len(typed) > 1
        and typed[-1] in AUTO_CLOSED
        and expected.startswith(typed[:-1])
        and typed[-1] in expected[len(typed) - 1 :]
    )


def certain(typed: str) -> str:
    """``typed`` without a bracket at its end that may have closed itself."""
    return typed[:-1] if len(typed) > 1 and typed[-1] in AUTO_CLOSED else typed


def typed_since(old: str, offset: int, new: str) -> str | None:
    """What was inserted at ``offset`` of ``old`` to make ``new``; ``None`` for any other edit."""
    grown = len(new) - len(old)
    if grown < 0 or not new.startswith(old[:offset]) or not new.endswith(old[offset:]):
        return None
    return new[offset : offset + grown]


def _left_of(answer: _Answer, text: str, offset: int, skip: int) -> tuple[Suggestion, ...]:
    typed = text[answer.offset : offset]
    left = []
    for suggestion in answer.suggestions:
        rest = suggestion.text[len(typed) :]
        if not rest or not suggestion.text.startswith(typed):
            continue
        if skip:
            if suggestion.replace_after or text[offset] not in rest.partition("\n")[0]:
                continue
            left.append(replace(suggestion.rest(len(typed)), replace_after=skip))
        else:
            left.append(suggestion.rest(len(typed)))
    return tuple(left)


def _reused(suggestion: Suggestion) -> Suggestion:
    source: Source = "typed-along"
    if suggestion.source == "speculated" and not suggestion.typed:
        source = "speculated"
    return replace(suggestion, source=source, nfe=0)


def _rest_of(tokens: Sequence[Token], length: int) -> tuple[Token, ...]:
    rest = []
    for token in tokens:
        if length < len(token.text):
            rest.append(replace(token, text=token.text[length:]))
        length = max(length - len(token.text), 0)
    return tuple(rest)


def _before(text: str, offset: int) -> bytes:
    return _digest(text[max(offset - BEFORE_CHARS, 0) : offset])


def _after(text: str, offset: int) -> bytes:
    return _digest(text[offset : offset + AFTER_CHARS])


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
