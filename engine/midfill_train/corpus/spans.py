"""Where a cut can end naturally: syntax nodes of a file, by tree-sitter.

Owns the grammars and the kinds of spans. Knows neither tokens nor how a cut is made of a span.
"""

from __future__ import annotations

import importlib
import random
from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray
from tree_sitter import Language, Node, Parser

from midfill_train.corpus.kinds import KEPT, MAX_DEFINITION, MAX_SPAN, SHORT, Kind

_GRAMMARS = {
    "python": ("tree_sitter_python", "language"),
    "typescript": ("tree_sitter_typescript", "language_tsx"),
    "javascript": ("tree_sitter_javascript", "language"),
    "go": ("tree_sitter_go", "language"),
    "rust": ("tree_sitter_rust", "language"),
    "c": ("tree_sitter_c", "language"),
    "cpp": ("tree_sitter_cpp", "language"),
    "java": ("tree_sitter_java", "language"),
}
_BLOCKS = {
    "block",
    "statement_block",
    "compound_statement",
    "class_body",
    "declaration_list",
    "field_declaration_list",
    "interface_body",
    "constructor_body",
    "enum_body",
    "match_block",
    "switch_body",
}
_DEFINITIONS = (
    "function_definition",
    "function_declaration",
    "function_item",
    "method_definition",
    "method_declaration",
    "constructor_declaration",
    "class_definition",
    "class_declaration",
    "class_specifier",
    "impl_item",
    "struct_item",
    "interface_declaration",
    "lexical_declaration",
)
_OPEN, _CLOSE = b"([{", b")]}"
_EXPRESSION_PLACES = {"argument_list", "arguments", "return_statement", "binary_expression"}


@cache
def parser(language: str) -> Parser:
    """The parser of one of `clean.LANGUAGES`' languages."""
    module, function = _GRAMMARS[language]
    return Parser(Language(getattr(importlib.import_module(module), function)()))


def spans(text: bytes, language: str, *, seed: int = 0) -> NDArray[np.int32]:
    """Spans of one file: rows of (start byte, end byte, `Kind`), drawn evenly of each kind."""
    found: dict[Kind, list[tuple[int, int]]] = {kind: [] for kind in Kind}
    for node in _nodes(parser(language).parse(text).root_node):
        for kind, start, end in _spans_of(node, text):
            found[kind].append((start, end))
    rng = random.Random(seed)
    rows = [
        (start, end, kind)
        for kind, places in found.items()
        for start, end in rng.sample(places, min(len(places), KEPT[kind]))
    ]
    return np.array(rows, np.int32).reshape(-1, 3)


def _nodes(root: Node) -> Iterator[Node]:
    """Named nodes of more than `SHORT` bytes, without recursion."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(c for c in node.named_children if c.end_byte - c.start_byte > SHORT)


def _spans_of(node: Node, text: bytes) -> Iterator[tuple[Kind, int, int]]:
    start, end, name = node.start_byte, node.end_byte, node.type
    if name in _DEFINITIONS and 80 < end - start <= MAX_DEFINITION:
        yield Kind.DEFINITION, start, end
    if end - start > MAX_DEFINITION or node.parent is None:
        return
    if "comment" in name or _is_docstring(node, name):
        yield Kind.COMMENT, start, end
        return
    if end - start > MAX_SPAN:
        return
    if name in _BLOCKS:
        braced = text[start : start + 1] == b"{"
        yield Kind.BLOCK, start + braced, end - braced
        return
    kind = _kind(node, name)
    if kind is not None:
        yield kind, start, end
    if text[start] in _OPEN and text[end - 1] in _CLOSE:
        yield Kind.BRACKETS, start + 1, end - 1


def _kind(node: Node, name: str) -> Kind | None:
    if name in {"string_content", "string_fragment", "interpreted_string_literal_content"}:
        return Kind.STRING
    if "import" in name or name in {"use_declaration", "preproc_include"}:
        return Kind.IMPORT
    if name in {"decorator", "attribute_item", "marker_annotation", "annotation"}:
        return Kind.DECORATOR
    if name.endswith(("_statement", "_declaration", "_definition", "_item", "_clause")):
        return Kind.STATEMENT
    if node.parent is not None and node.parent.type in _EXPRESSION_PLACES:
        return Kind.EXPRESSION
    return None


def _is_docstring(node: Node, name: str) -> bool:
    """A Python statement that is nothing but a string."""
    return name == "expression_statement" and [c.type for c in node.named_children] == ["string"]
