"""The first run of the extension where there is no `midfill`: it asks, makes one, or finds one."""

from __future__ import annotations

import sys
import zipfile
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from tests.editors.vscode.workbench import CodeServer, Installation, Window, browser, private, until
from tests.fake_engine import FakeEngine, fill, middle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = [pytest.mark.editor, pytest.mark.timeout(300)]

ENTRY = "import os, sys\n\ndef main():\n    os.execv({program!r}, [{program!r}, *sys.argv[1:]])\n"


@asynccontextmanager
async def first_window(
    installation: Installation, folder: Path, settings: dict[str, Any], **env: str
) -> AsyncIterator[Window]:
    """A window onto an empty file, where no `midfill` is on the PATH."""
    env = {**private(folder), "PATH": "/usr/bin:/bin", **env}
    server = CodeServer(installation, folder / "home", env)
    server.profile(settings)
    await server.start()
    try:
        async with browser(installation.chromium) as chromium:
            window = Window(server, await chromium.new_page())
            await window.open(server.write("work.py", "\n"))
            yield window
    finally:
        await server.stop()


def environment(window: Window) -> Path:
    """Where the extension puts the environment that it makes."""
    return window.server.home / "data/User/globalStorage/midfill.midfill/environment"


def wheel_that_runs(program: Path, folder: Path) -> Path:
    """A package that installs without a network and starts this checkout."""
    path, info = folder / "midfill-0.1.0-py3-none-any.whl", "midfill-0.1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("midfill_entry.py", ENTRY.format(program=str(program)))
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: midfill\nVersion: 0.1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(
            f"{info}/entry_points.txt", "[console_scripts]\nmidfill = midfill_entry:main\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return path


async def test_a_missing_program_is_offered_and_installed(
    installation: Installation, program: Path, tmp_path: Path
):
    wheel = wheel_that_runs(program, tmp_path)
    settings = {"midfill.client.package": str(wheel), "midfill.client.python": sys.executable}
    engine = await FakeEngine(tmp_path / "run").start()
    engine.answer = fill(middle("um(numbers)"))
    try:
        async with first_window(installation, tmp_path, settings) as window:
            await window.says("not installed")
            assert not environment(window).exists()
            await window.page.click('.notifications-toasts :text("Create Environment")')
            await window.is_ready()
            assert (environment(window) / "bin/midfill").exists()
            await window.focus()
            await window.type("s")
            await window.sees("um(numbers)")
            assert await window.saved() == "s\n"
            left = window.server.language_servers()
    finally:
        await engine.close()
    await until(
        "the end of the language server", lambda: not any(map(psutil.Process.is_running, left))
    )


async def test_a_package_that_pip_does_not_find_is_explained(
    installation: Installation, tmp_path: Path
):
    nowhere = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": "/dev/null"}
    settings = {"midfill.client.python": sys.executable}
    async with first_window(installation, tmp_path, settings, **nowhere) as window:
        await window.says("not installed")
        await window.page.click('.notifications-toasts :text("Create Environment")')
        await window.reads("Name a checkout of the project, as in `/path/to/midfill[engine]`")
        assert not environment(window).exists()
        await window.says("not installed")


async def test_a_program_that_turns_up_is_started_and_the_offer_goes_away(
    installation: Installation, program: Path, tmp_path: Path
):
    engine = await FakeEngine(tmp_path / "run").start()
    env = {"MIDFILL_LSP_ENGINE_AUTOSTART": "false"}
    try:
        async with first_window(installation, tmp_path, {}, **env) as window:
            await window.reads("Midfill can make a private Python environment")
            await window.says("not installed")
            command = window.server.workspace / ".venv/bin/midfill"
            command.parent.mkdir(parents=True)
            command.symlink_to(program)
            await window.is_ready()
            toasts = window.page.locator(".notifications-toasts.visible .notification-list-item")
            await until("the offer to be gone", lambda: _none(toasts))
            # The question is kept by VS Code, and does no harm.
            await window.command("Notifications: Show Notifications")
            await window.page.click('.notifications-center :text("Create Environment")')
            await window.page.wait_for_selector('.statusbar-item :text("installed meanwhile")')
            await window.is_ready()
            assert not environment(window).exists()
    finally:
        await engine.close()


async def _none(found: Any) -> bool:
    return await found.count() == 0
