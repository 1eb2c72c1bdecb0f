"""What does not fit between prefix and suffix."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midfill_engine.fill.around import WINDOW, Around


@pytest.mark.parametrize(
    ("prefix", "middle", "suffix", "alone"),
    [
        ("f(", "x", ")", 0),
        ("f(", "x)", ")", 1),
        ("f(", "x", "", 1),
        ("f(", "g(x", "))", 0),
        ("f(", "[x", ")", 1),
        ("{", ")", "}", 1),
        ("f(", "]", ")", 1),
        ("f", "(x", ")", 0),
        ("{", "", "} }", 1),
        ("{\n{", "}\n{", "}\n}", 0),
        ("a", "b", "c", 0),
    ],
)
def test_what_is_alone_is_counted(prefix, middle, suffix, alone):
    assert Around(prefix, suffix).unpaired(middle) == alone


def test_what_lies_beyond_the_window_may_pair_with_anything():
    far = "x" * WINDOW
    assert Around("{" + far, "}").unpaired("") == 0
    assert Around("{", far + "}").unpaired("") == 0
    assert Around("{", far[1:] + "}").unpaired("") == 0
    assert Around("{", "x").unpaired("") == 1
    assert Around(far + "(", "]").unpaired("") == 2


@pytest.mark.parametrize(
    ("middle", "suffix", "faults"),
    [
        ("b = 2345\n", "\n  c = 3456\n", 0),
        ("b = 2345\nc = 3456\n", "\n  c = 3456\n", 1),
        ("f(c = 3456", "c = 3456", 2),
        ("}\n", "}\n", 2),  # as brackets both, and no line that tells
        ("", "\n", 0),
    ],
)
def test_a_line_that_follows_anyway_is_a_fault(middle, suffix, faults):
    assert Around("", suffix).faults(middle) == faults


@pytest.mark.parametrize(
    ("prefix", "middle", "suffix", "faults"),
    [
        ("def f(x):\n    ", "if x:", "\n    return 1\n", 1),
        ("def f(x):\n    ", "if x:\n        pass", "\n    return 1\n", 0),
        ("def f(x):\n    i", "f x:", "\n        return 1\n", 0),  # its block is there
        ("", "def f(x):\n    for y in x:\n", "", 1),
        ("async ", "def f(x):", "\n", 1),
        ("x = ", "{1:", "}", 0),
        ("", "if x:\n", "    pass\n", 0),
        ("", "if x:\n    ", "pass\n", 0),
        ("  ", "if x:\n", "  pass\n", 1),
        ("", "if x:", " pass\n", 0),  # something stands behind it
        ("    else:\n", "", "    return\n", 0),  # it does not write the header
        ("", "format:\n", "", 0),
    ],
)
def test_a_header_without_its_block_is_a_fault(prefix, middle, suffix, faults):
    assert Around(prefix, suffix).faults(middle) == faults
    assert Around(prefix, suffix, single_line=True).faults(middle) == 0


@pytest.mark.parametrize(
    ("prefix", "middle", "suffix", "repeats"),
    [
        ("#", "de", "define X\n", True),
        ("#", "dx", "define X\n", False),
        ("encod", "ing. If", "ing.\n", True),
        ("encod", "ing", "ings.\n", True),
        ("encod", "ingly ", "ing.\n", False),
        ("encod.", "ing. If", "ing.\n", False),
        ("f(g(x", "y)", "y);\n", False),
        ("f(x", ")", ");\n", True),
        ("f(g(x", ")", ");\n", False),  # a bracket is missing, and this is it
        ("f(g(x", ")", ") + [\n", False),
        ("{a\n", "}\n", "}\nb\n", True),
        ("a", " ", " b", False),  # blank anyway
        ("a", "", "b", False),
        ("a", "b", "", False),
    ],
)
def test_what_the_suffix_begins_with_was_not_missing(prefix, middle, suffix, repeats):
    assert Around(prefix, suffix).repeats(middle) is repeats


code = st.text("([{}])a ", max_size=8)


@given(code, code, code, code)
def test_a_pair_more_changes_nothing(prefix, before, after, suffix):
    around = Around(prefix, suffix)
    assert around.unpaired(f"{before}[]{after}") == around.unpaired(before + after)


@given(st.text("([{a", max_size=4), code, st.text(")]}a", max_size=4))
def test_where_all_is_in_view_nothing_is_alone_just_where_all_pairs(prefix, middle, suffix):
    whole = pairs(prefix + middle + suffix) == 0
    assert (Around(prefix, suffix).unpaired(middle) == 0) == whole


def pairs(text: str) -> int:
    """How many are open at its end; below zero if a closer has no partner."""
    opened: list[str] = []
    for character in text:
        if character in "([{":
            opened.append(character)
        elif character in ")]}" and (
            not opened or opened.pop() + character not in ("()", "[]", "{}")
        ):
            return -1
    return len(opened)
