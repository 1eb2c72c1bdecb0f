"""Closing brackets that would leave the document unbalanced.

A middle may close what stands open before the cursor as long as every closer behind the cursor
still finds its opener. A closer that the editor put behind the cursor by itself is replaced where
the text goes on behind it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from midfill_lsp.context import lexical
from midfill_lsp.context.lexical import BRACKETS, CLOSERS, Bracket
from midfill_lsp.shape.candidate import line_after
from midfill_lsp.shape.single_line import AUTO_CLOSED

if TYPE_CHECKING:
    from midfill_lsp.context.window import ContextWindow
    from midfill_lsp.shape.candidate import Candidate


def balanced(candidate: Candidate, window: ContextWindow) -> Candidate:
    """Cut at the last closer that leaves a fitting text, or replace those behind the cursor."""
    text, state = candidate.text, _Around.of(window)
    if fits(text, window):
        return replace(candidate, replace_after=0)
    rest = line_after(window.suffix).rstrip()
    if _says_again(text, rest, state) and state.after(rest).takes(text):
        return replace(candidate, replace_after=len(rest))
    cuts = [closer.offset for closer in state.closers_of(text)]
    cut = max((at for at in cuts if state.takes(text[:at])), default=0)
    return replace(candidate.keep(0, cut), replace_after=0)


def fits(text: str, window: ContextWindow) -> bool:
    """Whether every closer behind the cursor still finds its opener."""
    if window.scope.kind != "code" or not lexical.is_code(window.language):
        return True
    if lexical.kind_at_end(text, window.language) != "code":
        return True  # what follows is then part of a string or comment
    return _Around.of(window).takes(text)


class _Opener(NamedTuple):
    character: str
    indent: str


class _Closer(NamedTuple):
    """A closer behind the cursor; ``indent`` where it begins a line, as its opener's line does."""

    character: str
    indent: str | None


@dataclass(frozen=True, slots=True)
class _Around:
    """Openers before the cursor, outermost first, and closers behind it, in order.

    ``depth`` is how far the line that follows is indented where the end of its block is out of
    sight, else 0: as many blocks as hold it now must hold it afterwards.
    """

    window: ContextWindow
    openers: tuple[_Opener, ...]
    closers: tuple[_Closer, ...]
    depth: int

    @classmethod
    def of(cls, window: ContextWindow) -> _Around:
        prefix, suffix, language = window.prefix, window.suffix, window.language
        left = lexical.unmatched(lexical.brackets(prefix, language))[1]
        openers = tuple(_Opener(b.character, _indent_of_line(prefix, b.offset)) for b in left)
        right = lexical.unmatched(lexical.brackets(suffix, language))[0]
        whole, at = prefix + suffix, len(prefix)
        closers = tuple(_closer(whole, at + b.offset, b.character, openers) for b in right)
        return cls(window, openers, closers, _depth(window))

    def after(self, rest: str) -> _Around:
        """The same without ``rest``, with which the suffix begins."""
        return _Around.of(replace(self.window, suffix=self.window.suffix[len(rest) :]))

    def takes(self, text: str) -> bool:
        """Whether ``text`` leaves no more closers without an opener than there were."""
        closers, own = lexical.unmatched(lexical.brackets(text, self.window.language))
        stack = list(self.openers)
        for closer in closers:
            if not stack or stack[-1].character != CLOSERS[closer.character]:
                return False
            stack.pop()
        whole, at = self.window.prefix + text, len(self.window.prefix)
        stack += [_Opener(b.character, _indent_of_line(whole, at + b.offset)) for b in own]
        before = list(self.openers)
        blocks = sum(o.character == "{" and len(o.indent) < self.depth for o in before)
        if sum(len(o.indent) < self.depth for o in stack) < blocks:
            return False
        return self._unmatched(stack) <= self._unmatched(before)

    def closers_of(self, text: str) -> list[Bracket]:
        """Closers of ``text`` whose openers are not in it."""
        return lexical.unmatched(lexical.brackets(text, self.window.language))[0]

    def _unmatched(self, stack: list[_Opener]) -> int:
        """Closers that find no opener, when each takes the innermost one it can."""
        missing, height = 0, len(stack)
        for closer in self.closers:
            at = height - 1
            while at >= 0 and not _match(stack[at], closer):
                at -= 1
            if at < 0:
                missing += 1
            else:
                height = at
        return missing


def _match(opener: _Opener, closer: _Closer) -> bool:
    same = closer.indent is None or closer.indent == opener.indent
    return same and BRACKETS[opener.character] == closer.character


def _closer(whole: str, offset: int, character: str, openers: tuple[_Opener, ...]) -> _Closer:
    indent = whole[whole.rfind("\n", 0, offset) + 1 : offset]
    # Code that is indented in another way is matched by kind alone.
    strict = not indent.strip() and _Opener(CLOSERS[character], indent) in openers
    return _Closer(character, indent if strict else None)


def _depth(window: ContextWindow) -> int:
    if window.complete or line_after(window.suffix).strip():
        return 0
    below = next((line for line in window.suffix.split("\n")[1:] if line.strip()), "")
    return len(_indent_of_line(below, len(below)))


def _says_again(text: str, rest: str, state: _Around) -> bool:
    """Whether ``text`` closes with all of ``rest``, the line behind the cursor, and goes on."""
    if not rest or not AUTO_CLOSED.issuperset(rest):
        return False
    closing = rest[: len(rest) - len(rest.lstrip(")]}"))]
    closers = state.closers_of(text)[-len(closing) :] if closing else []
    if "".join(closer.character for closer in closers) != closing:
        return False
    goes_on = text[closers[-1].offset + 1 :] if closers else ""
    return bool(goes_on.strip()) and goes_on.startswith(rest[len(closing) :])


def _indent_of_line(text: str, offset: int) -> str:
    line = text[text.rfind("\n", 0, offset) + 1 : offset]
    return line[: len(line) - len(line.lstrip())]
