"""Logs of the language server: one JSON object a line, and never the user's text.

Owns the formatter. It writes the constant event name (the *template* of a record, its arguments
are dropped), the fields that were handed over with ``extra={"f": {...}}``, and of an exception
its type and places only: messages of foreign exceptions may quote what they choked on.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
from pathlib import Path
from typing import Any

#: A field may be a number, a flag, or one of our own short words; longer strings are cut.
MAX_FIELD_CHARS = 200


class JsonFormatter(logging.Formatter):
    """One JSON line a record, whitelisted by construction."""

    def format(self, record: logging.LogRecord) -> str:
        """Write time, level, logger, event, fields and the places of an exception."""
        line: dict[str, Any] = {
            "at": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _event(record.msg),
        }
        line |= {k: _field(v) for k, v in getattr(record, "f", {}).items()}
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
            frames = traceback.extract_tb(record.exc_info[2])
            line["where"] = [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in frames]
        return json.dumps(line)


def _event(message: Any) -> str:
    """The constant part: other libraries put what they are about on the lines after the first."""
    if not isinstance(message, str):
        return type(message).__name__
    return message.partition("\n")[0][:MAX_FIELD_CHARS]


def _field(value: Any) -> Any:
    if isinstance(value, bool | int | float) or value is None:
        return value
    return str(value)[:MAX_FIELD_CHARS]


def configure(level: str = "warning", file: str = "") -> list[str]:
    """Send all logs to stderr, or to ``file`` (made with mode 0600); what went wrong, in words.

    The levels below WARNING of pygls print whole messages; it is kept at WARNING, and even
    there the formatter drops the arguments.
    """
    problems = []
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    if file:
        path = Path(file).expanduser()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            handler = logging.FileHandler(path, encoding="utf-8")
        except OSError as error:
            problems.append(f"The log file {path} cannot be written ({error.strerror}).")
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(level.upper())
    for noisy in ("pygls", "asyncio", "aiohttp"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    return problems
