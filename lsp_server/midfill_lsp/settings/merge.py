"""Values of several sources become settings, or sentences about what is wrong with them.

Owns which source wins and what a narrowing one may do: it is applied last and can only switch
off, exclude and lower. A wrong value costs itself, the rest is kept.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from midfill_lsp.settings.tree import Leaf, LspSettings, camel, in_words, json_type, leaves

if TYPE_CHECKING:
    from collections.abc import Iterator


#: Names in an editor's section that belong to its client or to another dialect.
FOREIGN_NAMES = frozenset({"client", "trace", "editorInfo", "editorPluginInfo", "server"})


class Source(NamedTuple):
    """Where values come from, in words, and whether they may only narrow."""

    name: str
    values: Mapping[str, Any]
    narrowing: bool = False


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


def _flatten(values: Mapping[str, Any], known: Mapping[str, Leaf]) -> Iterator[tuple[str, Any]]:
    """Dotted camelCase names, from nested, dotted or snake_case ones."""
    branches = {name.rpartition(".")[0] for name in known} - {""}
    for key, value in values.items():
        name = camel(str(key))
        if name in branches and isinstance(value, Mapping):
            for inner, item in _flatten(value, {}):
                yield f"{name}.{inner}", item
        else:
            yield name, value


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
    raise ValueError(f"must be {in_words(leaf, json_type(leaf))}.")


def _number(leaf: Leaf, value: Any) -> float:
    low, high = leaf.meta["low"], leaf.meta["high"]
    whole = leaf.type is int
    if isinstance(value, int | float) and low <= value <= high and not (whole and value % 1):
        return int(value) if whole else float(value)
    raise ValueError(f"must be {in_words(leaf, json_type(leaf))}.")


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
        kind, name = hints[item.name], prefix + camel(item.name)
        branch = isinstance(kind, type) and is_dataclass(kind)
        made[item.name] = _build(kind, values, f"{name}.") if branch else values[name]
    return tree(**made)
