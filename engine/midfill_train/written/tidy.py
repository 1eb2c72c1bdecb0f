"""From what a chat model wrote to a source file: the definitions, and examples that are true.

Owns what is kept. An example that is wrong gets the right result where most are right, else the
whole text is dropped: its code does not do what its statement says.
"""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Sequence

from midfill_train.corpus import child
from midfill_train.corpus.examples import Example, defines, examples, results
from midfill_train.evaluate.syntax import parses

#: Where examples or a main program begin, behind the definitions.
_TAIL = re.compile(
    r"^(>>> |# *(doc)?tests?\b|# *(usage|examples?)\b|print\(|assert |if __name__|import doctest)",
    re.IGNORECASE | re.MULTILINE,
)
#: Lines of a file.
_LINES = (5, 80)
#: Examples that a file needs, and the share of them that has to be right as written.
_LEAST, _RIGHT = 2, 0.6
_KEPT = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)
#: Other ways to write an example than a doctest.
_STYLES = ("{0} == {1}", "{0} -> {1}", "{0} => {1}", "{0} returns {1}", "{0}  # {1}", "{0} ➞ {1}")


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


def brief(source: str) -> bool:
    """Whether no function of a Python file does more than its statement and one line."""
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    return all(_lines(node) < 2 for node in functions)


def restyled(source: str, rng: random.Random) -> str | None:
    """``source`` with its doctests written in another way; ``None`` if some take several lines."""
    lines, style = source.split("\n"), rng.choice(_STYLES)
    for example in reversed(examples(ast.parse(source))):
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
    while body and not defines(body[-1]):
        body.pop()
    if not body or not all(isinstance(node, _KEPT) for node in body):
        return None
    if any(len(node.body) == 1 and ast.get_docstring(node) for node in body if defines(node)):
        return None  # a statement without a solution
    source = "\n".join(text.split("\n")[: body[-1].end_lineno]) + "\n"
    found = examples(ast.parse(source))
    said = results(source, found) if len(found) >= _LEAST else None
    return _corrected(source, found, said) if said else None


def _corrected(source: str, found: Sequence[Example], said: list[str | None]) -> str | None:
    """``source`` with the results ``said``; an empty one is right, without one it was an error."""
    right = said.count("")
    if right < _RIGHT * len(said):
        return None
    lines, left = source.split("\n"), len(said)
    for example, result in reversed(list(zip(found, said, strict=True))):
        if result is None:
            del lines[example.at : example.end]
            left -= 1
        elif result:
            lines[example.want : example.end] = [_indent(lines[example.at]) + result]
    return "\n".join(lines) if left >= _LEAST else None


def _lines(function: ast.FunctionDef) -> int:
    """Lines of its body, the docstring not counted."""
    body = function.body[bool(ast.get_docstring(function)) :]
    return ((body[-1].end_lineno or 0) - body[0].lineno + 1) if body else 0


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]
