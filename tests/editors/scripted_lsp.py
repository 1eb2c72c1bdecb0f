"""A language server that plays a script: it answers what a test tells it to, even wrongly.

Run as a program on standard input and output, standard library only. The environment variable
``SCRIPTED_LSP_LOG`` names a file that gets one JSON line for each message, with its time.
``scripted/set`` (a notification) changes the script:

``completions``: texts; one is answered when the cursor's line, blanks at its start aside, is a
beginning of it. ``delay_ms``, ``confidence`` ([length, confidence] pairs), ``sure``, ``null``
(answer nothing), ``late`` (answer cancelled requests, too), ``replace`` (characters right of the
cursor to replace), ``drafts`` (texts sent before the answer), ``items`` (further candidates),
``inspected`` (the answer to `midfill/inspect`).
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO

ENCODING = os.environ.get("SCRIPTED_LSP_ENCODING", "utf-16")


def read_message(stream: BinaryIO) -> dict[str, Any] | None:
    length = 0
    while line := stream.readline():
        if line == b"\r\n":
            message: dict[str, Any] = json.loads(stream.read(length))
            return message
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return None


def units(text: str) -> int:
    if ENCODING == "utf-16":
        return len(text.encode("utf-16-le")) // 2
    return len(text.encode()) if ENCODING == "utf-8" else len(text)


def split_at(line: str, character: int) -> tuple[str, str]:
    """A line split at a position counted in the client's encoding."""
    for i in range(len(line) + 1):
        if units(line[:i]) >= character:
            return line[:i], line[i:]
    return line, ""


