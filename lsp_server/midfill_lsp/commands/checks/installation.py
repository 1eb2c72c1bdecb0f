"""Checks of what is installed and configured; none of them takes long or starts anything."""

from __future__ import annotations

import platform
import shutil
import stat
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import psutil

from midfill_lsp.commands.checks.finding import Finding
from midfill_lsp.context import syntax
from midfill_lsp.settings import runtime_directory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CORE = ("midfill", "pygls", "aiohttp", "tree-sitter", "rich", "pathspec", "platformdirs")
ENGINE = ("torch", "safetensors", "tokenizers", "numpy", "prometheus-client")
#: Free memory below which loading the shipped model may fail, bytes.
NEEDED_BYTES = 1_200 * 2**20
#: Bytes of a socket's path that every Unix takes.
MAX_SOCKET_PATH = 103
#: Program -> name for `midfill init`.
EDITORS = {
    "nvim": "neovim",
    "code": "vscode",
    "codium": "vscode",
    "hx": "helix",
    "emacs": "emacs",
    "zed": "zed",
    "subl": "sublime",
    "kate": "kate",
    "vim": "vim",
}


def python() -> Finding:
    """The interpreter."""
    detail = f"{platform.python_version()} at {sys.executable} on {platform.platform()}"
    if sys.version_info < (3, 11):  # noqa: UP036  (somebody may force the installation)
        return Finding("Python", "bad", detail, "Midfill needs Python 3.11 or newer.")
    return Finding("Python", "good", detail)


def packages() -> Finding:
    """What the language server needs."""
    found, missing = _versions(CORE)
    hint = f"Install again: {sys.executable} -m pip install --force-reinstall midfill"
    if missing:
        return Finding("language server", "bad", f"{', '.join(missing)} missing", hint)
    return Finding("language server", "good", found)


def grammars() -> Finding:
    """Whether each language's grammar loads and parses."""
    broken = []
    for language in syntax.GRAMMARS:
        try:
            good = syntax.parse("x", language) is not None
        except (ImportError, ValueError, TypeError, AttributeError):
            good = False
        if not good:
            broken.append(language)
    if broken:
        return Finding(
            "grammars",
            "note",
            f"{', '.join(broken)} cannot be parsed and work by lines",
            "Install again: pip install --force-reinstall midfill",
        )
    return Finding("grammars", "good", ", ".join(syntax.GRAMMARS))


def settings(problems: Sequence[str]) -> Finding:
    """The user's settings and the environment."""
    if problems:
        return Finding("settings", "note", " ".join(problems), "Mend or remove them.")
    return Finding("settings", "good", "no faults in midfill.toml and the environment")


def runtime() -> Finding:
    """Where the socket lives: private, and short enough for one."""
    directory = runtime_directory()
    hint = "Set MIDFILL_RUNTIME_DIR to a private directory with a short path."
    if len(str(directory / "engine.sock").encode()) > MAX_SOCKET_PATH and sys.platform != "win32":
        return Finding("runtime directory", "bad", f"{directory} is too long for a socket", hint)
    try:
        mode = stat.S_IMODE(directory.stat().st_mode)
    except FileNotFoundError:
        return Finding("runtime directory", "good", f"{directory}, made with the first engine")
    except OSError as error:
        return Finding("runtime directory", "bad", f"{directory}: {error.strerror}", hint)
    if mode & 0o077 and sys.platform != "win32":
        detail = f"{directory} can be read by others (mode {mode:o})"
        return Finding("runtime directory", "note", detail, f"chmod 700 {directory}")
    return Finding("runtime directory", "good", str(directory))


def memory() -> Finding:
    """Room for the model."""
    free = psutil.virtual_memory().available
    detail = f"{free / 2**30:.1f} GiB available"
    if free < NEEDED_BYTES:
        hint = "The model needs about 1 GiB; close something or use a remote engine."
        return Finding("memory", "note", detail, hint)
    return Finding("memory", "good", detail)


def engine_packages(*, remote: bool) -> Finding:
    """What the engine needs; not wanted where a remote one is used."""
    found, missing = _versions(ENGINE)
    if not missing:
        return Finding("engine", "good", found)
    detail = f"{', '.join(missing)} missing"
    if remote:
        return Finding("engine", "note", detail, "The settings name a remote engine: not needed.")
    return Finding("engine", "bad", detail, "Install them: pip install 'midfill[engine]'")


def accelerator(self_test: str) -> Finding:
    """Whether a GPU lies idle because torch cannot use it."""
    if "cuda" in self_test:
        return Finding("GPU", "good", "in use")
    if shutil.which("nvidia-smi") is None:
        return Finding("GPU", "good", "none found; the CPU is used")
    hint = "If it should be used, install a CUDA build of torch: https://pytorch.org"
    return Finding("GPU", "note", "there is one, but the engine runs on the CPU", hint)


def editors() -> Iterator[Finding]:
    """Editors found on this machine, with the command that configures each."""
    seen = set()
    for program, name in EDITORS.items():
        if name not in seen and (path := shutil.which(program)):
            seen.add(name)
            yield Finding(name, "good", f"{path}; configuration: midfill init {name}")


def _versions(names: Sequence[str]) -> tuple[str, list[str]]:
    found, missing = [], []
    for name in names:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    return ", ".join(found), missing
