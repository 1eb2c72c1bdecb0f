"""Kinds of syntax spans and how many of each are kept; free of any parser."""

from __future__ import annotations

from enum import IntEnum


class Kind(IntEnum):
    """What a span holds. Brackets and blocks are given without what encloses them."""

    STATEMENT = 0
    BLOCK = 1
    BRACKETS = 2
    EXPRESSION = 3
    STRING = 4
    IMPORT = 5
    COMMENT = 6
    DECORATOR = 7
    DEFINITION = 8


#: Most spans kept of one file, by kind: plenty for the few cuts that a file gets.
KEPT = {
    Kind.STATEMENT: 24,
    Kind.BLOCK: 10,
    Kind.BRACKETS: 12,
    Kind.EXPRESSION: 12,
    Kind.STRING: 5,
    Kind.IMPORT: 2,
    Kind.COMMENT: 40,  # all, so that a cut by lines can keep out of them
    Kind.DECORATOR: 2,
    Kind.DEFINITION: 12,
}
#: Bytes of the longest middle, and of the longest definition that may stand alone as a context.
MAX_SPAN, MAX_DEFINITION = 480, 6000
#: Bytes of a node that is not looked into: half of all nodes are such names and marks.
SHORT = 8
