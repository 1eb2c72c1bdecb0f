from midfill_lsp.context.budget import ContextBudget
from midfill_lsp.context.cuts import Cuts
from midfill_lsp.context.window import build
from midfill_lsp.documents import DocumentSnapshot

ALIKE = """\
def load(path):
    with open(path) as file:
        data = json.load(file)
    return data
"""
OTHER = "class Colour(Enum):\n    RED = 1\n    GREEN = 2\n"
BUDGET = ContextBudget(snippet_share=0.3)


def document(name, text, offset=0, language="python"):
    return DocumentSnapshot(f"file:///src/{name}", 1, language, text, offset)


HERE = document("here.py", ALIKE.replace("load", "fetch", 1), 40)


def paths(window):
    return [snippet.path for snippet in window.snippets]


def test_off_by_default():
    assert build(HERE, neighbours=[document("a.py", ALIKE)], cuts=Cuts()).snippets == ()


def test_similar_files_of_the_same_language_in_order_of_their_paths():
    others = [
        document("z.py", ALIKE),
        document("b.py", OTHER),
        document("a.py", ALIKE + OTHER),
        document("c.go", ALIKE, language="go"),
        HERE,
    ]
    window = build(HERE, budget=BUDGET, neighbours=others, cuts=Cuts())
    assert paths(window) == ["/src/a.py", "/src/z.py"]


def test_the_choice_does_not_change_with_each_key():
    others = [document("a.py", ALIKE), document("z.py", ALIKE * 2)]
    text, offset, cuts = HERE.text, HERE.offset, Cuts()
    first = build(HERE, budget=BUDGET, neighbours=others, cuts=cuts).snippets
    for character in "value = 1":
        text = text[:offset] + character + text[offset:]
        offset += 1
        here = document("here.py", text, offset)
        assert build(here, budget=BUDGET, neighbours=others, cuts=cuts).snippets == first
