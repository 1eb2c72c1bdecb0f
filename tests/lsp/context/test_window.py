import inspect
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midfill_lsp.context.budget import ContextBudget
from midfill_lsp.context.cuts import Cuts
from midfill_lsp.context.window import build, shown_path
from midfill_lsp.documents import DocumentSnapshot

SMALL = ContextBudget(tokens=300)
SOURCE = Path(inspect.__file__).read_text(encoding="utf-8")


def snapshot(text, offset, language="python", uri="file:///src/pkg/a.py"):
    return DocumentSnapshot(uri, 1, language, text, offset)


def at(text, mark):
    return text.index(mark) + len(mark)


def test_a_short_document_is_taken_whole():
    window = build(snapshot("a = 1\nb = 2\n", 6), cuts=Cuts())
    assert (window.prefix, window.suffix) == ("a = 1\n", "b = 2\n")
    assert window.complete


def test_imports_and_headers_stay_and_the_cut_is_at_a_declaration():
    methods = "".join(
        f"    def method_{n}(self, value):\n        total = value + {n}\n        return total\n\n"
        for n in range(60)
    )
    text = f"import os\nimport sys\n\n\nclass Ledger(Base):\n{methods}"
    offset = at(text, "total = value + 40\n        ret")
    window = build(snapshot(text, offset), budget=SMALL, cuts=Cuts())
    head = "import os\nimport sys\n\nclass Ledger(Base):\n\n    def method_"
    assert window.prefix.startswith(head)
    assert window.prefix.endswith("        ret")
    assert window.suffix.startswith("urn total\n")
    assert window.suffix.endswith("        return total\n")
    assert not window.complete
    assert len(window.prefix) + len(window.suffix) <= 300 * 3.6


def test_a_header_over_several_lines_stays_whole():
    body = "".join(f"        step_{n}(first)\n" for n in range(300))
    text = f"class A:\n    def run(\n        self, first: int,\n    ) -> None:\n{body}"
    window = build(snapshot(text, at(text, "step_250(")), budget=SMALL, cuts=Cuts())
    head = "class A:\n\n    def run(\n        self, first: int,\n    ) -> None:\n\n        step_"
    assert window.prefix.startswith(head)


def test_labels_are_no_headers():
    body = "".join(f"    step({n});\n" for n in range(300))
    text = f"struct A {{\nprivate:\n  int a;\n  void run() {{\n{body}  }}\n}};\n"
    window = build(snapshot(text, at(text, "step(250"), "cpp"), budget=SMALL, cuts=Cuts())
    assert window.prefix.startswith("struct A {\n\n  void run() {\n\n    step(")


@pytest.mark.parametrize("language", ["lua", "nonesuch", "plaintext"])
def test_other_languages_are_cut_at_lines(language):
    text = "".join(f"line number {n}\n" for n in range(500))
    window = build(
        snapshot(text, at(text, "line number 250\nli"), language), budget=SMALL, cuts=Cuts()
    )
    assert window.prefix.startswith("line number ")
    assert window.suffix.endswith("\n")
    assert window.prefix.endswith("line number 250\nli")


def test_one_endless_line_is_cut_anywhere_but_within_the_budget():
    text = "x" * 50_000
    window = build(snapshot(text, 30_000), budget=SMALL, cuts=Cuts())
    assert 0 < len(window.prefix) + len(window.suffix) <= 300 * 3.6


def test_typing_only_lengthens_the_prefix():
    cuts, text, offset = Cuts(), SOURCE, len(SOURCE) // 2
    before = build(snapshot(text, offset), cuts=cuts)
    # A line that is broken until its end, with an unclosed bracket and string.
    for character in '\n    value = compute(self, "a(b", [':
        text = text[:offset] + character + text[offset:]
        offset += 1
        window = build(snapshot(text, offset), cuts=cuts)
        assert window.prefix == before.prefix + character
        assert window.suffix == before.suffix
        before = window


def test_a_full_window_moves_once_and_then_holds_again():
    cuts, text, offset = Cuts(), SOURCE, len(SOURCE) // 2
    before, moves = build(snapshot(text, offset), cuts=cuts), 0
    for _ in range(300):
        text = text[:offset] + "x = 1\n" + text[offset:]
        offset += 6
        window = build(snapshot(text, offset), cuts=cuts)
        moves += not window.prefix.startswith(before.prefix)
        before = window
    assert 0 < moves <= 4


def test_an_edit_above_the_cut_makes_a_new_one():
    cuts, offset = Cuts(), len(SOURCE) // 2
    build(snapshot(SOURCE, offset), cuts=cuts)
    text = SOURCE.replace("import abc\n", "import abc\nimport zzz\n", 1)
    window = build(snapshot(text, offset + 11), cuts=cuts)
    assert "import zzz\n" in window.prefix


def test_a_jump_makes_a_new_cut():
    cuts = Cuts()
    build(snapshot(SOURCE, len(SOURCE) // 2), cuts=cuts)
    assert build(snapshot(SOURCE, 10), cuts=cuts).prefix == SOURCE[:10]
    far = build(snapshot(SOURCE, len(SOURCE) - 10), cuts=cuts)
    assert far.suffix == SOURCE[-10:]
    assert far.prefix.endswith(SOURCE[-200:-10])


def test_memory_is_bounded():
    cuts = Cuts(documents=2)
    for n in range(5):
        build(snapshot("x = 1\n", 3, uri=f"file:///{n}.py"), cuts=cuts)
    assert len(cuts) == 2


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_cursor_and_budget_hold_anywhere(data):
    language = data.draw(st.sampled_from(["python", "go", "nonesuch"]))
    lines = st.sampled_from(
        ["def f():\n", "    x = 1\n", "\n", "é🙂\n", "}\n", "func f() {\n", '"""']
    )
    text = "".join(data.draw(st.lists(lines, max_size=400)))
    offset = data.draw(st.integers(0, len(text)))
    window = build(snapshot(text, offset, language), budget=SMALL, cuts=Cuts())
    before, after = text[:offset], text[offset:]
    assert after.startswith(window.suffix)
    line = before[before.rfind("\n") + 1 :]
    assert window.prefix.endswith(line[-40:])
    assert len(window.prefix) + len(window.suffix) <= 300 * 3.6 + 4
    for run in window.prefix.split("\n\n"):
        assert run in before


@pytest.mark.parametrize(
    ("path", "roots", "shown"),
    [
        ("/src/pkg/a.py", ["/src"], "pkg/a.py"),
        ("/src/pkg/a.py", ["/src", "/src/pkg"], "a.py"),
        ("/src/pkg/a.py", ["/other"], "a.py"),
        ("/srcs/a.py", ["/src"], "a.py"),
        ("/r/a/b/c/d/e/f/g/h.py", ["/r"], "c/d/e/f/g/h.py"),
        ("", ["/src"], ""),
    ],
)
def test_shown_path(path, roots, shown):
    assert shown_path(path, roots) == shown


def test_budget_gives_what_one_side_does_not_need_to_the_other():
    budget = ContextBudget(tokens=1000, chars_per_token=4)
    assert budget.split(100_000, 100_000) == (3000, 1000)
    assert budget.split(100_000, 200) == (3800, 200)
    assert budget.split(500, 100_000) == (500, 3500)
    assert budget.split(500, 200) == (500, 200)