class Server:
    """The loop, the documents and the script."""

    def __init__(self) -> None:
        self.documents: dict[str, tuple[int, str]] = {}
        self.script: dict[str, Any] = json.loads(os.environ.get("SCRIPTED_LSP_SCRIPT", "{}"))
        self.cancelled: set[Any] = set()
        self.lock = threading.Lock()
        self.answers = 0
        path = os.environ.get("SCRIPTED_LSP_LOG")
        self.log = Path(path).open("a", buffering=1) if path else None  # noqa: SIM115

    def send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        with self.lock:
            sys.stdout.buffer.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
            sys.stdout.buffer.flush()
            self.note("sent", message)

    def note(self, direction: str, message: dict[str, Any]) -> None:
        if self.log:
            self.log.write(json.dumps({"t": time.time(), "dir": direction, **message}) + "\n")

    def run(self) -> None:
        while message := read_message(sys.stdin.buffer):
            self.note("got", message)
            handler = getattr(
                self, "on_" + message.get("method", "").replace("/", "_").strip("$_"), None
            )
            if handler:
                handler(message)
            elif "id" in message and "method" in message:
                self.send({"id": message["id"], "result": None})

    def on_initialize(self, message: dict[str, Any]) -> None:
        capabilities = {
            "textDocumentSync": {"openClose": True, "change": 1},
            "positionEncoding": ENCODING,
            "inlineCompletionProvider": {},
            "executeCommandProvider": {"commands": ["midfill.accepted"]},
        }
        self.send({"id": message["id"], "result": {"capabilities": capabilities}})

    def on_exit(self, _message: dict[str, Any]) -> None:
        sys.exit(0)

    def on_textDocument_didOpen(self, message: dict[str, Any]) -> None:  # noqa: N802
        document = message["params"]["textDocument"]
        self.documents[document["uri"]] = (document["version"], document["text"])

    def on_textDocument_didChange(self, message: dict[str, Any]) -> None:  # noqa: N802
        document, (change, *_) = (
            message["params"]["textDocument"],
            message["params"]["contentChanges"],
        )
        self.documents[document["uri"]] = (document["version"], change["text"])

    def on_cancelRequest(self, message: dict[str, Any]) -> None:  # noqa: N802
        self.cancelled.add(message["params"]["id"])

    def on_scripted_set(self, message: dict[str, Any]) -> None:
        self.script.update(message["params"])

    def on_scripted_die(self, _message: dict[str, Any]) -> None:
        os._exit(7)

    def on_scripted_send(self, message: dict[str, Any]) -> None:
        self.send(message["params"])

    def on_midfill_why(self, message: dict[str, Any]) -> None:
        reason = {"code": "comment", "message": "The cursor is in a comment.", "at_version": 1}
        self.send({"id": message["id"], "result": reason if self.script.get("null") else None})

    def on_midfill_inspect(self, message: dict[str, Any]) -> None:
        self.send({"id": message["id"], "result": self.script.get("inspected")})

    def on_midfill_toggle(self, message: dict[str, Any]) -> None:
        self.send({"id": message["id"], "result": {"enabled": False}})

    def on_midfill_snooze(self, message: dict[str, Any]) -> None:
        self.send({"id": message["id"], "result": {"state": "paused", "message": "Resting."}})

    def on_midfill_fillHoles(self, message: dict[str, Any]) -> None:  # noqa: N802
        uri = message["params"]["textDocument"]["uri"]
        edits = []
        for number, line in enumerate(self.documents[uri][1].split("\n")):
            start = line.find("___")
            if start >= 0:
                ends = [{"line": number, "character": start + n} for n in (0, 3)]
                edits.append({"range": {"start": ends[0], "end": ends[1]}, "newText": "filled"})
        self.send({"id": message["id"], "result": {"changes": {uri: edits}}})

    def on_textDocument_inlineCompletion(self, message: dict[str, Any]) -> None:  # noqa: N802
        params, script = message["params"], dict(self.script)
        uri, position = params["textDocument"]["uri"], params["position"]
        version, text = self.documents[uri]
        line = text.split("\n")[position["line"]].rstrip("\r")
        before, _after = split_at(line, position["character"])
        result = self.answer(before, position, script, params["context"])
        for step, draft in enumerate(script.get("drafts", ())):
            tokens = [[units(word), 0.9, int(i == 0)] for i, word in enumerate(draft)]
            self.send(
                {
                    "method": "midfill/draft",
                    "params": {
                        "uri": uri,
                        "version": version,
                        "position": position,
                        "text": "".join(draft),
                        "tokens": tokens,
                        "step": step,
                    },
                }
            )

        def reply() -> None:
            if message["id"] not in self.cancelled or script.get("late"):
                self.send({"id": message["id"], "result": result})
            else:
                error = {"code": -32800, "message": "cancelled"}
                self.send({"id": message["id"], "error": error})

        delay = script.get("delay_ms", 0)
        if delay:
            threading.Timer(delay / 1000, reply).start()
        else:
            reply()

    def answer(
        self, before: str, position: dict[str, int], script: dict[str, Any], context: dict[str, Any]
    ) -> dict[str, Any] | None:
        if script.get("null"):
            return None
        selected = context.get("selectedCompletionInfo")
        typed = before.lstrip()
        if selected:
            typed = typed[
                : len(typed) - (position["character"] - selected["range"]["start"]["character"])
            ]
            typed += selected["text"]
        for text in script.get("completions", ()):
            if text.startswith(typed) and text != typed and (typed or script.get("blank")):
                rest = text[len(typed) :]
                start = dict(position)
                if selected:
                    start = selected["range"]["start"]
                    rest = selected["text"] + rest
                end = {**position, "character": position["character"] + script.get("replace", 0)}
                count = 1 if context["triggerKind"] == 2 else 1 + len(script.get("items", ()))
                texts = [rest, *script.get("items", ())][:count]
                return {"items": [self.item(t, start, end, script) for t in texts]}
        return None

    def item(
        self, text: str, start: dict[str, int], end: dict[str, int], script: dict[str, Any]
    ) -> dict[str, Any]:
        self.answers += 1
        about = {
            "id": f"s{self.answers}",
            "tokens": script.get("confidence", [[len(text), 0.95]]),
            "sure": script.get("sure", len(text.encode("utf-16-le")) // 2),
            "ms": 12.5,
            "nfe": 3,
            "source": "model",
        }
        command = {"command": "midfill.accepted", "title": "Accepted", "arguments": [about]}
        return {"insertText": text, "range": {"start": start, "end": end}, "command": command}


if __name__ == "__main__":
    Server().run()
