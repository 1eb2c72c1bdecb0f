"""What is found again without asking: typed along, deleted back, bracket closed by the editor."""

from hypothesis import given
from hypothesis import strategies as st

from midfill_engine.wire import Token
from midfill_lsp.suggest.shown import Known, Suggestion, agrees, typed_since


def suggestion(*pieces, sure=None, **more):
    tokens = tuple(Token(piece, 0.9) for piece in pieces)
    text = "".join(pieces)
    return Suggestion("id", text, tokens, len(text) if sure is None else sure, **more)


def known(before, after, *suggestions):
    memory = Known()
    memory.remember(before + after, len(before), suggestions)
    return memory


def find(memory, before, after):
    return memory.find(before + after, len(before))


def test_typing_along_leaves_the_rest_with_its_tokens():
    memory = known("x = ", "\n", suggestion("comp", "ute(", "x)", sure=8))
    [rest] = find(memory, "x = comput", "\n")
    assert rest.text == "e(x)"
    assert [t.text for t in rest.tokens] == ["e(", "x)"]
    assert rest.sure == 2
    assert rest.typed == 6
    assert (rest.source, rest.nfe) == ("typed-along", 0)


def test_another_letter_another_suffix_or_another_prefix_finds_nothing():
    memory = known("x = ", "\n", suggestion("compute"))
    assert not find(memory, "x = q", "\n")
    assert not find(memory, "x = com", "y\n")
    assert not find(memory, "y = com", "\n")
    assert not find(memory, "x =", "\n")
    assert not find(memory, "x = compute", "\n")


def test_deleting_back_finds_it_again():
    memory = known("x = ", "\n", suggestion("compute"))
    assert find(memory, "x = com", "\n")
    assert find(memory, "x = c", "\n")[0].text == "ompute"


def test_a_candidate_that_was_not_typed_drops_out():
    memory = known("", "", suggestion("print"), suggestion("pass"))
    assert [s.text for s in find(memory, "p", "")] == ["rint", "ass"]
    assert [s.text for s in find(memory, "pa", "")] == ["ss"]


def test_a_bracket_closed_by_the_editor_is_replaced():
    memory = known("", "\n", suggestion("f(a)"))
    [rest] = find(memory, "f(", ")\n")
    assert (rest.text, rest.replace_after) == ("a)", 1)
    assert not find(memory, "f(", "]\n"), "the suggestion has no such bracket"


def test_a_line_that_is_replaced_is_not_confused_with_a_bracket():
    memory = known("", ")\n", suggestion("a)", replace_after=1))
    [rest] = find(memory, "a", ")\n")
    assert rest.replace_after == 1


def test_what_was_computed_ahead_says_so_until_it_is_typed_into():
    memory = known("", "", suggestion("ab", source="speculated"))
    assert find(memory, "", "")[0].source == "speculated"
    assert find(memory, "a", "")[0].source == "typed-along"


def test_the_latest_answer_wins_and_the_oldest_is_forgotten():
    memory = Known(capacity=2)
    for before in ("a", "b", "c"):
        memory.remember(before, 1, [suggestion(before * 2)])
    assert not memory.find("a", 1)
    memory.find("b", 1)
    memory.remember("d", 1, [suggestion("dd")])
    assert memory.find("b", 1)
    assert not memory.find("c", 1)


def test_a_dismissed_answer_is_forgotten():
    memory = known("", "", suggestion("x"))
    memory.forget("id")
    assert not find(memory, "", "")


def test_cutting_keeps_whole_text_and_tokens_together():
    cut = suggestion("ab", "cd", sure=4, replace_after=1).cut(3)
    assert cut.text == "".join(t.text for t in cut.tokens) == "abc"
    assert (cut.sure, cut.replace_after) == (3, 0)


def test_agreeing_and_not():
    assert agrees("", "")
    assert agrees("pri", "print(x)")
    assert agrees("print()", "print(x)")
    assert not agrees("print)", "print(x")
    assert not agrees("px", "print")
    assert not agrees(")", "x)")


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=8))
def test_what_was_typed_is_found_in_the_text(before, after, typed):
    found = typed_since(before + after, len(before), before + typed + after)
    assert found == typed


def test_other_edits_are_no_typing():
    assert typed_since("ab", 1, "a") is None
    assert typed_since("ab", 1, "xab") is None
    assert typed_since("ab", 1, "abx") is None
