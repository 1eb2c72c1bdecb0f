"""One JSON line an event, without any text of the user.

Owns the format and the list of fields that may be written. A record of another library keeps its
level and its place only: its message could quote a request.
"""

from __future__ import annotations

import json
import logging
import traceback
from datetime import UTC, datetime
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

LOGGER = "midfill_engine"

#: Fields that a line may have: numbers, names of our own, and places in our code.
FIELDS = (
    "code",
    "endpoint",
    "status",
    "error",
    "where",
    "ms",
    "queue_ms",
    "prefill_ms",
    "denoise_ms",
    "nfe",
    "prompt_tokens",
    "cached_tokens",
    "completion_tokens",
    "finish_reason",
    "model",
    "device",
    "pid",
    "version",
    "reason",
)

LOG_BYTES = 1_000_000


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The line; fields that are not in `FIELDS` are dropped."""
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
        }
        if record.name.startswith(LOGGER):
            line["event"] = record.msg
            line |= {
                name: _plain(record.__dict__[name])
                for name in FIELDS
                if vars(record).get(name, "") != ""
            }
        else:
            kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
            line |= {"event": "library", "where": f"{record.name}:{record.lineno}", "error": kind}
        return json.dumps(line, separators=(",", ":"))


class PrivateFile(RotatingFileHandler):
    """A rotated file that only its owner reads, also when an editor made it with other rights."""

    def _open(self) -> TextIOWrapper:
        stream = super()._open()
        Path(self.baseFilename).chmod(0o600)
        return stream


def configure(file: Path | None = None, level: int = logging.INFO) -> None:
    """Send all records to ``file`` (rotated, two at most), or to standard error."""
    handler = (
        logging.StreamHandler()
        if file is None
        else PrivateFile(file, maxBytes=LOG_BYTES, backupCount=1, encoding="utf-8")
    )
    handler.setFormatter(JsonLines())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger(LOGGER).setLevel(level)


def log_defect(log: logging.Logger, error: Exception) -> None:
    """Log kind and place of a defect; never its text, which may quote the user's code."""
    frames = traceback.extract_tb(error.__traceback__)
    where = " > ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)
    log.error("defect", extra={"error": type(error).__name__, "where": where})


def _plain(value: object) -> object:
    return round(value, 1) if isinstance(value, float) else value
