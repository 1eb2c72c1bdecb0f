"""What unmodified clients were seen to send, kept in `tests/engine/api/exchanges/`.

`MIDFILL_RECORD=1` keeps it anew, as of the commit that `MIDFILL_RECORD_COMMIT` or the client's
folder names. Else it is compared: names and types, not texts.
"""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

from tests.editors.desk import ROOT
from tests.editors.recording import RecordingEngine

#: What the scripted model says to all of them.
MIDDLE = ("sum", "(", "values", ")")


def by_kind(engine: RecordingEngine) -> dict[str, dict[str, Any]]:
    """The first exchange of each kind."""
    return {kind(e["body"]): e for e in reversed(engine.exchanges)}


def kind(body: dict[str, Any]) -> str:
    """What a request is for."""
    if body.get("n_predict") == 0:
        return "warm-up"
    return "asked ahead" if body["prompt"].endswith("".join(MIDDLE)) else "completion"


def compare(name: str, how: str, folder: str, seen: dict[str, dict[str, Any]]) -> None:
    """Hold what a client sent against what is kept of it, or keep it."""
    path = ROOT / f"tests/engine/api/exchanges/{name}.json"
    if os.environ.get("MIDFILL_RECORD"):
        exchanges = [{"what": what, **seen[what]} for what in sorted(seen)]
        kept = {"client": name, "commit": _commit(folder), "how": how, "exchanges": exchanges}
        path.write_text(json.dumps(kept, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
    forms = {e["what"]: _form(e) for e in json.loads(path.read_text())["exchanges"]}
    assert {what: _form(e) for what, e in seen.items()} == forms


def _form(exchange: dict[str, Any]) -> dict[str, Any]:
    types = {key: type(value).__name__ for key, value in exchange["body"].items()}
    return {"path": exchange["path"], "headers": sorted(exchange["headers"]), "body": types}


def _commit(folder: str) -> str:
    if named := os.environ.get("MIDFILL_RECORD_COMMIT"):
        return named
    words = ["git", "-C", folder, "rev-parse", "HEAD"]
    return subprocess.run(words, capture_output=True, check=True, text=True).stdout.strip()
