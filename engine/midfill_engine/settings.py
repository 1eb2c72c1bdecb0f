"""Settings of the engine process: one frozen dataclass, each field with unit and reason.

Precedence: defaults < user file (``midfill.toml``, table ``[engine]``) < ``MIDFILL_*`` in the
environment < command line. A wrong key or value costs only itself: it is reported in words and
what stood before stays. Only this module reads ``os.environ``; it also owns the places on disk
that follow from it. Knows nothing of what a setting does.
"""

from __future__ import annotations

import difflib
import os
import tomllib
import warnings
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import platformdirs

APP = "midfill"
ENV_PREFIX = "MIDFILL_"
#: How often a thread of GNU OpenMP looks for work before it sleeps: 0.7 ms, by estimate.
SPINS = "10000"
#: Where OpenSSL looks for certificate authorities before it looks where the system has them.
AUTHORITIES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What the engine process is told at its start; editors never change it."""

    model: str = field(
        default="midfill-0.5b-v8",
        metadata={"doc": "Name of an installed model, or the path of a checkpoint directory."},
    )
    device: Literal["auto", "cpu", "cuda"] = field(
        default="auto", metadata={"doc": "Where the model runs; auto takes a GPU if there is one."}
    )
    precision: Literal["auto", "float32", "bfloat16", "float16", "int8", "fp8", "int4"] = field(
        default="auto",
        metadata={
            "doc": "Precision of the weights at run time; auto: int8 on CPUs, bfloat16 on GPUs."
        },
    )
    threads: int = field(
        default=0,
        metadata={"doc": "CPU threads; 0 takes one a physical core, fewer while others compute."},
    )
    cache_mb: int = field(
        default=256, metadata={"doc": "Memory for the context caches of all sessions, MiB."}
    )
    refresh_steps: int = field(
        default=8,
        metadata={
            "doc": "Fully bidirectional models: all rows run at every so-manieth step; 1 is exact.",
            "low": 1,
        },
    )
    hole_tokens: int = field(
        default=0,
        metadata={"doc": "Fully bidirectional models: masks of a hole; 0 tries several numbers."},
    )
    agreement: Literal["off", "note"] = field(
        default="off",
        metadata={
            "doc": "Fully bidirectional models: compare each step with an exact one, in `notes`."
        },
    )
    idle_exit_s: float = field(
        default=1800.0, metadata={"doc": "The daemon ends after so many idle seconds; 0: never."}
    )
    max_waiting: int = field(
        default=32,
        metadata={"doc": "Requests that may wait; more are refused as busy.", "low": 1},
    )
    max_body_mb: int = field(default=16, metadata={"doc": "Largest request body, MiB.", "low": 1})
    hub: str = field(
        default="",
        metadata={"doc": "Base URL that `midfill models fetch` downloads from; empty: none."},
    )


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings that can be used, and what was wrong with their sources, in words."""

    settings: EngineSettings
    warnings: tuple[str, ...] = ()


def load(
    overrides: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    file: Path | None = None,
) -> Loaded:
    """Merge all sources, weakest first.

    Parameters
    ----------
    overrides
        Typed values of the command line, already checked by its parser.
    file
        The user's ``midfill.toml``; by default the one in the configuration directory.
    """
    told: list[str] = []
    merged: dict[str, Any] = {}
    path = user_file() if file is None else file
    for source, values in (
        (f"{path}, table [engine]", _read_file(path, told)),
        ("the environment", _read_environment(environ, told)),
    ):
        for key, value in values.items():
            _take(key, value, source, merged, told)
    merged.update(overrides or {})
    return Loaded(replace(EngineSettings(), **merged), tuple(told))


def user_file() -> Path:
    """Where the user's ``midfill.toml`` is looked for."""
    return platformdirs.user_config_path(APP) / "midfill.toml"


def runtime_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Directory of the daemon's socket, lock, description and log."""
    named = environ.get("MIDFILL_RUNTIME_DIR")
    if named:
        return Path(named)
    with warnings.catch_warnings():
        # Without XDG_RUNTIME_DIR it warns and takes one below /tmp; we check whose that is.
        warnings.simplefilter("ignore")
        return platformdirs.user_runtime_path(APP)


