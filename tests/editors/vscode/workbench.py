"""A VS Code in a browser: code-server with the packaged extension, seen and typed at by Playwright.

Owns processes, profiles and what of the workbench's page means what. Knows nothing of any test.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import psutil

#: Longest wait for anything; a loaded CI machine is slow, and waiting costs nothing when it is not.
PATIENCE_S = 60
POLL_S = 0.05
BROWSER_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
#: A quiet workbench; without these a welcome page or a chat pane owns the focus.
USER_SETTINGS: dict[str, Any] = {
    "workbench.startupEditor": "none",
    "workbench.secondarySideBar.defaultVisibility": "hidden",
    "chat.disableAIFeatures": True,
    "telemetry.telemetryLevel": "off",
    "workbench.enableExperiments": False,
    "workbench.tips.enabled": False,
    "editor.minimap.enabled": False,
    "editor.fontFamily": "DejaVu Sans Mono",
    "files.autoSave": "off",
    "git.enabled": False,
    "security.workspace.trust.enabled": False,
}

#: Requests ahead of acceptance would be counted with the others.
WORKSPACE_SETTINGS: dict[str, Any] = {"midfill.speculate": False}
#: A file with a gap, and where that is.
MEAN = "def mean(numbers):\n    total = \n    return total / len(numbers)\n"
GAP = (1, 12)


@dataclass(frozen=True)
class Installation:
    """What `provide.py` found: commands and the extension's package."""

    code_server: Path
    chromium: Path
    package: Path


def private(folder: Path) -> dict[str, str]:
    """An environment in which Midfill's engine, journal and settings are this test's own."""
    return {
        "MIDFILL_RUNTIME_DIR": str(folder / "run"),
        "MIDFILL_STATE_DIR": str(folder / "state"),
        "MIDFILL_CONFIG": str(folder / "midfill.toml"),
    }


async def until(what: str, look: Callable[[], Any], patience_s: float = PATIENCE_S) -> Any:
    """Poll until ``look`` gives something true; it may be a coroutine function."""
    end = time.monotonic() + patience_s
    while True:
        value = look()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"waited {patience_s:.0f} s for {what}")
        await asyncio.sleep(POLL_S)


class CodeServer:
    """One code-server with a profile of its own below ``home``."""

    def __init__(self, installation: Installation, home: Path, env: Mapping[str, str]) -> None:
        self.installation, self.home = installation, home
        self.workspace = home / "work space"
        self.workspace.mkdir(parents=True)
        self.env = {**os.environ, "HOME": str(home), "EXTENSIONS_GALLERY": "{}", **env}
        self.env.pop("VSCODE_IPC_HOOK_CLI", None)
        self.port = 0
        self._process: asyncio.subprocess.Process | None = None

    def profile(self, machine: Mapping[str, Any], user: Mapping[str, Any] | None = None) -> None:
        """Write the profile's settings; those of scope ``machine`` have a file of their own."""
        for scope, values in (("Machine", machine), ("User", {**USER_SETTINGS, **(user or {})})):
            path = self.home / "data" / scope / "settings.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(values))

    def configure(self, values: Mapping[str, Any]) -> None:
        """Write the workspace's settings, the only ones that a running workbench reads again."""
        self.write(".vscode/settings.json", json.dumps({**WORKSPACE_SETTINGS, **values}))

    async def start(self) -> None:
        """Install the extension, start the server and wait until it answers."""
        (self.home / "config.yaml").write_text("auth: none\n")
        await self.install(self.installation.package)
        self.port = _free_port()
        address = f"127.0.0.1:{self.port}"
        self._process = await self._run(
            "--auth", "none", "--bind-addr", address, "--ignore-last-opened", str(self.workspace)
        )
        async with aiohttp.ClientSession() as session:

            async def healthy() -> bool:
                try:
                    async with session.get(f"http://{address}/healthz") as response:
                        return response.status == 200
                except aiohttp.ClientError:
                    return False

            await until("code-server", healthy)

    async def install(self, package: Path) -> None:
        """Install an extension."""
        installing = await self._run("--install-extension", str(package))
        if await installing.wait():
            raise RuntimeError((await installing.stdout.read()).decode())  # type: ignore[union-attr]

    async def stop(self) -> None:
        """End it and what it started."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()

    def url(self, file: Path | str) -> str:
        """Address of a window with the workspace and one open file, or the URI of a document.

        A document that is no file is shown in the workspace that ``virtual.code-workspace`` names.
        """
        if isinstance(file, str):
            uri, place = file, f"workspace={quote(str(self.home / 'virtual.code-workspace'))}"
        else:
            uri = f"vscode-remote://127.0.0.1:{self.port}{file}"
            place = f"folder={quote(str(self.workspace))}"
        payload = quote(json.dumps([["openFile", uri]]))
        return f"http://127.0.0.1:{self.port}/?{place}&payload={payload}"

    def write(self, name: str, text: str) -> Path:
        """A file of the workspace, byte for byte."""
        path = self.workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
        return path

    def language_servers(self) -> list[psutil.Process]:
        """The running `midfill lsp` of this server's windows."""
        assert self._process is not None
        return [
            process
            for process in psutil.Process(self._process.pid).children(recursive=True)
            if _words(process)[2:4] == ["midfill_lsp.cli", "lsp"]
        ]

    async def _run(self, *arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            str(self.installation.code_server),
            "--config",
            str(self.home / "config.yaml"),
            "--user-data-dir",
            str(self.home / "data"),
            "--extensions-dir",
            str(self.home / "extensions"),
            "--disable-telemetry",
            "--disable-update-check",
            *arguments,
            env=self.env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )


