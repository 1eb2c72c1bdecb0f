"""What holds for every middle in every place."""

from hypothesis import given, settings
from hypothesis import strategies as st

from midfill_engine.wire import Middle, Silence, Token
from midfill_lsp.context.syntax import scope_at
from midfill_lsp.context.window import ContextWindow
from midfill_lsp.shape.candidate import Candidate
from midfill_lsp.shape.pipeline import shape

# Words that the rules look at, so that they have something to do.
WORDS = st.sampled_from(
    [
        "return value",
        "foo",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ":",
        ";",
        ",",
        " ",
        "    ",
        "\t",
        "\n",
        "\r\n",
        "\r",
        '"',
        "'",
        "#",
        "//",
        "total += 1",
        "é",
        "🙂",
        "\u2028",
        "x = 1\n",
        "if x:\n    ",
    ]
)
CODE = st.lists(WORDS, max_size=12).map("".join)
LANGUAGES = st.sampled_from(["python", "javascript", "rust", "go", "plaintext", "nonesuch"])
TOKENS = st.lists(st.tuples(WORDS, st.floats(0, 1)), max_size=12).map(
    lambda pairs: tuple(Token(text, confidence) for text, confidence in pairs)
)
FINISH = st.sampled_from(["end", "length", "deadline"])


def window_of(prefix, suffix, language):
    scope = scope_at(prefix + suffix, len(prefix), language)
    return ContextWindow(prefix, suffix, language=language, scope=scope)


def middle_of(tokens, finish="end"):
    return Middle("".join(t.text for t in tokens), tokens, -1.0, finish)


@settings(max_examples=120, deadline=None)
@given(CODE, TOKENS, CODE, LANGUAGES, FINISH, st.floats(0, 1), st.booleans())
def test_shaped_text_is_sound(prefix, tokens, suffix, language, finish, sure, hold_back):
    window = window_of(prefix, suffix, language)
    result = shape(middle_of(tokens, finish), window, sure_confidence=sure, hold_back=hold_back)
    if isinstance(result, Silence):
        assert result.code
        assert result.message.endswith(".")
        return
    assert "".join(token.text for token in result.tokens) == result.text
    assert result.text.strip()
    assert 0 <= result.sure <= len(result.text)
    assert all(token.confidence >= sure for token in cut(result.tokens, result.sure))


@settings(max_examples=120, deadline=None)
@given(CODE, TOKENS, CODE, LANGUAGES)
def test_the_users_characters_stay(prefix, tokens, suffix, language):
    result = shape(middle_of(tokens), window_of(prefix, suffix, language), sure_confidence=0.5)
    if isinstance(result, Silence) or not result.replace_after:
        return
    replaced = suffix[: result.replace_after]
    assert "\n" not in replaced
    assert "\r" not in replaced
    rest = iter(result.text)
    assert all(character in rest for character in replaced)


@settings(max_examples=120, deadline=None)
@given(CODE, TOKENS, CODE, LANGUAGES)
def test_shaping_twice_changes_nothing(prefix, tokens, suffix, language):
    window = window_of(prefix, suffix, language)
    once = shape(middle_of(tokens), window, sure_confidence=0.5)
    if isinstance(once, Silence):
        return
    twice = shape(Middle(once.text, once.tokens, -1.0, "end"), window, sure_confidence=0.5)
    assert twice == once


@given(TOKENS, st.integers(0, 40), st.integers(0, 40), st.sampled_from(["", "x", "\n\n"]))
def test_splice_keeps_text_and_tokens_together(tokens, one, other, new):
    candidate = Candidate.of(middle_of(tokens))
    start, end = sorted((min(one, len(candidate.text)), min(other, len(candidate.text))))
    if not tokens or not candidate.text:
        return
    after = candidate.splice(start, end, new)
    assert after.text == candidate.text[:start] + new + candidate.text[end:]
    assert "".join(token.text for token in after.tokens) == after.text


def test_tokens_that_do_not_join_become_one_as_sure_as_the_least():
    middle = Middle("é", (Token("\ufffd", 0.9), Token("\ufffd", 0.4)), -1.0, "end")
    assert Candidate.of(middle).tokens == (Token("é", 0.4),)


def cut(tokens, length):
    for token in tokens:
        if length <= 0:
            return
        length -= len(token.text)
        yield token
