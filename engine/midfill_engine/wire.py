"""The words that engine and language server exchange: requests, drafts, fills, errors.

Owns the native request and answer types and their form as plain dictionaries. Knows neither
HTTP nor LSP nor tensors, and imports the standard library only, so that the language server
can use it without the engine's dependencies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

PROTOCOL_VERSION = 2

#: Why a fill ended. ``end``: the model closed the middle. ``stop``: a stop string or a line end
#: that was asked for. ``length``: ``max_tokens`` reached. The others say who stopped it.
FinishReason = Literal["end", "stop", "length", "deadline", "superseded", "cancelled", "shutdown"]

#: Names of the decoding presets and modes that ``FillRequest.strategy`` takes; it also takes one
#: strategy with its parameter, ``threshold:0.8`` for instance, which the engine knows.
STRATEGIES = (
    "quality",
    "balanced",
    "fast",
    "autoregressive",
    "self-speculative",
)

#: What is taken where none is named, and for text that is shown as it grows: with it, what was
#: shown stays.
DEFAULT_STRATEGY, GROWING_STRATEGY = "quality", "balanced"

VERSIONS = (-(2**53), 2**53)
MAX_TOKENS_LIMIT = 1024
MAX_CANDIDATES = 8
MAX_TEXT_CHARS = 4_000_000


class MidfillError(Exception):
    """An error that a person reads: what failed, with which value, and what to do.

    Parameters
    ----------
    message
        What failed. Never contains text of the user's documents.
    hint
        What to do about it; may be empty.
    """

    code = "error"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class InvalidRequest(MidfillError):  # noqa: N818  (a request is invalid; "Error" adds nothing)
    """The request cannot be understood; the message names the field."""

    code = "invalid_request"


@dataclass(frozen=True, slots=True)
class Snippet:
    """Code of another file that may help, with the path it came from."""

    path: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class FillRequest:
    """One request for the middle between ``prefix`` and ``suffix``.

    ``budget_ms`` counts from the moment the engine reads the request; at its end the best
    complete state is returned; so it is ``writing_ms`` after the context is read, where that is
    sooner. A newer request of the same ``session`` supersedes an older one, except that a
    ``speculative`` one never displaces a real one.
    ``draft`` is text that the middle probably begins with (what was shown before, minus what was
    typed): it is verified, not trusted.
    """

    prefix: str = field(repr=False)
    suffix: str = field(default="", repr=False)
    path: str = ""
    language: str = ""
    snippets: tuple[Snippet, ...] = ()
    session: str = ""
    version: int = 0
    budget_ms: int | None = None
    writing_ms: int | None = None
    max_tokens: int = 64
    candidates: int = 1
    strategy: str = DEFAULT_STRATEGY
    temperature: float = 0.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    single_line: bool = False
    allow_empty: bool = True
    draft: str = field(default="", repr=False)
    speculative: bool = False

    def __post_init__(self) -> None:
        """Check every field.

        Raises
        ------
        InvalidRequest
            Naming the first field that is wrong and what it may be.
        """
        for name in ("prefix", "suffix", "path", "language", "session", "draft"):
            check_text(name, getattr(self, name))
        for text in self.stop:
            check_text("stop", text)
        for snippet in self.snippets:
            check_text("snippets.path", snippet.path)
            check_text("snippets.text", snippet.text)
        for name in ("budget_ms", "writing_ms"):
            if getattr(self, name) is not None:
                check_int(name, getattr(self, name), 1, 600_000)
        check_int("max_tokens", self.max_tokens, 1, MAX_TOKENS_LIMIT)
        check_int("candidates", self.candidates, 1, MAX_CANDIDATES)
        check_int("version", self.version, *VERSIONS)
        check_int("seed", self.seed, 0, 2**63 - 1)
        temperature = self.temperature
        if (
            isinstance(temperature, bool)
            or not isinstance(temperature, int | float)
            or not 0 <= temperature <= 5
        ):
            raise InvalidRequest("temperature must be a number from 0 to 5.")
        check_text("strategy", self.strategy)
        if self.strategy not in STRATEGIES and ":" not in self.strategy:
            raise InvalidRequest(
                f"strategy {self.strategy!r} is unknown.", f"Use one of {', '.join(STRATEGIES)}."
            )

    @classmethod
    def from_dict(cls, data: Any) -> FillRequest:
        """Build from decoded JSON.

        Raises
        ------
        InvalidRequest
            On anything but an object with known fields of the right types.
        """
        if not isinstance(data, Mapping):
            raise InvalidRequest("The request body must be a JSON object.")
        known = {f.name: f for f in fields(cls)}
        unknown = sorted(set(data) - set(known))
        if unknown:
            raise InvalidRequest(
                f"Unknown field {unknown[0]!r}.", f"Known fields: {', '.join(sorted(known))}."
            )
        if "prefix" not in data:
            raise InvalidRequest("prefix is missing.", "Send the text before the cursor.")
        values = dict(data)
        if "snippets" in values:
            values["snippets"] = _snippets(values["snippets"])
        if "stop" in values:
            values["stop"] = _strings("stop", values["stop"])
        for name in ("single_line", "allow_empty", "speculative"):
            if name in values and not isinstance(values[name], bool):
                raise InvalidRequest(f"{name} must be true or false.")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready dictionary; fields at their default are left out."""
        plain = asdict(self)
        return {
            f.name: plain[f.name]
            for f in fields(self)
            if f.name == "prefix" or getattr(self, f.name) != f.default
        }


