"""The rules must not harm a middle that is exactly right: real code, cut and filled with itself."""

import random
import re
import sysconfig
from pathlib import Path

from tests.lsp.shape.test_cases import middle_of

from midfill_engine.wire import Silence
from midfill_lsp.commands.languages import language_of
from midfill_lsp.context.cuts import Cuts
from midfill_lsp.context.window import build
from midfill_lsp.documents import DocumentSnapshot
from midfill_lsp.shape.pipeline import shape

REPOSITORY = Path(__file__).parents[3]
EXAMPLES = [*sorted((REPOSITORY / "examples").glob("*.*s")), REPOSITORY / "examples" / "lru.go"]
STDLIB = [Path(sysconfig.get_paths()["stdlib"], f"{name}.py") for name in ("ast", "heapq", "shlex")]
#: Code that says the same line twice cannot be told from an echo: a few are lost.
MOST_HARMED = 0.03


def cut(rng, text):
    """A piece of one to five lines, from a place where an editor would ask to a line's end."""
    lines = text.split("\n")
    while True:
        row = rng.randrange(len(lines))
        last = min(row + rng.choice([0, 0, 1, 2, 4]), len(lines) - 1)
        starts = [m.start() for m in re.finditer(r"(?<=\W)(?=\w)|(?<=^)(?=\S)", lines[row])]
        if not starts or not lines[last].strip():
            continue
        at = len("\n".join(lines[:row])) + (row > 0) + rng.choice(starts)
        end = len("\n".join(lines[: last + 1]).rstrip())
        if text[at:end].strip():
            return at, end


def harmed(path, text, at, end):
    document = text[:at] + text[end:]
    snapshot = DocumentSnapshot(path.as_uri(), 1, language_of(path.name), document, at)
    window = build(snapshot, cuts=Cuts())
    result = shape(middle_of(text[at:end]), window, sure_confidence=0.5)
    if isinstance(result, Silence):
        return True
    return text[:at] + result.text + document[at + result.replace_after :] != text


def test_right_middles_are_left_alone():
    rng = random.Random(1)
    total, wrong = 0, []
    for path in (*EXAMPLES, *STDLIB):
        text = path.read_text(encoding="utf-8")
        for _ in range(60):
            at, end = cut(rng, text)
            total += 1
            if harmed(path, text, at, end):
                wrong.append((path.name, text[at - 40 : at], text[at:end], text[end : end + 40]))
    assert total == 60 * 6
    assert len(wrong) <= MOST_HARMED * total, wrong
