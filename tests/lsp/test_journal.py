"""Outcomes of suggestions: one line each, bounded, on this disk only."""

import json

from midfill_lsp import journal as module
from midfill_lsp.features.acceptance import kept_share
from midfill_lsp.journal import Journal


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def lines(directory, name="journal.jsonl"):
    return [json.loads(line) for line in (directory / name).read_text().splitlines()]


def test_a_suggestion_lives_from_offered_to_its_end(tmp_path):
    clock = Clock()
    journal = Journal(tmp_path, clock=clock)
    journal.offered("a", chars=3, source="model")
    clock.now = 0.1
    journal.shown("a")
    journal.offered("a", chars=2, source="typed-along")  # typed along: the same one
    clock.now = 0.5
    journal.accepted("a", "all", 3)
    [line] = lines(tmp_path)
    assert line.pop("at")
    assert line == {
        "id": "a",
        "outcome": "accepted",
        "chars": 3,
        "source": "model",
        "accepted": 3,
        "offered_ms": 500,
        "shown_ms": 400,
    }


def test_parts_and_dismissals_and_what_was_never_offered(tmp_path):
    journal = Journal(tmp_path)
    journal.offered("a")
    journal.accepted("a", "word", 2)
    journal.offered("b")
    journal.dismissed("b")
    journal.accepted("unheard", "all", 1)
    journal.shown("unheard")
    journal.close()
    assert [(x["id"], x["outcome"]) for x in lines(tmp_path)] == [
        ("b", "dismissed"),
        ("a", "partly"),
    ]


def test_the_file_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_BYTES", 100)
    journal = Journal(tmp_path)
    for number in range(4):
        journal.persisted(str(number), 30, 1.0)
    assert len(lines(tmp_path)) < 4
    assert lines(tmp_path, "journal.1.jsonl")


def test_open_lives_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_OPEN", 2)
    journal = Journal(tmp_path)
    for name in "abc":
        journal.offered(name)
    assert [(x["id"], x["outcome"]) for x in lines(tmp_path)] == [("a", "replaced")]


def test_a_disk_that_cannot_be_written_costs_only_the_journal(tmp_path):
    (tmp_path / "file").touch()
    journal = Journal(tmp_path / "file" / "below")
    journal.offered("a")
    journal.dismissed("a")


def test_how_much_of_an_accepted_text_is_still_there():
    taken = "total = sum(prices)\n    return total\n"
    assert kept_share(taken, f"def f():\n    {taken}") == 1.0
    assert kept_share(taken, "") == 0.0
    assert 0.5 < kept_share(taken, "total = sum(all_prices)\n    return total") < 1.0
    assert kept_share("  \n", "x") == 0.0
