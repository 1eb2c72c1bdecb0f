"""Reading the parameters of messages that are no part of the protocol's typed set.

Owns the checks and the sentences that a malformed message is answered with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pygls.exceptions import JsonRpcInvalidParams

if TYPE_CHECKING:
    from collections.abc import Sequence


def uri_of(params: Any) -> str:
    """``textDocument.uri`` or ``uri``."""
    holder = params.get("textDocument", params) if isinstance(params, dict) else None
    uri = holder.get("uri") if isinstance(holder, dict) else None
    if not isinstance(uri, str):
        raise JsonRpcInvalidParams("textDocument.uri is missing or no text.")
    return uri


def text(params: Any, name: str, choices: Sequence[str] = ()) -> str:
    """A text, one of ``choices`` where there are any."""
    value = params.get(name) if isinstance(params, dict) else None
    if not isinstance(value, str) or (choices and value not in choices):
        raise JsonRpcInvalidParams(f"{name} must be {' or '.join(choices) or 'text'}.")
    return value


def ignore_files(params: Any) -> tuple[tuple[str, str], ...]:
    """``ignoreFiles``: pairs of a folder and the text of the ignore file in it."""
    value = params.get("ignoreFiles") if isinstance(params, dict) else None
    if not isinstance(value, list):
        raise JsonRpcInvalidParams("ignoreFiles must be a list.")
    return tuple((text(one, "folder"), text(one, "text")) for one in value)


def number(params: Any, name: str, low: float, high: float) -> float:
    """A number in ``[low, high]``."""
    value = params.get(name) if isinstance(params, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise JsonRpcInvalidParams(f"{name} must be a number from {low} to {high}.")
    return value


def boolean(params: Any, name: str) -> bool | None:
    """A flag that may be missing."""
    value = params.get(name) if isinstance(params, dict) else None
    if value is not None and not isinstance(value, bool):
        raise JsonRpcInvalidParams(f"{name} must be true or false.")
    return value


def position(params: Any, name: str = "position") -> tuple[int, int]:
    """(line, character)."""
    value = params.get(name) if isinstance(params, dict) else None
    if not isinstance(value, dict):
        raise JsonRpcInvalidParams(f"{name} is missing.")
    return int(number(value, "line", 0, 2**31)), int(number(value, "character", 0, 2**31))
