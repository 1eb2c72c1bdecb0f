"""Reading JSON bodies field by field, with a sentence for each thing that can be wrong.

Owns decoding and type checks that the dialects share. Knows no dialect and no model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from midfill_engine.wire import InvalidRequest, ModelInfo, check_text


class InvalidField(InvalidRequest):
    """A field of the body is wrong; ``param`` is its name in the client's dialect."""

    def __init__(self, param: str, message: str, hint: str = "") -> None:
        super().__init__(f"{param} {message}", hint)
        self.param = param


class UnknownModel(InvalidField):
    """The client asks for a model that is not the loaded one."""

    code = "model_not_found"


async def read_object(request: web.Request) -> dict[str, Any]:
    """The JSON object in the body.

    Raises
    ------
    InvalidRequest
        When the body is no JSON object. The message gives the place, never the text.
    HTTPRequestEntityTooLarge
        When it exceeds the limit of the application.
    """
    body = await request.read()
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(
            f"The body is not well-formed JSON (line {error.lineno}, column {error.colno}).",
            "Send one JSON object in UTF-8, without halves of surrogate pairs.",
        ) from None
    if not isinstance(data, dict):
        raise InvalidRequest("The request body must be a JSON object.")
    return data


class Fields:
    """Typed access to an object of a foreign dialect; ``null`` is the same as absent.

    ``within`` is the name of the field that holds the object, for the words of an error.
    """

    def __init__(self, data: Mapping[str, Any], within: str = "") -> None:
        self._data = data
        self._within = f"{within}." if within else ""

    def get(self, name: str) -> Any:
        """The raw value, or ``None``."""
        return self._data.get(name)

    def text(self, name: str, default: str = "") -> str:
        """A string that can stand in a source file."""
        value = self.get(name)
        if value is None:
            return default
        check_text(self._within + name, value)
        return str(value)

    def integer(self, name: str, low: int, high: int, default: int) -> int:
        """A whole number of at least ``low``; one above ``high`` becomes ``high``.

        Clients ask for as many tokens as their model had; that is no mistake here.
        """
        value = self.get(name)
        if value is None:
            return default
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        if isinstance(value, bool) or not whole or value < low:
            raise InvalidField(name, f"must be a whole number of at least {low}.")
        return min(int(value), high)

    def number(self, name: str, low: float, high: float, default: float) -> float:
        """A number in ``[low, high]``."""
        value = self.get(name)
        if value is None:
            return default
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not low <= value <= high
        ):
            raise InvalidField(name, f"must be a number from {low:g} to {high:g}.")
        return float(value)

    def flag(self, name: str, *, default: bool = False) -> bool:
        """True or false."""
        value = self.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise InvalidField(name, "must be true or false.")
        return value

    def strings(self, name: str) -> tuple[str, ...]:
        """A list of strings, or one string."""
        value = self.get(name)
        items = [] if value is None else [value] if isinstance(value, str) else value
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            raise InvalidField(name, "must be a string or a list of strings.")
        for item in items:
            check_text(name, item)
        return tuple(items)

    def stop(self) -> tuple[str, ...]:
        """Stop strings; an empty one would stop everything and is left out."""
        return tuple(text for text in self.strings("stop") if text)

    def objects(self, name: str) -> list[Fields]:
        """A list of objects."""
        value = self.get(name)
        items = [] if value is None else value
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise InvalidField(name, "must be a list of objects.")
        return [Fields(item, within=name) for item in items]

    def model(self, info: ModelInfo | None, aliases: tuple[str, ...] = ()) -> None:
        """Check that ``model`` is absent or the loaded one.

        Raises
        ------
        UnknownModel
            When the dialect promises an error for other names.
        """
        name = self.text("model")
        known = ("", "midfill", "default", info.name if info else name)
        if name not in known and not (aliases and name.startswith(aliases)):
            loaded = info.name if info else ""
            raise UnknownModel("model", "names no model that is loaded.", f"Use {loaded!r}.")


def cache_session(dialect: str, request: web.Request, tag: object = "") -> str:
    """A session for clients that have none, so that their context stays cached between keys.

    One a client address and ``tag`` (a slot or a user): enough for one person typing. Such a
    session must not let a newer request displace an older one: two people may share the address.
    """
    return f"{dialect}:{request.remote or 'local'}:{tag}"
