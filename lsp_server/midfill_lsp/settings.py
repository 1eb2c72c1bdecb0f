"""Settings of the language server: one frozen tree, each field with type, default and reason.

Owns the names (`snake_case` here, `camelCase` for users), what may be said for them, where they
come from and which source wins: defaults, then the user's ``midfill.toml`` (table ``[lsp]``),
``MIDFILL_LSP_*`` in the environment, ``initializationOptions``, ``workspace/configuration``. The
``midfill.toml`` of a project may only narrow: switch off, exclude, lower. A wrong value costs
itself and is reported in words, the rest is kept. The JSON schema for editors and
``docs/settings.md`` are made from the same tree. The only module of the language server that
reads ``os.environ``.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

#: How a project's file may change a field: flags can only become false, numbers only smaller,
#: lists only longer, maps only gain ``false`` entries.
Narrowing = Literal["off", "lower", "extend"]


def setting(
    default: Any,
    doc: str,
    *,
    narrow: Narrowing | None = None,
    low: float | None = None,
    high: float | None = None,
    machine: bool = False,
) -> Any:
    """One field of the tree.

    Parameters
    ----------
    default
        The default; a list or mapping is given as a tuple of its items.
    doc
        One sentence for the user, with the unit.
    narrow
        How a project's file may change it; ``None``: it may not.
    low, high
        Inclusive bounds of a number.
    machine
        Whether it may start programs or send code elsewhere; editors must then not take it
        from a workspace.
    """
    meta = {"doc": doc, "narrow": narrow, "low": low, "high": high, "machine": machine}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=meta)
    return field(default=default, metadata=meta)


@dataclass(frozen=True, slots=True)
class DisplaySettings:
    """How sure a suggestion must be, and what becomes of its unsure end."""

    sure_confidence: float = setting(
        0.6, "Tokens below this confidence count as unsure.", low=0, high=1
    )
    unsure: Literal["dim", "plain", "hold"] = setting(
        "dim",
        "What becomes of the part from the first unsure token on: drawn dimmed, drawn like "
        "the rest, or held back by the server.",
    )
    min_confidence: float = setting(
        0.0, "Automatic suggestions that are less sure on average are not shown.", low=0, high=1
    )


@dataclass(frozen=True, slots=True)
class CompletionSettings:
    """Suggestions in the ordinary completion menu, for editors without inline completion."""

    enabled: bool = setting(
        False, "Offer suggestions through `textDocument/completion` as well.", narrow="off"
    )


@dataclass(frozen=True, slots=True)
class BackendSettings:
    """Where middles come from."""

    kind: Literal["engine", "openai", "codestral"] = setting(
        "engine",
        "The local engine, or a server with the OpenAI (`/v1/completions` with `suffix`) or the "
        "Codestral and Mercury (`/v1/fim/completions`) interface. Anything but the local engine "
        "sends code to that server.",
        machine=True,
    )
    url: str = setting(
        "",
        "Base address of a foreign server, or of an engine run by `midfill serve`; empty: the "
        "local engine.",
        machine=True,
    )
    model: str = setting("", "Model name sent to a foreign server.", machine=True)
    api_key_env: str = setting(
        "MIDFILL_API_KEY", "Environment variable that holds the API key.", machine=True
    )


@dataclass(frozen=True, slots=True)
class EngineStartSettings:
    """How the local engine is started when none answers."""

    autostart: bool = setting(
        True, "Start the local engine when none answers.", narrow="off", machine=True
    )
    command: tuple[str, ...] = setting(
        (), "Command that starts it; empty: `midfill engine --daemon`.", machine=True
    )


@dataclass(frozen=True, slots=True)
class LspSettings:
    """All settings of one language server."""

    enabled: bool = setting(True, "Whether Midfill suggests anything at all.", narrow="off")
    automatic: bool = setting(True, "Suggest while typing; off: only when asked for.", narrow="off")
    languages: Mapping[str, bool] = setting(
        {},
        "Language identifiers switched on or off; `*` stands for all that are not named.",
        narrow="off",
    )
    exclude: tuple[str, ...] = setting(
        (),
        "Globs of files that are never read or completed, beside ignore files and the built-in "
        "list of secret-bearing names.",
        narrow="extend",
    )
    in_comments: bool = setting(True, "Suggest inside comments.", narrow="off")
    in_strings: bool = setting(True, "Suggest inside strings.", narrow="off")
    multiline: bool = setting(
        True, "Suggest several lines; off: the cursor's line only.", narrow="off"
    )
    neighbours: bool = setting(
        False,
        "Let the model see pieces of the other open files; the shipped model was trained without.",
        narrow="off",
    )
    context_tokens: int = setting(
        1500,
        "Text around the cursor that the model is shown, tokens; less is faster.",
        narrow="lower",
        low=64,
        high=32_768,
    )
    budget_ms: int = setting(
        700,
        "Milliseconds that an automatic suggestion may take; the best state at that time is shown.",
        narrow="lower",
        low=10,
        high=60_000,
    )
    explicit_budget_ms: int = setting(
        3000,
        "Milliseconds that a suggestion may take which was asked for.",
        narrow="lower",
        low=10,
        high=600_000,
    )
    max_tokens: int = setting(
        96, "Longest suggestion, in tokens.", narrow="lower", low=1, high=1024
    )
    candidates: int = setting(
        3, "Alternatives when a suggestion was asked for.", narrow="lower", low=1, high=8
    )
    strategy: Literal["quality", "balanced", "fast", "autoregressive", "self-speculative"] = (
        setting("balanced", "How the middle is decoded.")
    )
    speculate: bool = setting(
        True,
        "Compute what follows a shown suggestion ahead of its acceptance; never on battery.",
        narrow="off",
    )
    pause_on_battery: bool = setting(
        False, "No automatic suggestions while the machine runs on battery."
    )
    max_document_chars: int = setting(
        2_000_000,
        "Larger documents are not completed, characters.",
        narrow="lower",
        low=1_000,
        high=4_000_000,
    )
    drafts: bool = setting(False, "Send `midfill/draft` for each denoising step.", narrow="off")
    journal: bool = setting(
        True,
        "Keep outcomes (identifiers, counts and times, never code) in a file on this disk.",
        narrow="off",
    )
    log_level: Literal["debug", "info", "warning", "error"] = setting(
        "warning", "How much is logged. Logs never hold code."
    )
    log_file: str = setting(
        "", "File for the log; empty: standard error, which editors collect.", machine=True
    )
    display: DisplaySettings = field(default_factory=DisplaySettings)
    completion: CompletionSettings = field(default_factory=CompletionSettings)
    backend: BackendSettings = field(default_factory=BackendSettings)
    engine: EngineStartSettings = field(default_factory=EngineStartSettings)


class Source(NamedTuple):
    """Where values come from, in words, and whether they may only narrow."""

    name: str
    values: Mapping[str, Any]
    narrowing: bool = False


class Leaf(NamedTuple):
    """One setting: dotted name, type, default and the metadata of `setting`."""

    name: str
    type: Any
    default: Any
    meta: Mapping[str, Any]


#: Names in an editor's section that belong to its client or to another dialect.
FOREIGN_NAMES = frozenset({"client", "trace", "editorInfo", "editorPluginInfo", "server"})
ENVIRONMENT_PREFIX = "MIDFILL_LSP_"


def leaves(tree: type = LspSettings, prefix: str = "") -> Iterator[Leaf]:
    """All settings, depth first in the order of the tree."""
    hints = get_type_hints(tree)
    for item in fields(tree):
        kind = hints[item.name]
        if is_dataclass(kind) and isinstance(kind, type):
            yield from leaves(kind, f"{prefix}{_camel(item.name)}.")
            continue
        factory = item.default_factory
        default = item.default if factory is MISSING else factory()
        yield Leaf(prefix + _camel(item.name), kind, default, item.metadata)


def merge(sources: Sequence[Source]) -> tuple[LspSettings, list[str]]:
    """Settings of all sources, later ones winning, and one sentence for each fault."""
    known = {leaf.name: leaf for leaf in leaves()}
    values = {name: leaf.default for name, leaf in known.items()}
    problems: list[str] = []
    # What narrows is applied last, so that no other source can widen it again.
    for source in sorted(sources, key=lambda s: s.narrowing):
        for name, value in _flatten(source.values, known):
            if name.partition(".")[0] in FOREIGN_NAMES:
                continue
            leaf = known.get(name)
            if leaf is None:
                problems.append(f"{source.name}: {_unknown(name, known)}")
                continue
            try:
                fresh = _read(leaf, value)
                values[name] = _narrowed(leaf, values[name], fresh) if source.narrowing else fresh
            except ValueError as fault:
                problems.append(f"{source.name}: {name} {fault} The other settings are kept.")
    return _build(LspSettings, values), problems


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


def schema() -> dict[str, Any]:
    """JSON schema by dotted name, as editors want it (`midfill.` is put before each name)."""
    properties = {}
    for leaf in leaves():
        entry = {
            **_json_type(leaf),
            "default": _json(leaf.default),
            "description": leaf.meta["doc"],
        }
        if leaf.meta["machine"]:
            entry["scope"] = "machine"
        properties[f"midfill.{leaf.name}"] = entry
    return {"type": "object", "properties": properties}


def markdown() -> str:
    """The table of ``docs/settings.md``."""
    narrow = {"off": "may switch off", "lower": "may lower", "extend": "may add", None: "no"}
    rows = ["| setting | values | default | meaning | project file |", "|---|---|---|---|---|"]
    for leaf in leaves():
        kind = _json_type(leaf)
        values = (
            ", ".join(f"`{v}`" for v in kind["enum"]) if "enum" in kind else _in_words(leaf, kind)
        )
        default = _json(leaf.default)
        shown = (
            ""
            if default in ("", [], {})
            else f"`{str(default).lower() if isinstance(default, bool) else default}`"
        )
        rows.append(
            f"| `{leaf.name}` | {values} | {shown} | {leaf.meta['doc']} "
            f"| {narrow[leaf.meta['narrow']]} |"
        )
    return "\n".join(rows) + "\n"


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


def _flatten(values: Mapping[str, Any], known: Mapping[str, Leaf]) -> Iterator[tuple[str, Any]]:
    """Dotted camelCase names, from nested, dotted or snake_case ones."""
    branches = {name.rpartition(".")[0] for name in known} - {""}
    for key, value in values.items():
        name = _camel(str(key))
        if name in branches and isinstance(value, Mapping):
            for inner, item in _flatten(value, {}):
                yield f"{name}.{inner}", item
        else:
            yield name, value


def _camel(name: str) -> str:
    return re.sub(r"[_-]([a-z])", lambda m: m[1].upper(), name)


def _unknown(name: str, known: Mapping[str, Leaf]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if not near:
        tails = {n.rpartition(".")[2]: n for n in known}
        near = [tails[t] for t in difflib.get_close_matches(name, tails, n=1, cutoff=0.6)]
    return f"unknown setting `{name}`." + (f" Did you mean `{near[0]}`?" if near else "")


def _read(leaf: Leaf, value: Any) -> Any:
    """``value`` as the leaf's type; `ValueError` says in words what it must be."""
    kind, origin = leaf.type, get_origin(leaf.type)
    if origin is Literal:
        choices = get_args(kind)
        if value in choices:
            return value
        near = difflib.get_close_matches(str(value), choices, n=1)
        hint = f" Did you mean `{near[0]}`?" if near else ""
        raise ValueError(f"must be one of {', '.join(choices)}.{hint}")
    if kind is bool and isinstance(value, bool):
        return value
    if kind in (int, float) and not isinstance(value, bool):
        return _number(leaf, value)
    if kind is str and isinstance(value, str):
        return value
    if origin is tuple and isinstance(value, Sequence) and not isinstance(value, str):
        if all(isinstance(item, str) for item in value):
            return tuple(value)
    elif (
        origin not in (tuple, None)
        and isinstance(value, Mapping)
        and all(isinstance(v, bool) for v in value.values())
    ):
        return {str(k): v for k, v in value.items()}
    raise ValueError(f"must be {_in_words(leaf, _json_type(leaf))}.")


