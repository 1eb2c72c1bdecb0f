"""Log lines: JSON, constant events, whitelisted fields, and no text that somebody else put in."""

import json
import logging

from midfill_lsp.logs import JsonFormatter

CANARY = "zq_canary"


def line(record):
    text = JsonFormatter().format(record)
    assert CANARY not in text
    return json.loads(text)


def record(message, *args, error=None, **fields):
    info = (type(error), error, error.__traceback__) if error else None
    made = logging.LogRecord("midfill_lsp.x", logging.INFO, "x.py", 1, message, args, info)
    made.f = fields
    return made


def test_event_fields_and_level():
    told = line(record("engine state", state="ready", progress=0.5, none=None))
    assert told["event"] == "engine state"
    assert told["level"] == "info"
    assert (told["state"], told["progress"], told["none"]) == ("ready", 0.5, None)


def test_arguments_of_a_message_are_dropped():
    assert line(record("failed with %s", CANARY))["event"] == "failed with %s"


def test_of_an_exception_its_type_and_places_only():
    def fail():
        raise KeyError(CANARY)

    try:
        fail()
    except KeyError as error:
        told = line(record("handler failed", error=error))
    assert told["error"] == "KeyError"
    assert told["where"][-1].endswith(" fail")


def test_what_asyncio_writes_out_is_cut():
    assert line(record(f"Task failed\nfuture: {CANARY}"))["event"] == "Task failed"
    assert line(record(ValueError(CANARY)))["event"] == "ValueError"


def test_long_fields_are_cut():
    assert len(line(record("x", path="y" * 999))["path"]) == 200
