"""Where values come from: files and the environment; and this user's directories.

The only module of the language server that reads ``os.environ``.
"""

from __future__ import annotations

import os
import re
import tomllib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_origin

from midfill_lsp.settings.merge import Source
from midfill_lsp.settings.tree import Leaf, leaves

ENVIRONMENT_PREFIX = "MIDFILL_LSP_"


def user_source() -> tuple[Source, list[str]]:
    """The user's ``midfill.toml``; ``$MIDFILL_CONFIG`` names another file."""
    named = os.environ.get("MIDFILL_CONFIG")
    if named:
        return _toml(Path(named), narrowing=False)
    from platformdirs import user_config_path  # noqa: PLC0415  (start-up time)

    return _toml(user_config_path("midfill") / "midfill.toml", narrowing=False)


def project_source(root: str) -> tuple[Source, list[str]]:
    """The ``midfill.toml`` at the root of a project, which may only narrow."""
    return _toml(Path(root) / "midfill.toml", narrowing=True)


def environment_source() -> Source:
    """``MIDFILL_LSP_*``: the name in capitals, words and levels joined with ``_``."""
    names = {_variable(leaf.name): leaf for leaf in leaves()}
    values: dict[str, Any] = {}
    for variable, text in os.environ.items():
        if not variable.startswith(ENVIRONMENT_PREFIX):
            continue
        leaf = names.get(variable)
        values[leaf.name if leaf else variable] = _from_text(leaf, text) if leaf else text
    return Source("the environment", values)


def secret(variable: str) -> str:
    """The value of the environment variable that the user named as holding an API key."""
    return os.environ.get(variable, "") if variable else ""


def runtime_directory() -> Path:
    """Where the engine's socket, lock and description live, private to the user."""
    named = os.environ.get("MIDFILL_RUNTIME_DIR")
    if named:
        return Path(named)
    from platformdirs import user_runtime_path  # noqa: PLC0415  (start-up time)

    with warnings.catch_warnings():
        # Without XDG_RUNTIME_DIR the place below /tmp is right: the engine makes it private.
        warnings.simplefilter("ignore")
        return user_runtime_path("midfill")


def state_directory() -> Path:
    """Where the journal lives."""
    named = os.environ.get("MIDFILL_STATE_DIR")
    if named:
        return Path(named)
    from platformdirs import user_state_path  # noqa: PLC0415  (start-up time)

    return user_state_path("midfill")


def _toml(path: Path, *, narrowing: bool) -> tuple[Source, list[str]]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Source(str(path), {}, narrowing), []
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as fault:
        why = f"line {fault.lineno}" if hasattr(fault, "lineno") else type(fault).__name__
        return Source(str(path), {}, narrowing), [
            f"{path} cannot be read ({why}); it is ignored until it is mended."
        ]
    lsp = table.get("lsp", {})
    if not isinstance(lsp, Mapping):
        return Source(str(path), {}, narrowing), [f"{path}: `lsp` must be a table, `[lsp]`."]
    return Source(str(path), lsp, narrowing), []


def _variable(name: str) -> str:
    words = re.sub(r"(?<!^)(?=[A-Z])", "_", name.replace(".", "_"))
    return ENVIRONMENT_PREFIX + words.upper()


def _from_text(leaf: Leaf, text: str) -> Any:
    """A variable's text as the value it stands for; what does not fit is left for `_read`."""
    flags = {"1": True, "true": True, "on": True, "0": False, "false": False, "off": False}
    origin = get_origin(leaf.type)
    if leaf.type is bool:
        return flags.get(text.lower(), text)
    if leaf.type in (int, float):
        try:
            return float(text)
        except ValueError:
            return text
    if origin is tuple:
        return [part for part in text.split(os.pathsep) if part]
    if origin is not None and origin is not Literal:
        pairs = (part.partition("=") for part in text.split(",") if part)
        return {key.strip(): flags.get(flag.strip().lower(), True) for key, _, flag in pairs}
    return text
