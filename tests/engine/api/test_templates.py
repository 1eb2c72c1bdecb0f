"""Prompts in the templates of other models are taken apart; code about them is not."""

import pytest

from midfill_engine.api.templates import taken_apart
from midfill_engine.wire import Snippet

BEFORE, AFTER = "def f(a, b):\n    return ", "\n\nf(1, 2)\n"


@pytest.mark.parametrize(
    "prompt",
    [
        "<|fim_prefix|>{0}<|fim_suffix|>{1}<|fim_middle|>",
        "<fim_prefix>{0}<fim_suffix>{1}<fim_middle>",
        "<|code_prefix|>{0}<|code_suffix|>{1}<|code_middle|>",
        "<｜fim▁begin｜>{0}<｜fim▁hole｜>{1}<｜fim▁end｜>",  # noqa: RUF001
        "<PRE> {0} <SUF>{1} <MID>",
        "[SUFFIX]{1}[PREFIX]{0}",
        "\n\n[SUFFIX]{1}[PREFIX]{0}",
    ],
)
def test_each_template_gives_prefix_and_suffix(prompt):
    parts = taken_apart(prompt.format(BEFORE, AFTER))
    assert parts == (BEFORE, AFTER, ())


def test_other_files_before_the_template_become_snippets():
    parts = taken_apart(
        "<|repo_name|>shop\n<|file_sep|>a.py\nx = 1\n<|file_sep|>b.py\ny = 2\n<|file_sep|>c.py\n"
        f"<|fim_prefix|>{BEFORE}<|fim_suffix|>{AFTER}<|fim_middle|>"
    )
    assert parts == (BEFORE, AFTER, (Snippet("a.py", "x = 1\n"), Snippet("b.py", "y = 2\n")))


def test_markers_of_the_file_itself_stay_in_it():
    code = 'MARK = "<|fim_prefix|>"\n'
    parts = taken_apart(f"<|fim_prefix|>{code}<|fim_suffix|>{AFTER}<|fim_middle|>")
    assert parts == (code, AFTER, ())


@pytest.mark.parametrize(
    "plain",
    [
        "",
        BEFORE,
        'PROMPT = "<|fim_prefix|>{a}<|fim_suffix|>{b}<|fim_middle|>',
        "<|fim_prefix|>a<|fim_suffix|>b<|fim_middle|> + ",
        "<|fim_suffix|>b<|fim_prefix|>a<|fim_middle|>",
        'x = "[SUFFIX]b[PREFIX]a',
    ],
)
def test_all_else_is_text_before_the_cursor(plain):
    assert taken_apart(plain) is None
