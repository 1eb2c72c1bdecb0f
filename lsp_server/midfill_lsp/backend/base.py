"""What the language server needs from whatever fills middles.

Owns the `Backend` protocol, its errors, and the words for the state it is in. Knows neither
documents nor a transport.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from midfill_engine.wire import Draft, Fill, FillRequest, MidfillError, ModelInfo

if TYPE_CHECKING:
    from collections.abc import Callable

#: ``starting``: no process answers yet. ``loading``: it answers and reads the model.
BackendState = Literal["starting", "loading", "ready", "error"]


class EngineUnavailable(MidfillError):  # noqa: N818  (the tree in the docstring of errors.py)
    """No middle can be had now.

    Parameters
    ----------
    message, hint
        As for `MidfillError`.
    silence
        The code of silence that the user is told: ``engine-starting``, ``engine-loading`` or
        ``engine-down``.
    """

    code = "engine_unavailable"

    def __init__(self, message: str, hint: str = "", *, silence: str = "engine-down") -> None:
        super().__init__(message, hint)
        self.silence = silence


class ProtocolMismatch(EngineUnavailable):
    """Engine and language server come from different releases."""

    code = "protocol_mismatch"


@dataclass(frozen=True, slots=True)
class Health:
    """State of a backend as shown to the user; ``progress`` from 0 to 1 while loading.

    ``crashed`` says that it worked before and ended by itself, which is worth telling.
    """

    state: BackendState
    message: str = ""
    progress: float | None = None
    model: str = ""
    device: str = ""
    crashed: bool = False


class Backend(Protocol):
    """Fills middles. Cancelling the awaiting task stops the work behind it."""

    #: Whether it ends a fill by itself whose drafts do not agree with what was `typed` since.
    compares: bool

    @property
    def state(self) -> Health:
        """What is known without asking."""
        ...

    async def fill(
        self, request: FillRequest, on_draft: Callable[[Draft], None] | None = None
    ) -> Fill:
        """Fill one middle.

        Raises
        ------
        EngineUnavailable
            When nothing answers; asking again later may help.
        MidfillError
            When this request was refused.
        """
        ...

    def typed(self, session: str, version: int, text: str) -> None:
        """Tell what was typed since ``session`` asked for ``version``; returns at once."""
        ...

    def wake(self) -> None:
        """Get ready in the background if that has not happened; returns at once."""
        ...

    async def close(self) -> None:
        """Let go of connections and background work; never ends a shared engine."""
        ...


def model_words(info: ModelInfo | dict[str, object] | None) -> tuple[str, str]:
    """Name and device of a model description, empty when there is none."""
    if info is None:
        return "", ""
    plain = info.to_dict() if isinstance(info, ModelInfo) else info
    return str(plain.get("name", "")), str(plain.get("device", ""))
