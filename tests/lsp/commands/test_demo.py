import pytest
from tests.fake_engine import fill, middle

from midfill_lsp.commands import demo_cases


def test_all_cursors_are_found_and_the_piece_is_out():
    cases = demo_cases.cases()
    assert len(cases) == len(demo_cases.SPOTS)
    for case, spot in zip(cases, demo_cases.SPOTS, strict=True):
        assert case.text[: case.offset].endswith(spot.before)
        assert case.was == spot.was
        assert case.text[case.offset :][: len(spot.was)] != spot.was
        assert case.language != "plaintext"


async def test_plain_form_without_a_terminal(engine, midfill):
    engine.drafts = ["len("]
    engine.answer = fill(middle("len(left)"))
    ran = await midfill("demo")
    assert (ran.code, ran.err) == (0, "")
    assert "\x1b" not in ran.out
    assert ran.out.count("├len(left") == len(demo_cases.SPOTS)
    assert "forwards (NFE)" in ran.out
    assert f"was: {demo_cases.SPOTS[0].was}" in ran.out
    # Each file once as it is, once as after one more key.
    assert len(engine.requests) == 2 * len(demo_cases.SPOTS)
    assert engine.requests[1]["prefix"] == engine.requests[0]["prefix"] + "l"
    assert not engine.stopped


async def test_an_engine_that_refuses_is_a_sentence(engine, midfill):
    engine.answer = {"code": "busy", "message": "Too many wait.", "hint": ""}
    ran = await midfill("demo")
    assert (ran.code, ran.err) == (1, "midfill demo: Too many wait.\n")


@pytest.mark.parametrize("strategy", ["nonesuch"])
async def test_wrong_usage(midfill, strategy):
    ran = await midfill("demo", "--strategy", strategy)
    assert ran.code == 2