class Window:
    """One browser page with a workbench."""

    def __init__(self, server: CodeServer, page: Any) -> None:
        self.server, self.page = server, page
        self.file: Path | None = None
        page.set_default_timeout(PATIENCE_S * 1000)
        from playwright.async_api import Error

        self._playwright_error = Error

    async def open(self, file: Path | str) -> None:
        """Load the workbench with a file, or a URI, and wait until its text can be clicked."""
        self.file = file if isinstance(file, Path) else None
        await self.page.goto(self.server.url(file))
        await self.page.wait_for_selector(".editor-instance .view-line", timeout=PATIENCE_S * 1000)
        await self.focus()

    async def reload(self) -> None:
        """Show the file as it is on the disk now, whatever was typed."""
        assert self.file is not None
        await self.press("Control+Home")
        await self.command("File: Revert File")
        lines = self.file.read_text(encoding="utf-8").splitlines()
        await until("the file's text", lambda: self._begins_with(lines[:10]))

    async def _begins_with(self, lines: list[str]) -> bool:
        if await self.page.locator(".tab.active.dirty").count():
            return False
        shown = await self.page.evaluate(_LINES)
        return [_plain(line) for line in shown][: len(lines)] == lines

    async def focus(self) -> None:
        """Put the focus and the cursor into the text."""
        await self.page.click(".editor-instance .view-lines .view-line >> nth=0")
        await self.press("Control+Home")

    async def press(self, *keys: str) -> None:
        """Press keys, by Playwright's names."""
        for key in keys:
            await self.page.keyboard.press(key)

    async def type(self, text: str, delay_ms: float = 30) -> None:
        """Type as a person would."""
        await self.page.keyboard.type(text, delay=delay_ms)

    async def cursor(self, line: int, character: int) -> None:
        """Put the cursor somewhere, both counted from 0."""
        await self.press("Control+G")
        await self.page.keyboard.type(f"{line + 1}:{character + 1}")
        await self.page.wait_for_selector('.quick-input-list :text("Go to line")')
        await self.press("Enter")
        await self.page.wait_for_selector(f'.statusbar-item :text("Ln {line + 1}, Col ")')

    async def command(self, title: str, *choices: str) -> None:
        """Run a command by its title in the palette, and choose in the lists that follow."""
        await until("the palette", self._palette)
        await self._choose(title)
        for choice in choices:
            await self.page.wait_for_selector(_ROW.format(choice))
            await self._choose(choice)

    async def _palette(self) -> bool:
        """Ask for the palette; a window that is just being rebuilt misses the key."""
        await self.press("F1")
        rows = self.page.locator(".quick-input-widget .monaco-list-row").first
        for _ in range(20):
            if await rows.is_visible():
                return True
            await asyncio.sleep(0.2)
        return False

    async def _choose(self, words: str) -> None:
        await self.page.keyboard.type(words)
        await self.page.wait_for_selector(_ROW.format(words).replace("-row", "-row.focused"))
        await self.press("Enter")

    async def ghost(self) -> str:
        """The ghost text: the rest of the first line, then further lines."""
        return _plain(await self.page.evaluate(_GHOST))

    async def drawn(self) -> str:
        """What the extension itself drew after the cursor: unsure tails and drafts."""
        return _plain(await self.page.evaluate(_DRAWN))

    async def status(self) -> str:
        """Text of the status bar item."""
        return _plain(await self.page.evaluate(_STATUS))

    async def shows(self, end: str) -> bool:
        """Whether the ghost text, with what was drawn after it, ends like this."""
        return (await self.ghost() + await self.drawn()).endswith(end)

    async def shows_nothing(self) -> bool:
        """Whether there is no ghost text."""
        return await self.ghost() == ""

    async def time_to_ghost(self, key: str) -> float:
        """Milliseconds from a key's event in the page to the frame that shows its ghost text."""
        await self.page.evaluate(_STOPWATCH)
        await self.page.keyboard.press(key)
        return float(await self.page.evaluate("() => window.midfillGhostShown"))

    async def record_frames(self) -> None:
        """From now on note how each frame shows the cursor's line, and what was drawn after it."""
        await self.page.evaluate(_RECORD)

    async def frames(self) -> list[str]:
        """What changed from frame to frame since recording began; ends the recording."""
        return [_plain(frame) for frame in await self.page.evaluate("() => window.midfillFrames()")]

    async def tooltip(self) -> str:
        """What the status bar item says when it is pointed at."""
        await self.page.hover('.statusbar-item[id$="midfill.status"]')
        shown = await self.page.wait_for_selector(".monaco-hover:visible :text('Midfill')")
        text = await shown.evaluate("(node) => node.closest('.monaco-hover').textContent")
        await self.page.mouse.move(1, 1)
        return _plain(text)

    async def saved(self) -> str:
        """The document, read from the disk after saving it."""
        await self.press("Control+S")
        await self.page.wait_for_selector(".tab.active:not(.dirty)")
        assert self.file is not None
        return self.file.read_bytes().decode()

    async def sees(self, text: str) -> None:
        """Wait for this ghost text."""
        await self._wait("ghost text", self.ghost, text)

    async def draws(self, text: str) -> None:
        """Wait until the extension has drawn this."""
        await self._wait("drawn text", self.drawn, text)

    async def says(self, text: str) -> None:
        """Wait until the status bar item holds this."""
        await self._wait("status", self.status, text, exact=False)

    async def is_ready(self) -> None:
        """Wait until the language server and the engine are there."""
        await until("a ready engine", self.has_engine)

    async def has_engine(self) -> bool:
        """Whether the status bar has nothing to say."""
        return (await self.status()).strip() == "Midfill"

    async def tidy(self) -> None:
        """Close widgets and messages."""
        await self.press("Escape", "Escape")
        if await self.page.locator(".notifications-toasts .notification-list-item").count():
            await self.command("Notifications: Clear All Notifications")

    async def reads(self, text: str) -> None:
        """Wait for a notification that holds this."""
        await self.page.wait_for_selector(
            f'.notifications-toasts .notification-list-item:has-text("{text}")'
        )

    async def panel(self) -> Any:
        """The document of a page that an extension shows beside the editor."""
        shown: list[Any] = []

        async def there() -> bool:
            shown[:] = [frame for frame in self.page.frames if "/fake.html" in frame.url]
            return bool(shown)

        await until("a page", there)
        return shown[-1]

    async def has_picture(self) -> bool:
        """Whether such a page shows a picture."""
        look = "() => [...document.images].some((image) => image.naturalWidth > 0)"
        with contextlib.suppress(self._playwright_error):  # pages come and go
            return bool(await (await self.panel()).evaluate(look))
        return False

    async def _wait(self, what: str, look: Any, text: str, *, exact: bool = True) -> None:
        seen = ""

        async def matches() -> bool:
            nonlocal seen
            seen = await look()
            return seen == text if exact else text in seen

        try:
            await until(what, matches, 20)
        except TimeoutError:
            raise AssertionError(f"{what}: waited for {text!r}, saw {seen!r}") from None

    async def keep(self, path: Path) -> None:
        """Keep a picture of the window."""
        path.parent.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=path)


