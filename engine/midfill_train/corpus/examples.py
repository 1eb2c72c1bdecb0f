"""The doctests of Python source, and what they return when it is run.

Owns how examples are found and compared. Knows neither who wrote the source nor what for.
"""

from __future__ import annotations

import ast
import doctest
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TypeGuard

from midfill_train.corpus import child

#: Seconds that the examples of a source may take, and characters of a result that is told.
SECONDS, _WIDTH = 1.5, 100
_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True, slots=True)
class Example:
    """A doctest: ``at`` and ``end`` are its lines in the file, the result from ``want`` on."""

    source: str
    expected: str
    at: int
    want: int
    end: int


def examples(tree: ast.Module) -> list[Example]:
    """The doctests of all docstrings, from the first line to the last."""
    found = [example for node in ast.walk(tree) for example in _of_node(node)]
    return sorted(found, key=lambda example: example.at)


def results(source: str, some: Sequence[Example]) -> list[str | None] | None:
    """What ``source``, run in a child process, says to each example: ``""`` as expected.

    Returns
    -------
    list or None
        ``None`` for an example that raises, or whose result is no short literal; ``None`` at all
        if the source does not run, or takes too long.
    """
    said: list[str | None] | None = child.run(_Results(some), source, SECONDS)
    return said


def defines(node: ast.AST) -> TypeGuard[ast.FunctionDef | ast.ClassDef]:
    """Whether ``node`` is what examples belong to: a function or a class."""
    return isinstance(node, ast.FunctionDef | ast.ClassDef)


@dataclass(frozen=True, slots=True)
class _Results:
    """Asks a module what its examples return."""

    examples: Sequence[Example]

    def __call__(self, module: ModuleType) -> list[str | None]:
        return [self._of(example, module) for example in self.examples]

    def _of(self, example: Example, module: ModuleType) -> str | None:
        try:
            result = eval(example.source, module.__dict__)  # noqa: S307 - in a child, with limits
            text = "" if result is None else repr(result)
            if doctest.OutputChecker().check_output(example.expected, f"{text}\n", _FLAGS):
                return ""
            plain = text and len(text) < _WIDTH and repr(ast.literal_eval(text)) == text
        except Exception:  # noqa: BLE001 - strange code may raise anything
            return None
        return text if plain and "\\" not in text else None


def _of_node(node: ast.AST) -> Iterator[Example]:
    if not defines(node):
        return
    text, first = ast.get_docstring(node, clean=False), node.body[0]
    if text is None:
        return
    try:
        found = doctest.DocTestParser().get_examples(text)
    except ValueError:
        return
    for one in found:
        at = first.lineno - 1 + one.lineno
        want = at + one.source.count("\n")
        yield Example(one.source, one.want, at, want, want + one.want.count("\n"))
