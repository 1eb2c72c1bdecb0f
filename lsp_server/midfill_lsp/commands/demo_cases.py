"""The cursors that `midfill demo` completes: real files with a real piece taken out.

Owns which files and where. A file that this machine lacks, or that has another text in its Python
release, is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from midfill_lsp.commands.languages import language_of

#: Where the repository keeps its example files; absent in an installed wheel.
EXAMPLES = Path(__file__).parents[3] / "examples"


@dataclass(frozen=True, slots=True)
class Spot:
    """A cursor in a file: behind ``before``, where ``was`` stood and is taken out.

    ``source`` names a module whose file it is, or a file of the examples.
    """

    what: str
    source: str
    before: str
    was: str


@dataclass(frozen=True, slots=True)
class Case:
    """A file cut at a cursor."""

    what: str
    path: Path
    text: str
    offset: int
    was: str

    @property
    def language(self) -> str:
        """Language identifier of the file."""
        return language_of(self.path.name)


SPOTS = (
    Spot(
        "the rest of a line",
        "midfill_lsp.context.neighbours",
        "    union = len(left | right)\n    return ",
        "len(left & right) / union if union else 0.0",
    ),
    Spot(
        "between brackets",
        "textwrap",
        "    w = TextWrapper(",
        "width=width, max_lines=1, **kwargs",
    ),
    Spot(
        "the body of a function",
        "shlex",
        '"""Return a shell-escaped string from *split_command*."""\n    ',
        "return ' '.join(quote(arg) for arg in split_command)",
    ),
    Spot(
        "several lines, Go",
        "lru.go",
        "\telement, ok := c.items[key]\n\t",
        "if !ok {\n\t\tvar zero V\n\t\treturn zero, false\n\t}",
    ),
    Spot(
        "a branch, Rust",
        "spans.rs",
        "        let end = min(self.end, other.end);\n        ",
        "if start < end {\n            Some(Span::new(start, end))\n        } else {\n"
        "            None\n        }",
    ),
    Spot(
        "an argument, TypeScript",
        "debounce.ts",
        "    handle = clock.set(",
        "run, ms",
    ),
)


def cases() -> list[Case]:
    """The cursors whose files are here."""
    return [case for spot in SPOTS if (case := _case(spot))]


def _case(spot: Spot) -> Case | None:
    path = _file(spot.source)
    if path is None:
        return None
    text = path.read_text(encoding="utf-8")
    at = text.find(spot.before + spot.was)
    if at < 0:
        return None
    offset = at + len(spot.before)
    rest = text[offset + len(spot.was) :]
    return Case(spot.what, path, text[:offset] + rest, offset, spot.was)


def _file(source: str) -> Path | None:
    example = EXAMPLES / source
    if example.is_file():
        return example
    if Path(source).suffix in (".go", ".rs", ".ts"):
        return None
    found = find_spec(source)
    return Path(found.origin) if found and found.origin else None