def model_directories(environ: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """The user's directories of models, first choice first: ``$MIDFILL_MODELS``, then his data."""
    named = environ.get("MIDFILL_MODELS", "")
    chosen = [Path(part) for part in named.split(os.pathsep) if part]
    return (*chosen, platformdirs.user_data_path(APP) / "models")


def api_key_of_environment(environ: Mapping[str, str] = os.environ) -> str:
    """The API key of ``midfill serve``; empty when there is none."""
    return environ.get("MIDFILL_API_KEY", "")


def share_cores(environ: MutableMapping[str, str] = os.environ) -> None:
    """Let idle threads of a forward spin briefly, then sleep; call before PyTorch is imported.

    OpenMP's threads spin at each barrier by default, and so keep a core busy long after a forward.
    To wake a thread for each barrier costs half a forward, though. Where others need the cores,
    fewer threads compute (`device.cores`, docs/decisions/0003-threads-that-sleep.md).
    """
    if "OMP_WAIT_POLICY" not in environ:
        environ["OMP_WAIT_POLICY"] = "PASSIVE"
        environ.setdefault("GOMP_SPINCOUNT", SPINS)


@contextmanager
def without_authorities(environ: MutableMapping[str, str] = os.environ) -> Iterator[None]:
    """Let OpenSSL find no certificate authorities while the body runs.

    aiohttp reads all of the system's twice when it is imported, for clients: 40 ms of a start.
    """
    kept = {name: environ.get(name) for name in AUTHORITIES}
    environ.update(dict.fromkeys(AUTHORITIES, os.devnull))
    try:
        yield
    finally:
        for name, value in kept.items():
            if value is None:
                del environ[name]
            else:
                environ[name] = value


def choices(setting: Field[Any]) -> Sequence[str]:
    """Words that a setting can take; empty when it is no choice."""
    kind = get_type_hints(EngineSettings)[setting.name]
    return get_args(kind) if get_origin(kind) is Literal else ()


def parse(name: str, value: Any) -> Any:
    """The value of setting ``name`` from text or TOML.

    Raises
    ------
    ValueError
        Saying what the setting takes.
    """
    known = _fields()[name]
    if words := choices(known):
        if value not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return value
    kind = get_type_hints(EngineSettings)[name]
    if kind is str:
        return _text(value)
    return _number(value, kind, known.metadata.get("low", 0))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text")  # noqa: TRY004  (one error type for wrong values)
    return value


def _number(value: Any, kind: type, low: float) -> int | float:
    wanted = "a whole number" if kind is int else "a number"
    try:
        number = kind(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError(f"must be {wanted}") from None
    allowed = (int,) if kind is int else (int, float)
    if isinstance(number, bool) or not isinstance(number, allowed) or not low <= number < 2**31:
        raise ValueError(f"must be {wanted}, at least {low}")
    return kind(number)  # type: ignore[no-any-return]


def _take(key: str, value: Any, source: str, merged: dict[str, Any], told: list[str]) -> None:
    name = key.replace("-", "_")
    if name not in _fields():
        near = difflib.get_close_matches(name, _fields(), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        told.append(f"Unknown setting {key!r} in {source} is ignored.{hint}")
        return
    try:
        merged[name] = parse(name, value)
    except ValueError as error:
        kept = merged.get(name, _fields()[name].default)
        told.append(f"Setting {key!r} in {source} {error}; {kept!r} is used.")


def _read_file(path: Path, told: list[str]) -> Mapping[str, Any]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        told.append(f"{path} cannot be read and is ignored: {error}.")
        return {}
    table = content.get("engine", {})
    if not isinstance(table, dict):
        told.append(f"'engine' in {path} must be a table [engine]; it is ignored.")
        return {}
    return table


def _read_environment(environ: Mapping[str, str], told: list[str]) -> Mapping[str, str]:
    """Variables of known settings; a misspelt one is told only when it is close to a known one.

    The language server's variables share the prefix, so an unknown name alone is no mistake.
    """
    known = {ENV_PREFIX + name.upper(): name for name in _fields()}
    found = {known[key]: value for key, value in environ.items() if key in known}
    for key in environ:
        if key.startswith(ENV_PREFIX) and key not in known and key not in _OTHER_VARIABLES:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.88)
            if near:
                told.append(f"{key} in the environment is ignored; did you mean {near[0]}?")
    return found


_OTHER_VARIABLES = frozenset({"MIDFILL_RUNTIME_DIR", "MIDFILL_MODELS", "MIDFILL_API_KEY"})


def _fields() -> dict[str, Field[Any]]:
    return {known.name: known for known in fields(EngineSettings)}
