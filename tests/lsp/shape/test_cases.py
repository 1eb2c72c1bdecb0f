"""Golden cases: what the model said, in its place, and what is shown."""

import tomllib
from pathlib import Path

import pytest

from midfill_engine.wire import Middle, Silence, Token
from midfill_lsp.context.syntax import scope_at
from midfill_lsp.context.window import ContextWindow
from midfill_lsp.shape.pipeline import shape

FILES = sorted(Path(__file__).with_name("cases").glob("*.toml"))
CASES = [
    pytest.param(case, id=f"{file.stem}: {case['name']}")
    for file in FILES
    for case in tomllib.loads(file.read_text(encoding="utf-8"))["case"]
]


def window_of(prefix, suffix, language):
    scope = scope_at(prefix + suffix, len(prefix), language)
    return ContextWindow(prefix, suffix, language=language, scope=scope)


def middle_of(text, confidences=(0.9,), finish="end"):
    """A middle of tokens of three characters."""
    parts = [text[n : n + 3] for n in range(0, len(text), 3)]
    tokens = tuple(Token(p, confidences[n % len(confidences)]) for n, p in enumerate(parts))
    return Middle(text, tokens, -0.1, finish)


def split(marked):
    prefix, rest = marked.split("├")
    text, suffix = rest.split("┤")
    return prefix, text, suffix


@pytest.mark.parametrize("case", CASES)
def test_case(case):
    prefix, text, suffix = split(case["given"])
    middle = middle_of(text, finish=case.get("finish", "end"))
    result = shape(middle, window_of(prefix, suffix, case["language"]), sure_confidence=0.5)
    if "silence" in case:
        assert isinstance(result, Silence), result
        assert result.code == case["silence"]
        return
    assert not isinstance(result, Silence), result
    assert prefix + "├" + result.text + "┤" + suffix == case["shown"]
    assert result.replace_after == case.get("replace_after", 0)
