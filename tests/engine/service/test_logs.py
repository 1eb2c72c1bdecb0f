"""What may stand in a log line."""

from __future__ import annotations

import json
import logging
import stat

import pytest

from midfill_engine.service import logs


@pytest.fixture
def file(tmp_path):
    root, own = logging.getLogger(), logging.getLogger(logs.LOGGER)
    before = root.handlers[:], root.level, own.level
    logs.configure(tmp_path / "engine.log", logging.DEBUG)
    yield tmp_path / "engine.log"
    for handler in root.handlers:
        handler.close()
    root.handlers[:], root.level, own.level = before


def lines(file) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_one_json_line_an_event_with_known_fields_only(file):
    log = logging.getLogger(f"{logs.LOGGER}.service.engine")
    log.info("fill", extra={"nfe": 3, "ms": 1.23456, "code": "", "prompt": "canary"})
    (line,) = lines(file)
    assert line.pop("at")
    assert line == {"level": "info", "event": "fill", "nfe": 3, "ms": 1.2}


def test_a_library_can_say_that_something_happened_but_not_what(file):
    try:
        int("canary")
    except ValueError:
        logging.getLogger("aiohttp.server").exception("canary %s", "canary")
    (line,) = lines(file)
    assert line["error"] == "ValueError"
    assert line["where"].startswith("aiohttp.server:")
    assert "canary" not in file.read_text()


def test_a_defect_is_logged_by_kind_and_place(file):
    try:
        {}["canary"]
    except KeyError as error:
        logs.log_defect(logging.getLogger(logs.LOGGER), error)
    (line,) = lines(file)
    assert (line["error"], line["event"]) == ("KeyError", "defect")
    assert line["where"].startswith("test_logs.py:")
    assert "canary" not in file.read_text()


def test_the_file_is_bounded(file, monkeypatch):
    log = logging.getLogger(logs.LOGGER)
    monkeypatch.setattr(logging.getLogger().handlers[0], "maxBytes", 500)
    for _ in range(100):
        log.info("fill")
    assert file.stat().st_size <= 500
    assert sorted(path.name for path in file.parent.iterdir()) == ["engine.log", "engine.log.1"]


def test_the_file_is_private(file):
    logging.getLogger(logs.LOGGER).info("started")
    assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0
