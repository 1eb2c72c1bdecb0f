"""From what a chat model wrote to a source file: the definitions, and examples that are true.

Owns what is kept. An example that is wrong gets the right result where most are right, else the
whole text is dropped: its code does not do what its statement says.
"""

from __future__ import annotations

import ast
import doctest
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import TypeGuard

from midfill_train.corpus import child
from midfill_train.evaluate.syntax import parses

#: Where examples or a main program begin, behind the definitions.
_TAIL = re.compile(
    r"^(>>> |# *(doc)?tests?\b|# *(usage|examples?)\b|print\(|assert |if __name__|import doctest)",
    re.IGNORECASE | re.MULTILINE,
)
#: Lines of a file, seconds its examples may take, characters of a result.
_LINES, _SECONDS, _WIDTH = (5, 80), 1.5, 100
#: Examples that a file needs, and the share of them that has to be right as written.
_LEAST, _RIGHT = 2, 0.6
_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
_KEPT = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)
#: Other ways to write an example than a doctest.
_STYLES = ("{0} == {1}", "{0} -> {1}", "{0} => {1}", "{0} returns {1}", "{0}  # {1}", "{0} ➞ {1}")


@dataclass(frozen=True, slots=True)
class _Example:
    """A doctest: ``at`` and ``end`` are its lines in the file, the result from ``want`` on."""

    source: str
    expected: str
    at: int
    want: int
    end: int


def tidy(text: str | None, language: str) -> str | None:
    """``text`` as a source file; ``None`` if it is none to learn from, or was none."""
    if text is None:
        return None
    if language == "python":
        text = _python(text) or ""
    text = text.strip() + "\n"
    if not _LINES[0] <= text.count("\n") <= _LINES[1] or not parses("", text, "", language):
        return None
    return text


def restyled(source: str, rng: random.Random) -> str | None:
    """``source`` with its doctests written in another way; ``None`` if some take several lines."""
    lines, style = source.split("\n"), rng.choice(_STYLES)
    for example in reversed(_examples(source)):
        if example.end - example.at != 2:
            return None
        said = style.format(example.source.strip(), example.expected.strip())
        lines[example.at : example.end] = [_indent(lines[example.at]) + said]
    return "\n".join(lines)


def _python(text: str) -> str | None:
    """The definitions of ``text`` with examples that are right."""
    tail = _TAIL.search(text)
    text = text[: tail.start()] if tail else text
    tree = child.parse(text)
    if tree is None:
        return None
    body = tree.body
    while body and not _defines(body[-1]):
        body.pop()
    if not body or not all(isinstance(node, _KEPT) for node in body):
        return None
    if any(len(node.body) == 1 and ast.get_docstring(node) for node in body if _defines(node)):
        return None  # a statement without a solution
    source = "\n".join(text.split("\n")[: body[-1].end_lineno]) + "\n"
    examples = _examples(source)
    said = child.run(_Results(examples), source, _SECONDS) if len(examples) >= _LEAST else None
    return _corrected(source, examples, said) if said else None


def _corrected(source: str, examples: list[_Example], said: list[str | None]) -> str | None:
    """``source`` with the results ``said``; an empty one is right, without one it was an error."""
    right = said.count("")
    if right < _RIGHT * len(said):
        return None
    lines, left = source.split("\n"), len(said)
    for example, result in reversed(list(zip(examples, said, strict=True))):
        if result is None:
            del lines[example.at : example.end]
            left -= 1
        elif result:
            lines[example.want : example.end] = [_indent(lines[example.at]) + result]
    return "\n".join(lines) if left >= _LEAST else None


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


@dataclass(frozen=True, slots=True)
class _Results:
    """Asks a module what its examples return: ``""`` as expected, ``None`` an error."""

    examples: list[_Example]

    def __call__(self, module: ModuleType) -> list[str | None]:
        return [self._of(example, module) for example in self.examples]

    def _of(self, example: _Example, module: ModuleType) -> str | None:
        try:
            result = eval(example.source, module.__dict__)  # noqa: S307 - in a child, with limits
            text = "" if result is None else repr(result)
            if doctest.OutputChecker().check_output(example.expected, f"{text}\n", _FLAGS):
                return ""
            plain = text and len(text) < _WIDTH and repr(ast.literal_eval(text)) == text
        except Exception:  # noqa: BLE001 - strange code may raise anything
            return None
        return text if plain and "\\" not in text else None


def _examples(source: str) -> list[_Example]:
    """The doctests of all docstrings in ``source``, from the first line to the last."""
    found = [example for node in ast.walk(ast.parse(source)) for example in _of_node(node)]
    return sorted(found, key=lambda example: example.at)


def _defines(node: ast.AST) -> TypeGuard[ast.FunctionDef | ast.ClassDef]:
    return isinstance(node, ast.FunctionDef | ast.ClassDef)


def _of_node(node: ast.AST) -> Iterator[_Example]:
    if not _defines(node):
        return
    text, first = ast.get_docstring(node, clean=False), node.body[0]
    if text is None:
        return
    try:
        examples = doctest.DocTestParser().get_examples(text)
    except ValueError:
        return
    for one in examples:
        at = first.lineno - 1 + one.lineno
        want = at + one.source.count("\n")
        yield _Example(one.source, one.want, at, want, want + one.want.count("\n"))
