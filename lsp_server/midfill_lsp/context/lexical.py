"""Comments, strings and brackets by one regular expression a language.

Owns the lexical forms of the languages and the scan of a piece of text into regions. Works from
left to right and needs no valid code, so it also serves where a parser gives up and for languages
without a grammar. Knows nothing of syntax trees, documents or cursors.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

Kind = Literal["code", "comment", "string"]


class Form(NamedTuple):
    """One way to write a comment or string: opening with body, and what closes it."""

    body: str
    close: str


DOUBLE = Form(r'"(?:[^"\\\n]|\\.)*', '"')
SINGLE = Form(r"'(?:[^'\\\n]|\\.)*", "'")
BACKTICK = Form(r"`(?:[^`\\]|\\.)*", "`")
RAW_BACKTICK = Form(r"`[^`]*", "`")
RAW_SINGLE = Form(r"'[^']*", "'")
MULTILINE_DOUBLE = Form(r'"(?:[^"\\]|\\.)*', '"')
MULTILINE_SINGLE = Form(r"'(?:[^'\\]|\\.)*", "'")
TRIPLE_DOUBLE = Form(r'"""(?:[^"\\]|\\.|"(?!""))*', '"""')
TRIPLE_SINGLE = Form(r"'''(?:[^'\\]|\\.|'(?!''))*", "'''")
# A lone quote is a lifetime (Rust) or a digit separator (C++), hence no open form.
CHARACTER = Form(r"'(?:\\[^'\n]+|[^'\\\n])(?=')", "'")
RUST_RAW = Form(r'\bb?r(?P<hashes>#*)"(?:[^"]|"(?!(?P=hashes)))*', r'"(?P=hashes)')
# A slash where no operand can have ended starts a regular expression, elsewhere it divides.
REGEX = Form(
    r"(?:(?<=[(,=:\[!&|?{};])|(?<=return)|(?<=^))[ \t]*/(?![*/])"
    r"(?:[^/\\\n\[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+(?=/)",
    "/",
)

SLASHES = Form(r"//[^\n]*", r"(?=\n)")
HASH = Form(r"#[^\n]*", r"(?=\n)")
WORD_HASH = Form(r"(?<!\S)#[^\n]*", r"(?=\n)")
DASHES = Form(r"--[^\n]*", r"(?=\n)")
BLOCK = Form(r"/\*[^*]*(?:\*(?!/)[^*]*)*", r"\*/")
LUA_BLOCK = Form(r"--\[\[[^\]]*(?:\](?!\])[^\]]*)*", r"\]\]")
HASKELL_BLOCK = Form(r"\{-[^-]*(?:-(?!\})[^-]*)*", r"-\}")
MARKUP = Form(r"<!--[^-]*(?:-(?!->)[^-]*)*", "-->")


@dataclass(frozen=True, slots=True)
class Lexicon:
    """How a language writes comments and strings; earlier forms win."""

    comments: tuple[Form, ...]
    strings: tuple[Form, ...]


C_LIKE = Lexicon((SLASHES, BLOCK), (DOUBLE, CHARACTER))
SCRIPT = Lexicon((SLASHES, BLOCK), (DOUBLE, SINGLE, BACKTICK, REGEX))
SHELL = Lexicon((WORD_HASH,), (MULTILINE_DOUBLE, RAW_SINGLE))
HASHED = Lexicon((HASH,), (TRIPLE_DOUBLE, TRIPLE_SINGLE, DOUBLE, SINGLE))
TEXT_BLOCKS = Lexicon((SLASHES, BLOCK), (TRIPLE_DOUBLE, DOUBLE, CHARACTER))
PROSE = Lexicon((), ())
UNKNOWN = Lexicon((), (DOUBLE,))

LEXICONS: dict[str, Lexicon] = {
    "python": HASHED,
    "javascript": SCRIPT,
    "javascriptreact": SCRIPT,
    "typescript": SCRIPT,
    "typescriptreact": SCRIPT,
    "go": Lexicon((SLASHES, BLOCK), (DOUBLE, RAW_BACKTICK, CHARACTER)),
    "rust": Lexicon((SLASHES, BLOCK), (RUST_RAW, MULTILINE_DOUBLE, CHARACTER)),
    "c": C_LIKE,
    "cpp": C_LIKE,
    "objective-c": C_LIKE,
    "java": TEXT_BLOCKS,
    "csharp": C_LIKE,
    "kotlin": TEXT_BLOCKS,
    "scala": TEXT_BLOCKS,
    "swift": TEXT_BLOCKS,
    "dart": Lexicon((SLASHES, BLOCK), (TRIPLE_DOUBLE, TRIPLE_SINGLE, DOUBLE, SINGLE)),
    "zig": Lexicon((SLASHES,), (DOUBLE, CHARACTER)),
    "php": Lexicon((SLASHES, BLOCK, HASH), (MULTILINE_DOUBLE, MULTILINE_SINGLE)),
    "ruby": Lexicon((HASH,), (DOUBLE, SINGLE)),
    "shellscript": SHELL,
    "sh": SHELL,
    "bash": SHELL,
    "yaml": SHELL,
    "makefile": Lexicon((HASH,), ()),
    "dockerfile": Lexicon((HASH,), (DOUBLE,)),
    "toml": HASHED,
    "r": Lexicon((HASH,), (DOUBLE, SINGLE)),
    "julia": Lexicon((HASH,), (TRIPLE_DOUBLE, DOUBLE, CHARACTER)),
    "elixir": Lexicon((HASH,), (TRIPLE_DOUBLE, DOUBLE, SINGLE)),
    "lua": Lexicon((LUA_BLOCK, DASHES), (DOUBLE, SINGLE)),
    "sql": Lexicon((DASHES, BLOCK), (DOUBLE, SINGLE)),
    "haskell": Lexicon((HASKELL_BLOCK, DASHES), (DOUBLE, CHARACTER)),
    "css": Lexicon((BLOCK,), (DOUBLE, SINGLE)),
    "scss": Lexicon((SLASHES, BLOCK), (DOUBLE, SINGLE)),
    "json": Lexicon((), (DOUBLE,)),
    "jsonc": Lexicon((SLASHES, BLOCK), (DOUBLE,)),
    "html": Lexicon((MARKUP,), ()),
    "xml": Lexicon((MARKUP,), ()),
    "markdown": PROSE,
    "plaintext": PROSE,
}

BRACKETS = {"(": ")", "[": "]", "{": "}"}
CLOSERS = {close: open_ for open_, close in BRACKETS.items()}


@dataclass(frozen=True, slots=True)
class Region:
    """A comment or string of a scanned text; ``end`` is exclusive."""

    kind: Kind
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Bracket:
    """A bracket that is code, with the offset where it stands."""

    character: str
    offset: int


def is_code(language: str) -> bool:
    """Whether text of this language is known to have brackets that match."""
    return LEXICONS.get(language, PROSE) is not PROSE


def regions(text: str, language: str) -> Iterator[Region]:
    """Comments and strings of ``text``, which must begin in code, from left to right."""
    for match in _pattern(language).finditer(text):
        kind: Kind = "comment" if match.lastgroup == "comment" else "string"
        yield Region(kind, match.start(), match.end())


def kind_at_end(text: str, language: str) -> Kind:
    """What a character typed after ``text`` would be part of."""
    last = None
    for region in regions(text, language):
        last = region
    if last is None or last.end < len(text):
        return "code"
    closed = _closed(language).fullmatch(text, last.start)
    return "code" if closed else last.kind


def brackets(text: str, language: str) -> list[Bracket]:
    """Brackets of ``text`` that stand in code."""
    out = []
    at = 0
    for region in regions(text, language):
        out += _brackets_between(text, at, region.start)
        at = region.end
    return out + _brackets_between(text, at, len(text))


def unmatched(found: list[Bracket]) -> tuple[list[Bracket], list[Bracket]]:
    """Closers without an opener, in order, and openers that stay open, outermost first."""
    closers: list[Bracket] = []
    stack: list[Bracket] = []
    for bracket in found:
        if bracket.character in BRACKETS:
            stack.append(bracket)
        elif stack and stack[-1].character == CLOSERS[bracket.character]:
            stack.pop()
        else:
            closers.append(bracket)
    return closers, stack


def _brackets_between(text: str, start: int, end: int) -> list[Bracket]:
    return [Bracket(m.group(), m.start()) for m in _BRACKET.finditer(text, start, end)]


_BRACKET = re.compile(r"[()\[\]{}]")


@cache
def _pattern(language: str) -> re.Pattern[str]:
    lexicon = LEXICONS.get(language, UNKNOWN)
    kinds = (("comment", lexicon.comments), ("string", lexicon.strings))
    # The closing part is optional: text is scanned while it is being typed.
    parts = [
        f"(?P<{kind}>{'|'.join(f'(?:{form.body})(?:{form.close})?' for form in forms)})"
        for kind, forms in kinds
        if forms
    ]
    return re.compile("|".join(parts) or r"(?!)", re.DOTALL | re.MULTILINE)


@cache
def _closed(language: str) -> re.Pattern[str]:
    lexicon = LEXICONS.get(language, UNKNOWN)
    forms = (*lexicon.comments, *lexicon.strings)
    # Hash counts are named once a pattern; only one form of a language uses them.
    return re.compile("|".join(f"(?:{f.body})(?:{f.close})" for f in forms) or r"(?!)", re.DOTALL)
