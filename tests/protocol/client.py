"""A raw JSON-RPC client: sends what it is told to, even what no client should.

It talks to a real `midfill lsp` process (`Client.start`) or to a server inside the test's own
loop (`Client.inside`), which spares the start of a process.
"""

import asyncio
import itertools
import json
import os
import sys
from pathlib import Path

from pygls.io_ import run_async

ROOT = Path(__file__).resolve().parents[2]
URI = "file:///project/main.py"


def environment(directory):
    """Variables that keep a server away from the user's files."""
    return {
        "MIDFILL_RUNTIME_DIR": str(directory),
        "MIDFILL_STATE_DIR": str(Path(directory) / "state"),
        "MIDFILL_CONFIG": str(Path(directory) / "user.toml"),
        "MIDFILL_LSP_ENGINE_AUTOSTART": "false",
    }


class Client:
    """One editor. ``configuration`` is what it answers to `workspace/configuration`."""

    def __init__(self, write, reader, process=None):
        self._write, self.process = write, process
        self._ids = itertools.count(1)
        self._answers = {}
        self._answered = asyncio.Condition()
        self._asked = {}
        self.notifications = []
        self.refusals = []
        self.requests = []
        self.configuration = None
        self._reader = asyncio.ensure_future(self._read(reader))

    @classmethod
    async def start(cls, directory, **env):
        """A real process."""
        base = {k: v for k, v in os.environ.items() if not k.startswith("MIDFILL_")}
        base["PYTHONPATH"] = os.pathsep.join([str(ROOT / "lsp_server"), str(ROOT / "engine")])
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "midfill_lsp.cli",
            "lsp",
            "--stdio",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=base | environment(directory) | {k: str(v) for k, v in env.items()},
        )
        return cls(process.stdin.write, process.stdout, process)

    @classmethod
    def inside(cls, server):
        """A server in this loop; messages sent without a pause are read in one go."""
        to_server, to_client = asyncio.StreamReader(), asyncio.StreamReader()
        server.protocol.set_writer(_Writer(to_client))
        loop = run_async(
            stop_event=_Never(),
            reader=to_server,
            protocol=server.protocol,
            error_handler=server.report_server_error,
        )
        client = cls(to_server.feed_data, to_client)
        client.serving = asyncio.ensure_future(loop)
        client.serving.add_done_callback(lambda _: to_client.feed_eof())
        client.hang_up = to_server.feed_eof
        return client

    async def initialize(self, capabilities=None, **params):
        result = await self.request(
            "initialize",
            {"processId": None, "rootUri": None, "capabilities": capabilities or {}} | params,
        )
        self.notify("initialized", {})
        return result["result"]

    def send(self, message):
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        self._write(b"Content-Length: %d\r\n\r\n" % len(body) + body)

    def notify(self, method, params):
        self.send({"jsonrpc": "2.0", "method": method, "params": params})

    def ask(self, method, params):
        """Send a request and return its id at once."""
        msg_id = next(self._ids)
        self._asked[msg_id] = method
        self.send({"jsonrpc": "2.0", "id": msg_id, "method": method, "params": params})
        return msg_id

    async def answer(self, msg_id):
        """The whole response message for an id."""
        await self._until(lambda: msg_id in self._answers, f"answer to {self._asked[msg_id]}")
        return self._answers[msg_id]

    async def request(self, method, params):
        return await self.answer(self.ask(method, params))

    async def noted(self, method, check=lambda _: True):
        """Wait for a notification; its parameters."""

        def found():
            return [p for m, p in self.notifications if m == method and check(p)]

        await self._until(found, method)
        return found()[0]

    async def asked_for(self, method):
        """Wait for a request of the server's."""
        await self._until(lambda: any(m == method for m, _ in self.requests), method)

    def told(self):
        """What the user was shown in message boxes."""
        return [p["message"] for m, p in self.notifications if m == "window/showMessage"]

    async def settled(self):
        """Until everything sent so far has been read and handled."""
        await self.request("midfill/status/get", {})

    def open(self, text, uri=URI, language="python", version=1):
        item = {"uri": uri, "languageId": language, "version": version, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": item})

    def type(self, text, line, character, version, uri=URI):
        """Insert text at a position."""
        self.replace(text, (line, character), (line, character), version, uri)

    def replace(self, text, start, end, version, uri=URI):
        """Replace a range, given as (line, character) pairs."""
        where = {
            "start": {"line": start[0], "character": start[1]},
            "end": {"line": end[0], "character": end[1]},
        }
        self.notify(
            "textDocument/didChange",
            {
                "textDocument": {"uri": uri, "version": version},
                "contentChanges": [{"range": where, "text": text}],
            },
        )

    def ask_inline(self, line, character, kind=2, uri=URI, **context):
        params = inline(line, character, kind, uri, **context)
        return self.ask("textDocument/inlineCompletion", params)

    async def inline(self, line, character, kind=2, uri=URI, **context):
        """The items, or ``None``."""
        answer = await self.answer(self.ask_inline(line, character, kind, uri, **context))
        assert "error" not in answer, answer
        return answer["result"] and answer["result"]["items"]

    async def why(self, uri=URI):
        """The code of the last silence, or ``None``."""
        answer = await self.request("midfill/why", {"textDocument": {"uri": uri}})
        return answer["result"] and answer["result"]["code"]

    async def ready(self):
        await self.noted("midfill/status", lambda p: p["state"] == "ready")

    async def stop(self):
        """Leave as a client should."""
        await self.request("shutdown", None)
        if self.process is not None:
            self.notify("exit", None)
            return await self.ended()
        self.hang_up()
        await self.serving
        await self._reader
        return None

    async def ended(self):
        """The exit code, once the process is gone."""
        code = await asyncio.wait_for(self.process.wait(), 60)
        await self._reader
        return code

    async def _until(self, condition, what):
        async with self._answered:
            waiting = self._answered.wait_for(lambda: condition() or self._reader.done())
            await asyncio.wait_for(waiting, 60)
        assert condition(), f"the server ended before: {what}"

    async def _read(self, stream):
        try:
            while header := await stream.readline():
                length = int(header.split(b":")[1])
                while (await stream.readline()).strip():
                    pass
                self._take(json.loads(await stream.readexactly(length)))
                async with self._answered:
                    self._answered.notify_all()
        finally:
            asyncio.get_running_loop().call_soon(asyncio.ensure_future, self._wake())

    async def _wake(self):
        async with self._answered:
            self._answered.notify_all()

    def _take(self, message):
        if "method" in message and "id" in message:
            self.requests.append((message["method"], message.get("params")))
            pulled = message["method"] == "workspace/configuration"
            result = [self.configuration] if pulled else None
            self.send({"jsonrpc": "2.0", "id": message["id"], "result": result})
        elif "method" in message:
            self.notifications.append((message["method"], message.get("params")))
        elif message["id"] is None:
            self.refusals.append(message)
        else:
            assert message["id"] not in self._answers, "answered twice"
            self._answers[message["id"]] = message


class _Writer:
    def __init__(self, stream):
        self.write = stream.feed_data

    def close(self):
        pass


class _Never:
    def is_set(self):
        return False


def inline(line, character, kind=2, uri=URI, **context):
    return {
        "textDocument": {"uri": uri},
        "position": {"line": line, "character": character},
        "context": {"triggerKind": kind} | context,
    }
