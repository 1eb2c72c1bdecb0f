"""Midfill in a real VS Code: ghost text, keys, reasons, recovery, against a scripted engine."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING

import pytest
from tests.editors.vscode.workbench import GAP, MEAN, Window, until
from tests.fake_engine import fill, middle

if TYPE_CHECKING:
    from tests.editors.vscode.conftest import Office

pytestmark = [
    pytest.mark.editor,
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
]


def asked_with(office: Office, end: str) -> bool:
    return any(body["prefix"].endswith(end) for body in office.engine.requests)


async def configured(office: Office, values: dict[str, object], ghost: str) -> None:
    """Write settings and type `s` anew until they count: VS Code notices files in its time."""
    office.server.configure(values)

    async def counts() -> bool:
        await office.edit(MEAN, GAP)
        await office.window.type("s")
        for _ in range(40):
            if await office.window.ghost() == ghost:
                return True
            await asyncio.sleep(0.05)
        return False

    await until(f"ghost text {ghost!r}", counts)


async def open_menu(office: Office) -> None:
    """Type `alp` below `alphabet`, with the menu beside what the engine would add."""
    # VS Code's default hides the menu while an extension offers inline suggestions.
    office.server.configure({"editor.quickSuggestions": {"other": "on"}})
    office.answers(" += 1")
    await office.edit("alphabet = 1\n\n", (1, 0))
    await office.window.type("alp")
    await office.window.page.wait_for_selector(".suggest-widget.visible .monaco-list-row.focused")


async def test_ghost_text_is_shown_and_accepted_with_tab(office: Office):
    office.answers("um", "(", "numbers", ")")
    await office.edit(MEAN, GAP)
    await office.window.type("s")
    await office.window.sees("um(numbers)")
    await office.window.press("Tab")
    assert await office.saved() == MEAN.replace("total = ", "total = sum(numbers)")
    request = office.engine.requests[0]
    assert request["prefix"].endswith("total = s")
    assert request["suffix"].startswith("\n    return total")


async def test_typing_along_asks_the_engine_once(office: Office):
    office.answers("um", "(", "numbers", ")")
    await office.edit(MEAN, GAP)
    await office.window.type("s")
    await office.window.sees("um(numbers)")
    await office.window.type("um")
    await office.window.sees("(numbers)")
    assert len(office.engine.requests) == 1


@pytest.mark.parametrize("unsure", ["dim", "plain"])
async def test_typing_along_never_flickers(office: Office, unsure: str):
    office.server.configure({"midfill.display.unsure": unsure})
    office.answers("um + numbers", (" or", 0.3), (" 0", 0.2))
    await office.edit(MEAN, GAP)
    await office.window.type("s")
    await until("all of it", lambda: office.window.shows(" or 0"))
    await office.window.record_frames()
    await office.window.type("um + n", delay_ms=60)
    await until("what is left", lambda: office.window.shows("umbers or 0"))
    assert await office.window.frames() == ["    total = sum + numbers or 0"]


async def test_typing_on_cancels_the_running_request(office: Office):
    office.engine.go.clear()
    await office.edit(MEAN, GAP)
    await office.window.type("a")
    await until("the first request", lambda: len(office.engine.requests) == 1)
    await office.window.type("b")
    await until("its end", lambda: office.engine.cancelled >= 1)
    await until("the second request", lambda: len(office.engine.requests) == 2)
    office.answers("s(numbers)")
    office.engine.go.set()
    await office.window.sees("s(numbers)")


async def test_what_was_not_ready_in_time_is_shown_to_who_rests(office: Office):
    office.engine.answer = lambda body: (
        fill(middle("um(numbers)")) if body.get("speculative") else fill(reason="deadline")
    )
    await configured(office, {"midfill.speculate": True}, "um(numbers)")
    await office.window.press("Tab")
    assert await office.saved() == MEAN.replace("total = ", "total = sum(numbers)")


async def test_a_word_is_accepted_and_journaled(office: Office):
    office.answers("numbers", "[0]", " + numbers[1]")
    await office.edit(MEAN, GAP)
    await office.window.type("1 + ")
    await office.window.sees("numbers[0] + numbers[1]")
    await office.window.press("Control+ArrowRight")
    await office.window.sees("[0] + numbers[1]")
    await office.window.press("Control+ArrowRight")
    await office.window.sees("0] + numbers[1]")
    await office.window.press("Tab")
    assert "total = 1 + numbers[0] + numbers[1]\n" in await office.saved()
    await until("the outcome", lambda: office.outcomes(part="word", outcome="accepted"))


async def test_a_line_is_accepted_and_journaled(office: Office):
    office.answers("um(", "\n        numbers", "\n    )")
    await office.edit(MEAN, GAP)
    await office.window.type("s")
    await office.window.sees("um(\n        numbers\n    )")
    await office.window.press("Control+ArrowDown")
    await office.window.sees("        numbers\n    )")
    assert "total = sum(\n" in await office.saved()
    await office.window.press("Tab")  # before indented ghost text it indents
    await office.window.sees("numbers\n    )")
    await office.window.press("Tab")
    assert "total = sum(\n        numbers\n    )\n" in await office.saved()
    await until("the outcome", lambda: office.outcomes(part="line", outcome="accepted"))


async def test_several_lines_keep_the_line_ends_of_the_file(office: Office):
    office.answers("if not numbers", ":", "\n        return 0", "\n    total = sum(numbers)")
    text = MEAN.replace("    total = \n", "    \n").replace("\n", "\r\n")
    await office.edit(text, (1, 4))
    await office.window.command("Midfill: Complete Now")
    await office.window.sees("if not numbers:\n        return 0\n    total = sum(numbers)")
    await office.window.press("Tab")
    saved = await office.saved()
    assert "    if not numbers:\r\n        return 0\r\n    total = sum(numbers)\r\n" in saved
    assert "\n" not in saved.replace("\r\n", "")


async def test_a_file_of_emoji_and_crlf(office: Office):
    office.answers('🎉" if 👍', (" else", 0.4), (' "🇪🇺"', 0.4))
    text = "".join(f'party_{n} = "👩‍👩‍👧 🎉"\r\n' for n in range(300))
    await office.edit(f'{text}x = "🎉\r\n{text}', (300, 0))
    await office.window.press("End")
    await office.window.type("🎉")
    await office.window.sees('🎉" if 👍')
    await office.window.press("Alt+End")
    await office.window.sees(' else "🇪🇺"')
    await office.window.press("Tab")
    wanted = f'{text}x = "🎉🎉🎉" if 👍 else "🇪🇺"\r\n{text}'
    assert await office.saved() == wanted


async def test_an_emoji_before_the_cursor_shifts_nothing(office: Office):
    office.answers(" + mean", "(b)")
    await office.edit('x = "🎉🎉" and \n', (0, 0))
    await office.window.press("End")
    await office.window.type("a")
    await office.window.sees(" + mean(b)")
    await office.window.press("Tab")
    assert await office.saved() == 'x = "🎉🎉" and a + mean(b)\n'


async def test_escape_dismisses_until_the_line_changes(office: Office):
    office.answers("um(numbers)")
    await office.edit(MEAN, GAP)
    await office.window.type("s")
    await office.window.sees("um(numbers)")
    await office.window.press("Escape")
    await office.window.sees("")
    await until("the outcome", lambda: office.outcomes(outcome="dismissed"))
    office.answers("m(numbers)")
    await office.window.type("u")
    await office.window.sees("m(numbers)")


async def test_the_unsure_tail_is_dimmed_and_comes_with_a_second_tab(office: Office):
    office.answers("um(numbers", (" or", 0.3), (" [0])", 0.2))
    await office.edit(MEAN, GAP)
    await office.window.type("s")
    await office.window.sees("um(numbers")
    assert await office.window.drawn() == " or [0])"
    await office.window.keep(office.output / "dimmed.png")
    await office.window.press("Tab")
    await office.window.sees(" or [0])")
    assert await office.window.drawn() == ""
    await office.window.press("Tab")
    assert "total = sum(numbers or [0])\n" in await office.saved()


async def test_an_unsure_tail_on_a_later_line_comes_after_the_first_tab(office: Office):
    office.answers("um(\n", "        numbers", (" or", 0.3), (" [0])", 0.2))
    await office.edit(MEAN, GAP)
    await office.window.type("s")
    await office.window.sees("um(\n        numbers")
    assert await office.window.drawn() == ""
    await office.window.press("Tab")
    await office.window.sees(" or [0])")


async def test_the_sure_part_is_accepted_with_its_own_key(office: Office):
    office.answers("um(numbers", (" or", 0.3), (" [0])", 0.2))
    await office.edit(MEAN, GAP)
    await office.window.type("s")
    await office.window.sees("um(numbers")
    await office.window.press("Alt+End")
    await office.window.sees(" or [0])")
    assert "total = sum(numbers\n" in await office.saved()


async def test_tab_indents_where_nothing_is_shown_and_takes_menu_entries(office: Office):
    office.answers("")
    await office.edit("alphabet = 1\n\n", (1, 0))
    await office.window.press("Tab")
    await office.window.type("alp")
    await office.window.page.wait_for_selector(".suggest-widget.visible .monaco-list-row.focused")
    await office.window.press("Tab")
    assert await office.saved() == "alphabet = 1\n    alphabet\n"


async def test_tab_goes_through_a_snippet(office: Office):
    pair = {"a pair": {"body": "pair(${1:first}, ${2:second})$0"}}
    office.server.write(".vscode/pair.code-snippets", json.dumps(pair))
    office.answers("x", (" or", 0.3))
    await office.edit("\n", (0, 0))
    await office.window.command("Snippets: Insert Snippet", "a pair")
    for text in ("a", "b"):
        await office.window.type(text)
        await office.window.press("Tab")
        await office.window.draws("")  # the tail that was drawn goes a moment after the key
    await office.window.type(";")
    assert await office.saved() == "pair(a, b);\n"


async def test_tab_takes_the_menu_entry_rather_than_the_ghost_text(office: Office):
    await open_menu(office)
    await office.window.sees("habet += 1")
    await office.window.press("Tab")
    await office.window.sees(" += 1")
    await office.window.press("Tab")
    assert await office.saved() == "alphabet = 1\nalphabet += 1\n"


async def test_a_highlighted_menu_entry_is_continued(office: Office):
    await open_menu(office)
    await until("the entry in a request", lambda: asked_with(office, "alphabet"))
    await office.window.sees("habet += 1")


async def test_a_bracket_that_closed_itself_is_not_doubled(office: Office):
    office.answers("numbers", ")")
    await office.edit(MEAN, GAP)
    await office.window.type("sum(")
    await office.window.sees("numbers")  # the bracket stands there already
    await office.window.press("Tab")
    assert "total = sum(numbers)\n" in await office.saved()


async def test_a_bracket_that_closed_itself_stays_behind_the_sure_part(office: Office):
    office.answers("numbers", (" or", 0.3), (" [0])", 0.2))
    await office.edit(MEAN, GAP)
    await office.window.type("sum(")
    await office.window.sees("numbers")
    await until("the tail", lambda: office.window.shows("numbers or [0]"))
    await office.window.press("Tab")
    await office.window.sees(" or [0]")
    assert "total = sum(numbers)\n" in await office.saved()
    await office.window.press("Tab")
    assert "total = sum(numbers or [0])\n" in await office.saved()


async def test_the_sure_part_replaces_a_bracket_that_it_contains(office: Office):
    office.answers("numbers)", (" or", 0.3), (" 0", 0.2))
    await office.edit(MEAN, GAP)
    await office.window.type("sum(")
    await office.window.sees("numbers")
    office.answers("")
    await office.window.press("Alt+End")
    assert "total = sum(numbers)\n" in await office.saved()


async def test_the_next_candidate_is_shown_and_accepted(office: Office):
    office.engine.answer = fill(middle("sum(numbers)"), middle("0"))
    await office.edit(MEAN, GAP)
    await office.window.command("Midfill: Complete Now")
    await office.window.sees("sum(numbers)")
    await office.window.press("Alt+]")
    await office.window.sees("0")
    await office.window.press("Tab")
    assert "total = 0\n" in await office.saved()


async def test_the_previous_candidate_is_shown_again_and_accepted(office: Office):
    office.engine.answer = fill(middle("sum(numbers)"), middle("0"), middle("1"))
    await office.edit(MEAN, GAP)
    await office.window.command("Midfill: Complete Now")
    await office.window.sees("sum(numbers)")
    for key, text in (("]", "0"), ("]", "1"), ("[", "0"), ("[", "sum(numbers)")):
        await office.window.press(f"Alt+{key}")
        await office.window.sees(text)
    await office.window.press("Tab")
    assert "total = sum(numbers)\n" in await office.saved()


async def test_of_the_previous_candidate_the_sure_part_is_accepted(office: Office):
    unsure = middle("one", (" two", 0.3))
    office.engine.answer = fill(middle("sum(numbers)"), unsure, middle("three"))
    await office.edit(MEAN, GAP)
    await office.window.command("Midfill: Complete Now")
    await office.window.sees("sum(numbers)")
    for key, text in (("]", "one two"), ("]", "three"), ("[", "one two")):
        await office.window.press(f"Alt+{key}")
        await office.window.sees(text)
    await office.window.press("Alt+End")
    await office.window.sees(" two")
    assert "total = one\n" in await office.saved()


async def test_the_unsure_tail_is_held_back_or_drawn_alike(office: Office):
    office.answers("um(numbers", (" or", 0.3), (" [0])", 0.2))
    await configured(office, {"midfill.display.unsure": "hold"}, "um(numbers")
    assert await office.window.drawn() == ""
    await configured(office, {"midfill.display.unsure": "plain"}, "um(numbers or [0])")
    await office.window.press("Alt+End")
    await office.window.sees(" or [0])")


async def test_several_cursors_get_nothing_and_a_reason(office: Office):
    await office.edit(MEAN, GAP)
    await office.window.command("Add Cursor Below")
    await office.window.type("s")
    await office.window.says("several cursors")
    assert office.engine.requests == []


async def test_snoozing_pauses_until_it_is_ended(office: Office):
    await office.edit(MEAN, GAP)
    await office.window.command("Midfill: Snooze", "15 minutes")
    await office.window.says("paused")
    await office.window.type("s")
    await office.window.command("Midfill: Snooze", "End the snooze")
    await office.window.is_ready()
    assert office.engine.requests == []
    office.answers("m(numbers)")
    await office.window.type("u")
    await office.window.sees("m(numbers)")


async def test_a_language_is_switched_off_and_on(office: Office):
    await office.edit(MEAN, GAP)
    await office.window.command("Midfill: Switch On or Off for This Language")
    await office.window.says("language off")
    assert office.user_setting("languages") == {"python": False}
    await office.window.command("Midfill: Switch On or Off for This Language")
    await office.window.is_ready()
    assert office.user_setting("languages") == {"python": True}
    office.answers("um(numbers)")
    await office.window.type("s")
    await office.window.sees("um(numbers)")


async def test_the_workspace_is_switched_off_and_on(office: Office):
    await office.edit(MEAN, GAP)
    await office.window.command("Midfill: Switch On or Off in This Workspace")
    await office.window.says("off")
    await office.window.type("s")
    await office.window.command("Midfill: Switch On or Off in This Workspace")
    await office.window.is_ready()
    assert office.engine.requests == []
    office.answers("m(numbers)")
    await office.window.type("u")
    await office.window.sees("m(numbers)")


async def test_a_setting_counts_at_once(office: Office):
    office.answers(" values")
    await office.edit("# mean of\n", (0, 9))
    office.server.configure({"midfill.inComments": False})
    await until("the silence", lambda: typed_until(office, "comment"))
    assert await office.window.ghost() == ""
    office.server.configure({"midfill.inComments": True})
    await until("ghost text", lambda: typed_until(office, ""))


async def typed_until(office: Office, reason: str) -> bool:
    """Type a letter anew, and look whether the status says this, or ghost text is there."""
    await office.window.type("x")
    await office.window.press("Backspace")
    await office.window.type("x")
    for _ in range(20):
        if reason and reason in await office.window.status():
            return True
        if not reason and await office.window.ghost() == " values":
            return True
        await asyncio.sleep(0.05)
    return False


async def test_undo_takes_back_what_was_accepted_and_nothing_typed(office: Office):
    office.answers("um(numbers)")
    await office.edit(MEAN, GAP)
    await office.window.type("s")
    await office.window.sees("um(numbers)")
    await office.window.press("Tab", "Control+Z")
    await office.window.sees("um(numbers)")
    assert await office.saved() == MEAN.replace("total = ", "total = s")


async def test_a_very_long_line(office: Office):
    office.answers("bc(x)")
    start = "x = [" + "1, " * 1_500
    await office.edit(f"{start}\n", (0, len(start)))
    await office.window.type("a")
    await office.window.sees("bc(x)")
    await office.window.press("Tab")
    assert await office.saved() == f"{start}abc(x)\n"


async def test_both_sides_of_a_comparison_are_no_trouble(office: Office):
    office.answers("um(numbers)")
    await office.edit(MEAN, GAP)
    await office.window.command("File: Compare Active File with Saved")
    await office.window.page.wait_for_selector(".monaco-diff-editor .modified .view-line")
    await office.window.page.click(".monaco-diff-editor .modified .view-line >> nth=1")
    await office.window.press("End")
    await office.window.type("s")
    await until("ghost text", lambda: compared(office))
    await office.window.press("Tab")
    await office.window.page.click(".tab.active .tab-actions .action-label")
    assert "total = sum(numbers)\n" in await office.saved()


async def compared(office: Office) -> bool:
    shown = office.window.page.locator(".modified [class*='ghost-text-decoration']")
    return "".join(await shown.all_text_contents()) == "um(numbers)"


async def test_the_menu_can_be_kept_beside_suggestions(office: Office):
    await office.edit(MEAN, GAP)
    await office.window.command("Midfill: Keep the Completion Menu beside Suggestions")
    path = office.server.home / "data" / "User" / "settings.json"
    kept = {"other": "on"}
    await until(
        "the setting",
        lambda: (
            kept.items() <= json.loads(path.read_text()).get("editor.quickSuggestions", {}).items()
        ),
    )


async def test_a_file_of_ten_thousand_lines(office: Office):
    office.answers("bc(x)")
    half = "".join(f"value_{n} = {n}  # 🎉\n" for n in range(5_000))
    await office.edit(f"{half}\n{half}", (5_000, 0))
    await office.window.type("a")
    await office.window.sees("bc(x)")


async def test_the_status_says_why_nothing_is_shown(office: Office):
    office.answers("")
    await office.edit(MEAN, GAP)
    await office.window.type("q")
    await office.window.says("nothing to add")
    await office.window.command("Midfill: Why Nothing?")
    await office.window.reads("nothing to add here")


async def test_the_tooltip_has_the_time_and_the_forwards_of_the_last_suggestion(office: Office):
    office.answers("um(numbers)", nfe=7)
    await office.edit(MEAN, GAP)
    await office.window.type("s")
    await office.window.sees("um(numbers)")
    tooltip = await office.window.tooltip()
    assert re.search(r"Last suggestion: \d+ ms, 7 forwards \(NFE\)", tooltip)
    assert "fake-model on cpu" in tooltip


async def test_the_walkthrough_shows_its_pictures(office: Office):
    await office.window.command("Welcome: Open Walkthrough", "Get Started with Midfill")
    page, step = office.window.page, '.getting-started-step{}:has-text("Take all of it")'

    async def pictured() -> bool:
        # VS Code draws the page anew while it opens, and a click in that moment is lost.
        if await page.query_selector(step.format(".expanded")) is None:
            await page.click(step.format(""))
        return await office.window.has_picture()

    await until("a picture", pictured)
    await office.window.keep(office.output / "walkthrough.png")
    await page.click(".tab.active .tab-actions .action-label")


async def test_the_inspector_follows_the_last_request(office: Office):
    office.engine.drafts = ["s·····s)", "um(<b>numbers"]
    office.answers("um(", ("<b>numbers", 0.4), ")", nfe=4, prompt_tokens=90, cached_tokens=80)
    await office.edit(MEAN, GAP)
    await office.window.command("Midfill: Open Inspector")
    await office.window.type("s")
    page = await office.window.panel()
    await page.wait_for_selector("text=90, of which 80 were cached")
    await page.wait_for_selector('span.guess[title="0.40"]:text("<b>numbers")')
    await page.wait_for_selector("table.steps tr:nth-child(2) :text('um(<b>numbers')")
    await page.wait_for_selector(".segment:has-text('total = s')")
    await office.window.keep(office.output / "inspector.png")
    office.answers("")
    await office.window.type("q")
    await page.wait_for_selector("text=The model has nothing to add here.")
    await office.window.command("View: Close Editors in Other Groups")


async def test_holes_in_a_file_are_filled(office: Office):
    office.engine.answer = lambda body: fill(middle("b" if "a = 1" in body["suffix"] else "0"))
    await office.edit("x = ___\ny = ___\na = 1\n", (0, 0))
    await office.window.command("Midfill: Fill the Holes")
    await office.window.page.wait_for_selector(".tab.active.dirty")
    assert "___" not in await office.saved()


async def test_drafts_are_drawn_while_denoising(office: Office):
    office.server.configure({"midfill.drafts": True})
    office.engine.drafts = ["um(", "um(numbers"]
    office.engine.go.clear()
    await office.edit(MEAN, GAP)
    await office.window.type("s")
    await office.window.draws("um(numbers")
    await office.window.keep(office.output / "draft.png")
    office.answers("um(numbers)")
    office.engine.go.set()
    await office.window.sees("um(numbers)")
    assert await office.window.drawn() == ""


async def test_a_language_server_that_died_is_started_again(office: Office):
    office.answers("um(numbers)")
    await office.edit(MEAN, GAP)
    first = office.server.language_servers()
    assert len(first) == 1
    first[0].kill()
    await until("another one", lambda: set(office.server.language_servers()) - set(first))
    await office.window.is_ready()
    await office.window.type("s")
    await office.window.sees("um(numbers)")


async def test_an_engine_that_died_is_missed_and_welcomed_back(office: Office):
    await office.edit(MEAN, GAP)
    await office.engine.close()
    await office.window.type("s")
    await office.goes_on()


async def test_two_windows_share_the_engine(office: Office):
    office.answers("um(numbers)")
    await office.edit(MEAN, GAP)
    page = await office.window.page.context.new_page()
    other = Window(office.server, page)
    try:
        await other.open(office.server.write("other.py", MEAN))
        await other.is_ready()
        await other.cursor(*GAP)
        await other.type("s")
        await other.sees("um(numbers)")
        await office.window.page.bring_to_front()
        await office.window.type("s")
        await office.window.sees("um(numbers)")
        assert len({body["session"] for body in office.engine.requests}) == 2
    finally:
        await page.close()


async def test_latency_from_key_to_ghost_text(office: Office):
    """Measured for the closing lines; a slow machine is no fault."""

    def double(body):
        """Something only after a letter, so that the ghost text vanishes between samples."""
        letter = body["prefix"][-1].strip()
        return fill(middle(f"{letter}sum(numbers)" if letter else ""))

    office.engine.answer = double
    await office.edit(MEAN, GAP)
    fresh, along = [], []
    for letter in "abcdefghijk":
        fresh.append(await office.window.time_to_ghost(letter))
        along.append(await office.window.time_to_ghost(letter))
        await office.window.press("Backspace", "Backspace")
        await until("no ghost text", office.window.shows_nothing)
    office.record("fresh, engine answers at once", fresh[1:])
    office.record("typed along", along[1:])
