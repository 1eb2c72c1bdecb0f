"""The middle as it grows: settled tokens, the open hole behind them, and where it must stop.

Owns stop strings, line ends and the length limit, and turns tokens into wire types. Knows
neither models nor strategies.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from midfill_engine.fill.ending import Ending
from midfill_engine.hole import Hole, Placed
from midfill_engine.text.tokenizer import Tokenizer
from midfill_engine.wire import Draft, FillRequest, FinishReason, Middle, Token

#: Letters and digits of a line that does not stand anywhere by chance, as a bracket does.
TELLING = 4


@dataclass(slots=True)
class Canvas:
    """The state of one candidate middle.

    Attributes
    ----------
    placed
        Settled tokens, left to right.
    hole
        The open block behind them, while there is one.
    ended
        Whether the model closed the middle with its end marker.
    ending
        Where the middle had best ended so far, as far as that is known.
    """

    tokenizer: Tokenizer
    max_tokens: int
    stop: tuple[str, ...] = ()
    on_draft: Callable[[Draft], None] | None = None
    placed: list[Placed] = field(default_factory=list)
    hole: Hole | None = None
    ended: bool = False
    ending: Ending = field(default_factory=Ending)
    _steps: int = 0

    @property
    def room(self) -> int:
        """Tokens that may still be placed."""
        return self.max_tokens - len(self.placed)

    def write(self, tokens: Iterable[tuple[Placed, float]]) -> None:
        """Place tokens until it is decided where the middle ends.

        Parameters
        ----------
        tokens
            Each with how probable the end was in its stead.
        """
        for placed, end in tokens:
            if self.ending.decided:
                break
            self.ending.add(self.tokenizer.decode([placed.token]), placed.confidence, end)
            self.placed.append(placed)

    def cut_back(self) -> FinishReason:
        """End the middle where it had best ended; without such a place it has come to its limit."""
        if self.ending.place is None:
            return "length"
        del self.placed[self.ending.place :]
        self.ended = True
        return "end"

    def close(self) -> None:
        """Move what is settled in the hole to ``placed`` and drop the hole."""
        if self.hole is not None:
            self.placed.extend(self.hole.settled())
            self.hole = None

    def reached_stop(self) -> bool:
        """Whether the settled text contains a stop string."""
        if not self.stop:
            return False
        text = self.tokenizer.decode(p.token for p in self._settled())
        return any(stop in text for stop in self.stop)

    def report(self, guesses: Sequence[Placed] = ()) -> None:
        """Hand the present state to ``on_draft``, with ``guesses`` behind what is settled."""
        self._steps += 1
        if self.on_draft is None:
            return
        shown = [*self.placed, *guesses]
        flags = [True] * len(self.placed) + [False] * len(guesses)
        if self.hole is not None:
            hole = self.hole
            for n in range(hole.end):
                cell = hole.cells[n]
                if cell is None and n >= len(hole.guesses):
                    break
                shown.append(hole.guesses[n] if cell is None else cell)
                flags.append(cell is not None)
        # What stands behind the best end so far may have to go.
        self.on_draft(Draft(self._steps, self._tokens(shown, flags), self.ending.place))

    def middle(self, reason: FinishReason) -> Middle:
        """The settled text, cut at the first stop string, as a candidate."""
        settled = self._settled()
        tokens = self._tokens(settled, [True] * len(settled))
        text = "".join(token.text for token in tokens)
        cut = self.cut(text)
        if cut != text:
            tokens, reason = _cut(tokens, len(cut)), "stop"
        score = sum(math.log(max(p.confidence, 1e-9)) for p in settled) / max(len(settled), 1)
        return Middle(cut, tokens, score, reason)

    def cut(self, text: str) -> str:
        """``text`` up to its first stop string."""
        places = (at for stop in self.stop if (at := text.find(stop)) >= 0)
        return text[: min(places, default=len(text))]

    def text_of(self, placed: Iterable[Placed]) -> str:
        """The text of ``placed`` up to its first stop string."""
        return self.cut(self.tokenizer.decode(one.token for one in placed))

    def _settled(self) -> list[Placed]:
        return self.placed + (self.hole.settled() if self.hole is not None else [])

    def _tokens(self, placed: Sequence[Placed], committed: Iterable[bool]) -> tuple[Token, ...]:
        texts = self.tokenizer.texts(p.token for p in placed)
        return tuple(
            Token(text, round(p.confidence, 4), flag)
            for text, p, flag in zip(texts, placed, committed, strict=True)
        )


def stops_of(request: FillRequest) -> tuple[str, ...]:
    """The texts before which a middle of ``request`` ends: its own, and what it would repeat."""
    line_end = ("\n",) if request.single_line else ()
    follows = what_follows(request.suffix)
    return (*request.stop, *line_end, *((follows,) if follows else ()))


def what_follows(suffix: str) -> str:
    """The beginning of ``suffix`` that a middle would write again only if it had missed its end.

    Up to the end of the first line after the cursor's that says something; empty where none does.
    """
    at = suffix.find("\n")
    while at >= 0:
        end = suffix.find("\n", at + 1)
        line = suffix[at + 1 : end if end >= 0 else len(suffix)].rstrip()
        if says_something(line):
            return suffix[: at + 1] + line
        at = end
    return ""


def says_something(line: str) -> bool:
    """Whether ``line`` stands nowhere by chance, as a bracket does."""
    return sum(map(str.isalnum, line)) >= TELLING


def _cut(tokens: Sequence[Token], length: int) -> tuple[Token, ...]:
    """The first ``length`` characters of ``tokens``."""
    kept: list[Token] = []
    for token in tokens:
        if length <= 0:
            break
        kept.append(Token(token.text[:length], token.confidence, token.committed))
        length -= len(token.text)
    return tuple(kept)
