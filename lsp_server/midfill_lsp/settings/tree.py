"""The settings of the language server, each with type, default and reason.

Owns the names (`snake_case` here, `camelCase` for users) and what may be said for each of them.
Knows nothing of where values come from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from midfill_engine.wire import DEFAULT_STRATEGY

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
        setting(
            DEFAULT_STRATEGY,
            "How the middle is decoded; what searches (`quality`) does not on battery.",
        )
    )
    speculate: bool = setting(
        True,
        "Compute what follows a sure suggestion ahead of its acceptance; never on battery.",
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


class Leaf(NamedTuple):
    """One setting: dotted name, type, default and the metadata of `setting`."""

    name: str
    type: Any
    default: Any
    meta: Mapping[str, Any]


def leaves(tree: type = LspSettings, prefix: str = "") -> Iterator[Leaf]:
    """All settings, depth first in the order of the tree."""
    hints = get_type_hints(tree)
    for item in fields(tree):
        kind = hints[item.name]
        if is_dataclass(kind) and isinstance(kind, type):
            yield from leaves(kind, f"{prefix}{camel(item.name)}.")
            continue
        factory = item.default_factory
        default = item.default if factory is MISSING else factory()
        yield Leaf(prefix + camel(item.name), kind, default, item.metadata)


def camel(name: str) -> str:
    """``camelCase`` of a ``snake_case`` or ``kebab-case`` name."""
    return re.sub(r"[_-]([a-z])", lambda m: m[1].upper(), name)


def json_type(leaf: Leaf) -> dict[str, Any]:
    """What a setting may be, as JSON schema."""
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


def in_words(leaf: Leaf, kind: Mapping[str, Any]) -> str:
    """What a setting may be, as one says it."""
    words: dict[str, str] = {
        "boolean": "true or false",
        "string": "text",
        "array": "a list of texts",
        "object": "a table of true and false",
        "integer": f"a whole number from {leaf.meta['low']} to {leaf.meta['high']}",
        "number": f"a number from {leaf.meta['low']} to {leaf.meta['high']}",
    }
    return words[kind["type"]]
