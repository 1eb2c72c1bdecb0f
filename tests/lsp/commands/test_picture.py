from midfill_engine.wire import Fill, Token
from midfill_lsp.commands import picture


def test_shades_follow_confidence():
    styles = [picture.shade(confidence) for confidence in (1.0, 0.8, 0.6, 0.1)]
    assert len(set(styles)) == 4


def test_open_positions_look_different():
    text = picture.middle_text((Token("a", 0.95), Token("b", 0.95, committed=False)))
    assert text.plain == "ab"
    assert text.spans[0].style == picture.shade(0.95)
    assert text.spans[1].style == picture.OPEN


def test_excerpt_and_marks():
    head, tail = picture.excerpt("a\nb\nc\nd = ", "\ne\nf\n", above=2, below=2)
    middle = picture.middle_text((Token("1", 0.9),))
    assert picture.picture(head, middle, tail, marked=True).plain == "c\nd = ├1┤\ne"


def test_figures():
    fill = Fill((), "end", nfe=3, tokens_per_forward=2.5, total_ms=1234.5, prompt_tokens=1000)
    assert picture.figures(fill) == (
        "1,234 ms · 3 forwards (NFE) · 2.5 tokens per forward · 0 of 1,000 context tokens cached"
    )
