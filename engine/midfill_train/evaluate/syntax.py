"""What an answer does to the syntax around it, by tree-sitter.

Owns the window around a gap and the comparison with the true middle. Knows no figures. A cut holds
a piece of a file, so only that counts which the true middle leaves whole.
"""

from __future__ import annotations

from collections.abc import Iterator

from tree_sitter import Node, Tree

from midfill_train.corpus.spans import parser

#: Lines before and behind the gap that an answer is held responsible for.
WINDOW_LINES = 8
_PAIRS = {")": "(", "]": "[", "}": "{"}
_CLOSERS = ")]}\"'`"
#: Their brackets are text. Code inside a template or an f-string stands in a node of its own.
_TEXT = (
    "comment",
    "string",
    "char_literal",
    "character_literal",
    "rune_literal",
    "regex",
    "jsx_text",
)
_CODE = ("interpolation", "template_substitution")


def parses(prefix: str, middle: str, suffix: str, language: str) -> bool:
    """Whether no error or missing node touches the window around ``middle``."""
    tree, start, end = _inserted(prefix, middle, suffix, language)
    return not any(
        (node.is_error or node.is_missing) and node.start_byte <= end and node.end_byte >= start
        for node in _nodes(tree.root_node)
    )


def unbalances(prefix: str, truth: str, answer: str, suffix: str, language: str) -> bool:
    """Whether brackets of code around the gap pair with ``truth``, and fewer do with ``answer``.

    Counted in the whole text: a closer too many takes a far opener, which one behind then misses.
    """
    true, around = _unpaired(prefix, truth, suffix, language)
    return not around and _unpaired(prefix, answer, suffix, language)[0] > true


def _unpaired(prefix: str, middle: str, suffix: str, language: str) -> tuple[int, int]:
    """Brackets without their counterpart: in the whole text, and in the window."""
    tree, start, end = _inserted(prefix, middle, suffix, language)
    waiting: list[tuple[str, int]] = []
    alone: list[int] = []
    for character, at in _brackets(tree.root_node):
        if character not in _PAIRS:
            waiting.append((character, at))
        elif waiting and waiting[-1][0] == _PAIRS[character]:
            waiting.pop()
        else:
            alone.append(at)
    alone += [at for _, at in waiting]
    return len(alone), sum(start <= at <= end for at in alone)


def duplicates_closer(answer: str, truth: str, suffix: str) -> bool:
    """Whether ``answer`` ends with the closer that ``suffix`` begins with, ``truth`` does not."""
    following = suffix.lstrip(" \t")[:1]
    if not following or following not in _CLOSERS:
        return False
    return answer.rstrip().endswith(following) and not truth.rstrip().endswith(following)


def _inserted(prefix: str, middle: str, suffix: str, language: str) -> tuple[Tree, int, int]:
    """The tree of the whole text; first and last byte of the window."""
    lines = prefix.split("\n")
    before = len("\n".join(lines[:-WINDOW_LINES]).encode()) if len(lines) > WINDOW_LINES else 0
    after = "\n".join(suffix.split("\n")[:WINDOW_LINES])
    text = (prefix + middle + suffix).encode()
    return parser(language).parse(text), before, len((prefix + middle + after).encode())


def _nodes(root: Node) -> Iterator[Node]:
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(reversed(node.children))


def _brackets(root: Node) -> Iterator[tuple[str, int]]:
    """Brackets of code with their bytes, in the order of the text."""
    waiting = [(root, True)]
    while waiting:
        node, code = waiting.pop()
        if node.type in _CODE:
            code = True
        elif any(name in node.type for name in _TEXT) and node.is_named:
            code = False
        if not node.children and code and not node.is_missing and node.text is not None:
            yield from (
                (chr(byte), node.start_byte + i)
                for i, byte in enumerate(node.text)
                if byte in b"()[]{}"
            )
        waiting.extend((child, code) for child in reversed(node.children))
