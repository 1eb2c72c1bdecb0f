import subprocess
import sys

import pytest

from midfill_lsp.context import syntax
from midfill_lsp.context.syntax import Source, scope_at

SCOPES = [
    ("python", "x = f(|)", "code"),
    ("python", 'x = f("a|b")', "string"),
    ("python", 'x = f"{na|me}"', "code"),
    ("python", 'x = f"{name}|"', "string"),
    ("python", "# no|te", "comment"),
    ("python", "# note|\nx = 1", "comment"),
    ("python", "# note\n|x = 1", "code"),
    ("python", 'x = "abc"|', "code"),
    ("python", 'def f():\n    """Say.\n\n    mo|re\n    """\n', "string"),
    ("python", 'def f():\n    """Say.|\n\ndef g():\n    """Other."""\n', "string"),
    ("python", "x = (1, 'a|\ny = 2\n", "string"),
    ("typescriptreact", "const a = <p>don't sto|p</p>", "code"),
    ("typescript", "const a = `x ${b + |c} d`", "code"),
    ("typescript", "const a = `x ${b} |d`", "string"),
    ("javascript", "const a = b.replace(/'/g, |c)", "code"),
    ("go", "func f() {\n\t// no|te\n}", "comment"),
    ("rust", "fn f<'a>(x: &'a str) -> |", "code"),
    ("c", '#include <stdio.h>\nint main(void) { puts("h|i"); }', "string"),
    ("cpp", "auto x = R; /* a | b */", "comment"),
    ("java", 'class A { String s = "|"; }', "string"),
    ("lua", "-- no|te", "comment"),
]


@pytest.mark.parametrize(("language", "marked", "kind"), SCOPES)
def test_kind_of_scope(language, marked, kind):
    offset = marked.index("|")
    assert scope_at(marked.replace("|", ""), offset, language).kind == kind


def test_enclosing_constructs_outermost_first():
    text = "class A:\n    def f(self):\n        return 1\n        "
    assert scope_at(text, len(text), "python").enclosing == (
        "class_definition",
        "function_definition",
    )


def test_offsets_are_characters_not_bytes():
    text = 'a = "🙂é"  # é\nb = "x"\n'
    assert scope_at(text, text.index("x"), "python").kind == "string"
    assert scope_at(text, text.index("b ="), "python").kind == "code"


def test_pieces_are_whole_lines_with_the_comment_above():
    text = "import os\n\n# about f\n@wrap\ndef f():\n    return 1\n\nx = 2\n"
    source = Source(text, syntax.parse(text, "python"))
    top = [text[p.start : p.end] for p in source.pieces(0, len(text)) if p.depth == 0]
    assert top == ["import os\n", "# about f\n", "x = 2\n"]
    assert [text[p.start : p.end] for p in source.imports()] == ["import os\n"]


@pytest.mark.parametrize("language", syntax.GRAMMARS)
def test_every_grammar_loads_and_survives_broken_code(language):
    assert syntax.parse("}}} ((( \"\"\" ''' class def fn 🙂", language) is not None


def test_a_slab_begins_at_the_left_margin():
    text = "x = 1\n\n" * 6_000
    offset = len(text) - 3
    start = syntax.slab_start(text, offset)
    assert offset - syntax.SLAB_BEFORE <= start < offset
    assert text[start - 1] == "\n"
    assert text[start] == "x"
    assert syntax.slab_start("y" * 50_000, 50_000) == 50_000 - syntax.SLAB_BEFORE


def test_grammars_are_imported_when_met():
    code = (
        "import sys, midfill_lsp.context.window as w;"
        "assert not [m for m in sys.modules if m.startswith('tree_sitter_')];"
        "from midfill_lsp.context.syntax import parse; parse('', 'go');"
        "assert [m for m in sys.modules if m.startswith('tree_sitter_')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
