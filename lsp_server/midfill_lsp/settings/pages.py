"""What is made from the tree: the JSON schema for editors and the table of ``docs/settings.md``."""

from __future__ import annotations

from typing import Any

from midfill_lsp.settings.tree import in_words, json_type, leaves


def schema() -> dict[str, Any]:
    """JSON schema by dotted name, as editors want it (`midfill.` is put before each name)."""
    properties = {}
    for leaf in leaves():
        entry = {
            **json_type(leaf),
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
        kind = json_type(leaf)
        values = (
            ", ".join(f"`{v}`" for v in kind["enum"]) if "enum" in kind else in_words(leaf, kind)
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


def _json(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
