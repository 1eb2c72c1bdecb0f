"""Encoding by lines equals encoding at once; decoding loses nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midfill_engine.text.tokenizer import Tokenizer
from tests import tiny

CODE = st.text(alphabet=st.sampled_from(list("ab1_ ({})'\t\n\r\f\x1c\u2028é😀=:;x")), max_size=80)


@pytest.fixture(scope="module")
def tokenizer(tiny_path) -> Tokenizer:
    return Tokenizer(tiny_path / "tokenizer.json", 320)


@given(text=CODE)
def test_by_lines_equals_at_once(tokenizer, text):
    assert tokenizer._by_lines
    assert tokenizer.encode(text) == list(tokenizer._encode(text))


@given(text=CODE)
def test_round_trip(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("special", tiny.SPECIALS)
def test_special_tokens_in_a_file_are_text(tokenizer, special):
    ids = tokenizer.encode(f"x = '{special}'")
    assert max(ids) < 256 + len(tiny.MERGES)
    assert tokenizer.decode(ids) == f"x = '{special}'"


def test_a_character_belongs_to_the_token_that_completes_it(tokenizer):
    ids = tokenizer.encode("é")
    assert list(tokenizer.texts(ids)) == ["", "é"]
    assert tokenizer.decode(ids[:1]) == ""


def test_added_tokens_that_are_not_marked_special_are_text_too(tiny_path, tmp_path):
    from tokenizers import AddedToken
    from tokenizers import Tokenizer as Library

    library = Library.from_file(str(tiny_path / "tokenizer.json"))
    library.add_tokens([AddedToken("<tool_call>", special=False, normalized=False)])
    library.save(str(tmp_path / "tokenizer.json"))
    tokenizer = Tokenizer(tmp_path / "tokenizer.json", 320)
    added = library.token_to_id("<tool_call>")
    assert added not in tokenizer.encode("x = '<tool_call>'")
    assert added in tokenizer.special_ids
