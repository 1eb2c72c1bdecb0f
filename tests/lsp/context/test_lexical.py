import pytest

from midfill_lsp.context import lexical

ENDS = [
    ("python", "x = 1", "code"),
    ("python", "# note", "comment"),
    ("python", "# note\n", "code"),
    ("python", "x = \"it's", "string"),
    ("python", 'x = "open\n', "code"),
    ("python", '"""doc\nstring # not a comment\n', "string"),
    ("python", '"""doc"""', "code"),
    ("python", '""', "code"),
    ("python", r'"a\"', "string"),
    ("rust", "fn f<'a>(x: &'a str) { ", "code"),
    ("rust", 'let s = r#"a " b', "string"),
    ("rust", 'let s = r#"a " b"#', "code"),
    ("rust", "let c = '\"'; ", "code"),
    ("cpp", "long n = 1'000'000; ", "code"),
    ("go", "s := `raw \\`", "code"),
    ("go", "s := `raw\n", "string"),
    ("c", "/* a *", "comment"),
    ("c", "/*/", "comment"),
    ("c", "/* a */", "code"),
    ("javascript", "const a = /[\"'/]/; ", "code"),
    ("javascript", "const a = b / c; // d", "comment"),
    ("javascript", "const a = `x\n", "string"),
    ("java", 'String s = """\n  a "quoted" word\n', "string"),
    ("lua", "--[[ a ]", "comment"),
    ("lua", "--[[ a ]]", "code"),
    ("sql", "select 1 -- one", "comment"),
    ("html", "<!-- a", "comment"),
    ("shellscript", "echo ${#a}", "code"),
    ("nonesuch", "don't # know", "code"),
]


@pytest.mark.parametrize(("language", "text", "kind"), ENDS)
def test_kind_at_end(language, text, kind):
    assert lexical.kind_at_end(text, language) == kind


@pytest.mark.parametrize("language", lexical.LEXICONS)
def test_every_pattern_compiles_and_takes_any_text(language):
    assert lexical.kind_at_end("a \"b 'c /* d -- # <!-- `", language) in {
        "code",
        "comment",
        "string",
    }
    assert lexical.brackets("", language) == []


def test_brackets_in_code_only():
    found = lexical.brackets('f(")", [1])  # :)', "python")
    assert "".join(bracket.character for bracket in found) == "([])"


def test_unmatched():
    closers, openers = lexical.unmatched(lexical.brackets(") ( ] { [ ]", "c"))
    assert [b.character for b in closers] == [")", "]"]
    assert [b.character for b in openers] == ["(", "{"]