@dataclass(frozen=True, slots=True)
class Token:
    """A token of a middle: its text, the probability it was committed with, and whether it was."""

    text: str = field(repr=False)
    confidence: float
    committed: bool = True


@dataclass(frozen=True, slots=True)
class Draft:
    """The state of the middle after one denoising step; provisional until the `Fill`.

    Attributes
    ----------
    steady
        How many of the tokens stay, wherever the middle ends; ``None`` where that is not known.
    """

    step: int
    tokens: tuple[Token, ...]
    steady: int | None = None

    @property
    def text(self) -> str:
        """The draft as text; open positions hold the model's best guess so far."""
        return "".join(token.text for token in self.tokens)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready dictionary."""
        return {
            "step": self.step,
            "text": self.text,
            "tokens": [asdict(t) for t in self.tokens],
            "steady": self.steady,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Draft:
        """Build from what `to_dict` wrote."""
        tokens = tuple(Token(**t) for t in data["tokens"])
        return cls(data["step"], tokens, data.get("steady"))


@dataclass(frozen=True, slots=True)
class Middle:
    """One candidate: a finished middle with its tokens and its mean log-probability."""

    text: str = field(repr=False)
    tokens: tuple[Token, ...] = field(repr=False)
    score: float
    finish_reason: FinishReason

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Middle:
        """Build from decoded JSON."""
        return cls(
            data["text"],
            tuple(Token(**t) for t in data["tokens"]),
            data["score"],
            data["finish_reason"],
        )


@dataclass(frozen=True, slots=True)
class Fill:
    """The answer to one `FillRequest`, best candidate first.

    ``nfe`` counts forwards that denoised or verified, a prefill that did so too included, and one
    that candidates share once;
    ``width`` is the number of rows of the block that was drafted or denoised, as chosen for this
    machine;
    ``tokens_per_forward`` is committed tokens (the end marker included) over ``nfe``, at least 1
    in the divisor. Milliseconds are wall time inside the engine. ``reading_ms`` and ``writing_ms``
    are its share, by rows, of the time of its forwards and of what was done with their results:
    rows that bring up the context, and all others. ``lost_reading_ms`` and ``lost_writing_ms`` are
    what it had no use for of those of its session's stopped fills before it: context rows that did
    not stand in its context, tokens with which it did not agree.
    """

    middles: tuple[Middle, ...]
    finish_reason: FinishReason
    model: str = ""
    strategy: str = ""
    width: int = 0
    nfe: int = 0
    tokens_per_forward: float = 0.0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    queue_ms: float = 0.0
    prefill_ms: float = 0.0
    denoise_ms: float = 0.0
    total_ms: float = 0.0
    reading_ms: float = 0.0
    writing_ms: float = 0.0
    lost_reading_ms: float = 0.0
    lost_writing_ms: float = 0.0
    session: str = ""
    version: int = 0
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The best middle, or the empty string."""
        return self.middles[0].text if self.middles else ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready dictionary."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Fill:
        """Build from what `to_dict` wrote; unknown fields are ignored (a newer engine)."""
        known = {f.name for f in fields(cls)}
        values = {k: v for k, v in data.items() if k in known}
        values["middles"] = tuple(Middle.from_dict(m) for m in data["middles"])
        values["notes"] = tuple(data.get("notes", ()))
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Silence:
    """An expected nothing, with the reason the user can ask for. Not an error."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a client may know of the loaded model."""

    name: str
    architecture: str
    parameters: int
    precision: str
    device: str
    context_tokens: int
    block_size: int
    bytes_resident: int = 0

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready dictionary."""
        return asdict(self)


def check_text(name: str, value: Any) -> None:
    """Raise `InvalidRequest` unless ``value`` is text that can stand in a source file."""
    if not isinstance(value, str):
        raise InvalidRequest(f"{name} must be a string.")
    if len(value) > MAX_TEXT_CHARS:
        raise InvalidRequest(
            f"{name} has {len(value):,} characters; at most {MAX_TEXT_CHARS:,} are taken.",
            "Send the part near the cursor.",
        )
    if "\0" in value:
        raise InvalidRequest(f"{name} contains a NUL character.", "Send text, not binary data.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidRequest(
            f"{name} contains half of a surrogate pair.", "Send well-formed Unicode."
        ) from None


def check_int(name: str, value: Any, low: int, high: int) -> None:
    """Raise `InvalidRequest` unless ``value`` is a whole number in ``[low, high]``."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidRequest(f"{name} must be a whole number from {low} to {high}.")


def _strings(name: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, Sequence) or not all(isinstance(v, str) for v in value):
        raise InvalidRequest(f"{name} must be a list of strings.")
    return tuple(value)


def _snippets(value: Any) -> tuple[Snippet, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise InvalidRequest("snippets must be a list of objects with path and text.")
    out = []
    for item in value:
        if not isinstance(item, Mapping) or set(item) != {"path", "text"}:
            raise InvalidRequest("snippets must be a list of objects with path and text.")
        out.append(Snippet(item["path"], item["text"]))
    return tuple(out)