_ROW = '.quick-input-list .monaco-list-row:has-text("{}")'
_LINES = """() => [...document.querySelectorAll(".editor-instance .view-lines .view-line")]
  .sort((a, b) => parseFloat(a.style.top) - parseFloat(b.style.top))
  .map((node) => node.textContent)"""
_GHOST = """() => {
  const editor = document.querySelector(".editor-instance");
  if (!editor) return "";
  const text = (node) => node.textContent ?? "";
  const first = [...editor.querySelectorAll("[class*='ghost-text-decoration']")]
    .map(text).join("");
  const rest = [...editor.querySelectorAll(".suggest-preview-text")]
    .flatMap((node) => [...node.querySelectorAll(".view-line")].map(text));
  return [first, ...rest].join("\\n").replace(/\\n+$/, "");
}"""
_STOPWATCH = """() => {
  window.midfillGhostShown = new Promise((resolve) => {
    document.addEventListener("keydown", () => {
      const pressed = performance.now();
      const text = () => [...document.querySelectorAll("[class*='ghost-text-decoration']")]
        .map((node) => node.textContent).join("");
      const before = text();
      const observer = new MutationObserver(() => {
        if (text() === "" || text() === before) return;
        observer.disconnect();
        requestAnimationFrame(() => resolve(performance.now() - pressed));
      });
      observer.observe(document.querySelector(".editor-instance"),
        { childList: true, subtree: true, characterData: true });
    }, { capture: true, once: true });
  });
}"""
_DRAWN = """() => [...document.querySelectorAll(".editor-instance .view-line span[class*='ced-']")]
  .map((node) => getComputedStyle(node, "::after").content)
  .filter((content) => content !== "none" && content !== "normal")
  .map((content) => JSON.parse(content)).join("")"""
