"""Syntax at the cursor: comment, string or code, and where text is best cut.

Owns the grammars (imported when a language is first met, so that the server starts light), the
scope of a cursor, the import lines of a file and the places where a declaration or statement
begins or ends. Knows nothing of budgets. It never parses more than a slab of text around the
cursor, so a key costs the same in a file of ten lines and of ten thousand.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from tree_sitter import Language, Node, Parser

from midfill_lsp.context import lexical

if TYPE_CHECKING:
    from collections.abc import Iterator

    from midfill_lsp.context.lexical import Kind

#: language id of the editor -> (module of the grammar, its function)
GRAMMARS: dict[str, tuple[str, str]] = {
    "python": ("tree_sitter_python", "language"),
    "javascript": ("tree_sitter_javascript", "language"),
    "javascriptreact": ("tree_sitter_javascript", "language"),
    "typescript": ("tree_sitter_typescript", "language_typescript"),
    "typescriptreact": ("tree_sitter_typescript", "language_tsx"),
    "go": ("tree_sitter_go", "language"),
    "rust": ("tree_sitter_rust", "language"),
    "c": ("tree_sitter_c", "language"),
    "cpp": ("tree_sitter_cpp", "language"),
    "java": ("tree_sitter_java", "language"),
}

#: Types that name what a file takes from elsewhere; kept when the file is cut.
IMPORTS = frozenset(
    {
        "import_statement",
        "import_from_statement",
        "future_import_statement",
        "import_declaration",
        "package_clause",
        "package_declaration",
        "use_declaration",
        "extern_crate_declaration",
        "mod_item",
        "preproc_include",
        "using_declaration",
    }
)

#: Parts of node types that hold other declarations or statements.
_HOLDERS = ("class", "function", "method", "impl", "trait", "interface", "module", "namespace")

#: Characters parsed before the cursor and after it: about 900 lines, some 6 ms.
SLAB_BEFORE = 24_000
SLAB_AFTER = 8_000
#: Nesting that is looked into for cut points; deeper ones are not better than a line.
MAX_DEPTH = 5


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a cursor stands.

    ``enclosing`` names the surrounding constructs by node type, outermost first; empty for a
    language without a grammar.
    """

    kind: Kind = "code"
    enclosing: tuple[str, ...] = ()


#: Scope of text of which nothing more is known.
CODE = Scope()


class Piece(NamedTuple):
    """A run of whole lines, ``[start, end)``, that a construct takes; depth 0 is top level."""

    start: int
    end: int
    depth: int
    type: str


def scope_at(text: str, offset: int, language_id: str) -> Scope:
    """Scope of ``offset`` in ``text``.

    The part before the cursor decides between comment, string and code, so that broken code
    behind the cursor cannot turn it around.
    """
    start = slab_start(text, offset)
    kind = lexical.kind_at_end(text[start:offset], language_id)
    root = parse(text[start : offset + SLAB_AFTER], language_id)
    if root is None:
        return Scope(kind)
    source = Source(text[start : offset + SLAB_AFTER], root)
    kind = _confirmed(kind, source, offset - start)
    return Scope(kind, source.enclosing(offset - start))


def slab_start(text: str, offset: int) -> int:
    """Start of a line at the left margin, at most about `SLAB_BEFORE` before ``offset``.

    Such a line behind a blank one hardly ever stands inside a string.
    """
    floor = offset - SLAB_BEFORE
    if floor <= 0:
        return 0
    at = text.find("\n\n", floor, offset)
    while at >= 0:
        start = at + 2
        if text[start : start + 1].strip():
            return start
        at = text.find("\n\n", at + 1, offset)
    return text.find("\n", floor, offset) + 1 or floor


def parse(text: str, language_id: str) -> Node | None:
    """Root of the syntax tree, or ``None`` for a language without a grammar."""
    parser = _parser(language_id)
    return parser.parse(text.encode()).root_node if parser else None


