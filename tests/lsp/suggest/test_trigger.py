"""When not to ask: switches, snoozing by the clock, dismissals that follow their line."""

import pytest

from midfill_lsp.documents import Ask, DocumentSnapshot, LineEdit
from midfill_lsp.settings import LspSettings
from midfill_lsp.suggest.silence import MESSAGES, silence
from midfill_lsp.suggest.trigger import Dismissals, Switches, why_not_here, why_off

URI = "file:///a.py"


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def snapshot(text="x = ", uri=URI):
    return DocumentSnapshot(uri, 1, "python", text, len(text))


def test_a_snooze_ends_by_itself():
    clock = Clock()
    switches = Switches(clock)
    switches.snooze(2)
    off = why_off(snapshot(), LspSettings(), switches, explicit=False)
    assert (off.code, off.message) == ("snoozed", "Midfill is snoozed for 2 more minutes.")
    clock.now += 121
    assert why_off(snapshot(), LspSettings(), switches, explicit=False) is None


@pytest.mark.parametrize(
    ("languages", "on"),
    [
        ({}, True),
        ({"*": False}, False),
        ({"*": False, "python": True}, True),
        ({"go": False}, True),
    ],
)
def test_languages_by_setting(languages, on):
    assert Switches().language_on(LspSettings(languages=languages), "python") is on


def test_a_switch_overrules_the_setting_both_ways():
    switches, off = Switches(), LspSettings(enabled=False)
    assert switches.toggle(off, None, None) is True
    assert switches.on(off)
    assert switches.toggle(off, None, None) is False


def test_large_documents():
    settings = LspSettings(max_document_chars=1000)
    assert why_off(snapshot("x" * 1001), settings, Switches(), explicit=True).code == "too-large"


@pytest.mark.parametrize(
    ("edit", "lines"),
    [
        (LineEdit(5, 5, 1), [3]),  # below
        (LineEdit(3, 3, 1), []),  # there
        (LineEdit(0, 0, 3), [5]),  # two lines more above
        (LineEdit(0, 1, 1), [2]),  # one line less above
        (LineEdit(3, 2, 1), [4]),  # a line put before it
        (LineEdit(1, 4, 1), []),  # replaced along with others
    ],
)
def test_a_dismissal_follows_its_line(edit, lines):
    dismissals = Dismissals()
    dismissals.add(URI, 3)
    dismissals.changed(URI, [edit])
    assert [line for line in range(9) if dismissals.holds(URI, line)] == lines


def test_dismissals_end_with_the_text_or_the_document():
    dismissals = Dismissals()
    for end in (lambda: dismissals.changed(URI, None), lambda: dismissals.closed(URI)):
        dismissals.add(URI, 3)
        end()
        assert not dismissals.holds(URI, 3)


@pytest.mark.parametrize(
    ("after", "code"), [("x", "word-follows"), ("_", "word-follows"), (")", None)]
)
def test_the_rest_of_a_word(after, code):
    ask = Ask(DocumentSnapshot(URI, 1, "python", f"a{after}", 1))
    why = why_not_here(ask, dismissed=False)
    assert (why and why.code) == code


def test_each_code_has_a_sentence():
    assert all(text.endswith(".") for text in MESSAGES.values())
    assert silence("empty", "Something more precise.").message == "Something more precise."