_RECORD = """() => {
  const frames = [];
  let going = true;
  const line = () => {
    const cursor = document.querySelector(".editor-instance .cursor");
    const top = cursor && parseFloat(cursor.style.top);
    const lines = [...document.querySelectorAll(".editor-instance .view-lines .view-line")];
    return lines.find((node) => parseFloat(node.style.top) === top)?.textContent ?? "";
  };
  const drawn = DRAWN;
  const look = () => {
    const now = line() + drawn();
    if (frames.at(-1) !== now) frames.push(now);
    if (going) requestAnimationFrame(look);
  };
  look();
  window.midfillFrames = () => { going = false; return frames; };
}""".replace("DRAWN", _DRAWN)
_STATUS = """() => [...document.querySelectorAll(".statusbar-item")]
  .filter((node) => node.id.endsWith("midfill.status"))
  .map((node) => node.textContent).join("")"""


def _words(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:  # it ended meanwhile
        return []


def _plain(text: str) -> str:
    """Monaco draws blanks as U+00A0 and keeps empty lines open with U+200B."""
    return text.replace("\u00a0", " ").replace("\u200b", "")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def browser(chromium: Path) -> AsyncIterator[Any]:
    """A headless Chromium."""
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(
            executable_path=str(chromium), args=list(BROWSER_ARGUMENTS)
        )
        try:
            yield running
        finally:
            await running.close()