class Source:
    """A parsed text with its nodes by character offsets; tree-sitter counts bytes."""

    __slots__ = ("_ascii", "_bytes", "_root", "_text")

    def __init__(self, text: str, root: Node) -> None:
        self._text, self._root = text, root
        self._ascii = text.isascii()
        self._bytes = b"" if self._ascii else text.encode()

    def node_before(self, offset: int) -> Node:
        """Smallest node that holds the character before ``offset``."""
        at = self._byte(offset)
        node = self._root.descendant_for_byte_range(max(at - 1, 0), at)
        return node or self._root

    def enclosing(self, offset: int) -> tuple[str, ...]:
        """Types of the constructs around ``offset``, outermost first."""
        # A blank line belongs to what its last line of code belongs to.
        node: Node | None = self.node_before(len(self._text[:offset].rstrip()) or offset)
        found = []
        while node is not None and node.parent is not None:
            if node.is_named and any(part in node.type for part in _HOLDERS):
                found.append(node.type)
            node = node.parent
        return tuple(reversed(found))

    def imports(self) -> list[Piece]:
        """Import lines at top level, in order."""
        return [self._piece(n, 0) for n in self._root.named_children if n.type in IMPORTS]

    def pieces(self, start: int, end: int) -> Iterator[Piece]:
        """Constructs that begin a line and touch ``[start, end)``, down to `MAX_DEPTH`."""
        yield from self._pieces(self._root, self._byte(start), self._byte(end), 0)

    def _pieces(self, parent: Node, low: int, high: int, depth: int) -> Iterator[Piece]:
        previous: Node | None = None
        for node in parent.named_children:
            if node.start_byte >= high:
                return
            if node.end_byte > low and not _continues(previous, node):
                yield from self._visit(node, low, high, depth)
            previous = node

    def _visit(self, node: Node, low: int, high: int, depth: int) -> Iterator[Piece]:
        inner = depth
        if node.type != "ERROR" and self._begins_line(node):
            yield self._piece(node, depth)
            inner = depth + 1
        if inner < MAX_DEPTH and node.end_point.row > node.start_point.row:
            yield from self._pieces(node, low, high, inner)

    def _begins_line(self, node: Node) -> bool:
        start = self._char(node.start_byte)
        line = self._text.rfind("\n", 0, start) + 1
        return not self._text[line:start].strip()

    def _piece(self, node: Node, depth: int) -> Piece:
        start, end = self._char(node.start_byte), self._char(node.end_byte)
        start = self._text.rfind("\n", 0, start) + 1
        if not self._text[start:end].endswith("\n"):
            newline = self._text.find("\n", end)
            end = newline + 1 if newline >= 0 else len(self._text)
        return Piece(start, end, depth, node.type)

    def _byte(self, offset: int) -> int:
        return offset if self._ascii else len(self._text[:offset].encode())

    def _char(self, at: int) -> int:
        return at if self._ascii else len(self._bytes[:at].decode(errors="ignore"))


#: Code inside a string.
_SUBSTITUTIONS = frozenset({"template_substitution", "interpolation"})
_TEXT = ("string", "comment", "char", "regex")


def _confirmed(kind: Kind, source: Source, offset: int) -> Kind:
    """Let the tree overrule the scan where the code is sound: it knows templates and JSX."""
    if kind == "code":
        return kind
    node: Node | None = source.node_before(offset)
    if node and node.type == "}" and node.parent and node.parent.type in _SUBSTITUTIONS:
        node = node.parent.parent
    while node is not None:
        if node.type in _SUBSTITUTIONS:
            return "code"
        if node.is_error or node.is_missing or any(part in node.type for part in _TEXT):
            return kind
        node = node.parent
    return "code"


def _continues(previous: Node | None, node: Node) -> bool:
    """Whether a comment or decorator right above belongs to ``node``: no cut between them."""
    return (
        previous is not None
        and ("comment" in previous.type or "attribute" in previous.type)
        and node.start_point.row - previous.end_point.row <= 1
    )


@cache
def _parser(language_id: str) -> Parser | None:
    entry = GRAMMARS.get(language_id)
    if entry is None:
        return None
    module, function = entry
    try:
        grammar = getattr(importlib.import_module(module), function)
    except ImportError:  # a language then works by lines, as those without a grammar do
        return None
    return Parser(Language(grammar()))
