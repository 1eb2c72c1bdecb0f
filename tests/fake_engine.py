"""A scripted engine on a Unix socket: speaks the engine's protocol, denoises nothing.

In a test it lives in the test's own event loop (`FakeEngine`), so that the test decides when it
answers. Run as a program it is what the setting `engine.command` starts.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
from pathlib import Path

from aiohttp import web

from midfill_engine.wire import PROTOCOL_VERSION, Draft, Fill, Middle, Token


def tokens(*pieces):
    """Tokens from texts (confidence 0.9) or (text, confidence) pairs."""
    pairs = [(p, 0.9) if isinstance(p, str) else p for p in pieces]
    return tuple(Token(text, confidence) for text, confidence in pairs)


def middle(*pieces, reason="end"):
    made = tokens(*pieces)
    return Middle("".join(t.text for t in made), made, -0.1, reason)


def fill(*middles, reason="end", nfe=3, **figures):
    made = {"model": "fake", "strategy": "balanced", "nfe": nfe, **figures}
    return Fill(tuple(middles), reason, **made)


class FakeEngine:
    """Answers with `answer`: a fill, an error's dictionary, or a function of the request."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.answer = fill(middle("fake()"))
        self.drafts = []
        self.requests = []
        self.cancelled = 0
        self.status, self.progress, self.message = "ok", 1.0, ""
        self.protocol = PROTOCOL_VERSION
        self.stopped = False
        self.arrived = asyncio.Event()
        self.closed = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()
        self._running = {}
        self._runner = None

    async def start(self):
        app = web.Application()
        app.router.add_get("/health", self._health)
        app.router.add_post("/v1/midfill", self._fill)
        app.router.add_post("/v1/midfill/typed", self._typed)
        app.router.add_post("/v1/midfill/stop", self._stop)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        self.directory.mkdir(parents=True, exist_ok=True)
        socket = self.directory / "engine.sock"
        socket.unlink(missing_ok=True)
        await web.UnixSite(self._runner, str(socket)).start()
        described = {"pid": os.getpid(), "protocol": self.protocol, "socket": str(socket)}
        (self.directory / "engine.json").write_text(json.dumps(described))
        return self

    async def close(self):
        (self.directory / "engine.json").unlink(missing_ok=True)
        (self.directory / "engine.sock").unlink(missing_ok=True)
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    @property
    def asked(self):
        """The requests that somebody waited for."""
        return [r for r in self.requests if not r.get("speculative")]

    async def _health(self, _):
        model = {"name": "fake-model", "device": "cpu"} if self.status == "ok" else None
        return web.json_response(
            {
                "status": self.status,
                "progress": self.progress,
                "message": self.message,
                "protocol": self.protocol,
                "model": model,
            }
        )

    async def _stop(self, _):
        self.stopped = True
        asyncio.get_running_loop().call_soon(lambda: asyncio.ensure_future(self.close()))
        return web.json_response({})

    async def _typed(self, request):
        """End the fill for which this was typed, unless its draft begins so and says more."""
        told = await request.json()
        said, ended = self._running.get((told["session"], told["version"]), ("", None))
        if ended and not (len(said) > len(told["typed"]) and said.startswith(told["typed"])):
            ended.set()
        return web.json_response({})

    async def _fill(self, request):
        body = await request.json()
        self.requests.append(body)
        self.arrived.set()
        try:
            return await self._answered(request, body)
        except (asyncio.CancelledError, ConnectionResetError):
            self.cancelled += 1
            self.closed.set()
            raise

    async def _answered(self, request, body):
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        if body.get("stream"):
            await response.prepare(request)
            for step, text in enumerate(self.drafts, 1):
                draft = Draft(step, tokens(text))
                await response.write(json.dumps({"draft": draft.to_dict()}).encode() + b"\n")
        answer = await self._answer(body)
        line = {"error": answer} if isinstance(answer, dict) else {"fill": answer.to_dict()}
        if not body.get("stream"):
            return web.json_response(line.get("fill", line), status=400 if "error" in line else 200)
        await response.write(json.dumps(line).encode() + b"\n")
        await response.write_eof()
        return response

    async def _answer(self, body):
        key, ended = (body.get("session"), body.get("version")), asyncio.Event()
        said = "".join(token.text for token in tokens(*self.drafts[-1:]))
        self._running[key] = said, ended
        first = [asyncio.ensure_future(event.wait()) for event in (self.go, ended)]
        try:
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._running.pop(key, None)
            for waiting in first:
                waiting.cancel()
        if ended.is_set():
            self.cancelled += 1
            self.closed.set()
            return fill(reason="superseded")
        return self.answer(body) if callable(self.answer) else self.answer


async def _serve(answer, hang_once):
    engine = FakeEngine(os.environ["MIDFILL_RUNTIME_DIR"])
    engine.answer = fill(middle(answer))
    hung = engine.directory / "hung"
    if hang_once and not hung.exists():
        hung.touch()
        engine.go.clear()
    await engine.start()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    while not engine.stopped and not ended.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), 0.05)
    await engine.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--answer", default="started()")
    parser.add_argument("--hang-once", action="store_true")
    options = parser.parse_args()
    asyncio.run(_serve(options.answer, options.hang_once))