def _number(leaf: Leaf, value: Any) -> float:
    low, high = leaf.meta["low"], leaf.meta["high"]
    whole = leaf.type is int
    if isinstance(value, int | float) and low <= value <= high and not (whole and value % 1):
        return int(value) if whole else float(value)
    raise ValueError(f"must be {_in_words(leaf, _json_type(leaf))}.")


def _narrowed(leaf: Leaf, current: Any, fresh: Any) -> Any:
    """``current`` narrowed by a project's ``fresh`` value, or `ValueError`."""
    how = leaf.meta["narrow"]
    if how is None:
        raise ValueError("cannot be set by a project; put it in your own midfill.toml.")
    if how == "extend":
        return tuple(dict.fromkeys((*current, *fresh)))
    if how == "lower":
        return min(current, fresh)
    if isinstance(fresh, dict):
        return current | {k: False for k, v in fresh.items() if not v}
    return current and fresh


def _build(tree: type, values: Mapping[str, Any], prefix: str = "") -> Any:
    hints = get_type_hints(tree)
    made = {}
    for item in fields(tree):
        kind, name = hints[item.name], prefix + _camel(item.name)
        branch = isinstance(kind, type) and is_dataclass(kind)
        made[item.name] = _build(kind, values, f"{name}.") if branch else values[name]
    return tree(**made)


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


def _json_type(leaf: Leaf) -> dict[str, Any]:
    origin = get_origin(leaf.type)
    if origin is Literal:
        return {"type": "string", "enum": list(get_args(leaf.type))}
    if origin is tuple:
        return {"type": "array", "items": {"type": "string"}}
    if origin is not None:
        return {"type": "object", "additionalProperties": {"type": "boolean"}}
    kind = {"type": {bool: "boolean", int: "integer", float: "number", str: "string"}[leaf.type]}
    bounds = {"minimum": leaf.meta["low"], "maximum": leaf.meta["high"]}
    return kind | {k: v for k, v in bounds.items() if v is not None}


def _in_words(leaf: Leaf, kind: Mapping[str, Any]) -> str:
    words: dict[str, str] = {
        "boolean": "true or false",
        "string": "text",
        "array": "a list of texts",
        "object": "a table of true and false",
        "integer": f"a whole number from {leaf.meta['low']} to {leaf.meta['high']}",
        "number": f"a number from {leaf.meta['low']} to {leaf.meta['high']}",
    }
    return words[kind["type"]]


def _json(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


if __name__ == "__main__":
    print(markdown(), end="")
