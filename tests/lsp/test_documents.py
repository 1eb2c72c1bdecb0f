"""Lines, positions and edits, against the definition in the protocol."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midfill_lsp.documents import Change, Document, DocumentStore, LineIndex, path_of, units

TEXTS = st.text(alphabet="ab \t\r\n\x0b\x0c\x1c\x85\u2028\u2029é😀", max_size=40)
ENCODINGS = st.sampled_from(["utf-8", "utf-16", "utf-32"])
CODECS = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}


def encoded_length(text, encoding):
    codec, width = CODECS[encoding]
    return len(text.encode(codec)) // width


@given(TEXTS)
def test_lines_end_at_crlf_lf_and_cr_only(text):
    assert LineIndex(text).lines == re.split(r"(?<=\n)|(?<=\r)(?!\n)", text)


@given(TEXTS, ENCODINGS)
def test_units_are_what_an_encoder_counts(text, encoding):
    assert units(text, encoding) == encoded_length(text, encoding)


@given(TEXTS, ENCODINGS, st.data())
def test_positions_and_offsets_go_round(text, encoding, data):
    offset = data.draw(st.integers(0, len(text)))
    index = LineIndex(text)
    line, character = index.position(offset, encoding)
    back = index.offset(line, character, encoding)
    inside_line_end = text[offset - 1 : offset + 1] == "\r\n"
    assert back == (offset - 1 if inside_line_end else offset)


@pytest.mark.parametrize(
    ("line", "character", "offset"),
    [(0, 99, 2), (0, 3, 2), (1, 0, 4), (1, 99, 5), (9, 0, 5)],
)
def test_positions_out_of_range_are_clamped(line, character, offset):
    assert LineIndex("ab\r\nx").offset(line, character) == offset


def test_half_of_a_surrogate_pair_is_before_the_character():
    assert LineIndex("😀x").offset(0, 1, "utf-16") == 0
    assert LineIndex("😀x").offset(0, 2, "utf-16") == 1


@given(TEXTS, TEXTS, ENCODINGS, st.data())
def test_an_edit_is_what_splicing_the_text_gives(text, fresh, encoding, data):
    index = LineIndex(text)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    places = [index.position(o, encoding) for o in (start, end)]
    start, end = (index.offset(*place, encoding) for place in places)

    index.replace(Change(*places, fresh), encoding)

    whole = text[:start] + fresh + text[end:]
    assert "".join(index.lines) == whole
    assert index.lines == LineIndex(whole).lines


def test_an_edit_says_which_lines_it_touched():
    index = LineIndex("a\nb\nc\n")
    assert index.replace(Change((1, 0), (1, 1), "x\ny")) == (1, 1, 2)
    assert index.replace(Change((0, 0), (0, 0), "import os\n")) == (0, -1, 1)
    assert index.replace(Change((0, 0), (2, 0), "")) == (0, 1, 0)
    assert index.lines == ["x\n", "y\n", "c\n", ""]


def test_changes_beyond_the_end_and_upside_down_are_survived():
    index = LineIndex("ab")
    index.replace(Change((7, 0), (9, 9), "!"))
    index.replace(Change((0, 2), (0, 1), "?"))
    assert index.lines == ["ab?!"]


def test_a_document_applies_changes_in_order():
    document = Document("file:///a", "python", 1, "one\n")
    edits = document.apply([Change((0, 3), (0, 3), "!"), Change((0, 4), (0, 4), "?")], 2, "utf-16")
    assert document.text == "one!?\n"
    assert document.version == 2
    assert len(edits) == 2
    assert document.apply([Change(None, None, "two")], 3, "utf-16") is None
    assert document.text == "two"


def test_a_store_finds_documents_however_their_uri_is_quoted():
    store = DocumentStore()
    store.open("file:///c%3A/a%20b.py", "python", 1, "")
    assert store.get("file:///c:/a b.py").uri == "file:///c%3A/a%20b.py"
    store.close("file:///c:/a%20b.py")
    assert store.get("file:///c:/a b.py") is None


def test_the_document_used_last_comes_last():
    store = DocumentStore()
    for name in "abc":
        store.open(f"file:///{name}", "python", 1, "")
    store.touch("file:///a")
    assert [d.uri[-1] for d in store] == ["b", "c", "a"]


def test_paths_of_uris():
    assert path_of("file:///tmp/a%20b.py") == "/tmp/a b.py"
    assert path_of("untitled:Untitled-1") == ""
