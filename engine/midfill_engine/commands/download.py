"""Downloading a checkpoint from a hub: ``{hub}/{repository}/resolve/{revision}/{file}``.

Owns which files make a checkpoint, resuming, and checking what came. Runs only when a person asks
for it; nothing else in the engine opens a connection. Knows nothing of what is in the tensors.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import orjson

from midfill_engine.models.configuration import (
    ADAPTER_FILE,
    ADAPTER_STEM,
    CHAIN_FILE,
    CONFIG_FILE,
    MODEL_STEM,
)
from midfill_engine.wire import MidfillError

#: ``(file, bytes so far, bytes in all or 0)``
OnProgress = Callable[[str, int, int], None]

#: Of a checkpoint; an adapter has its own configuration, and no more.
REQUIRED = (CONFIG_FILE, "tokenizer.json")
OPTIONAL = ("tokenizer_config.json", "LICENSE", "NOTICE", "README.md", CHAIN_FILE)
SUMS = "SHA256SUMS"
CHUNK = 1 << 20
ATTEMPTS = 3

_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class DownloadError(MidfillError):
    """A file did not come, or is not what its checksum says."""

    code = "download"


@dataclass
class Download:
    """One checkpoint or adapter on its way into ``target``.

    Files collect in ``target`` with the ending ``.partial``, which a later call goes on with, and
    the directory gets its name when all of them are there and checked.
    """

    hub: str
    repository: str
    revision: str
    target: Path
    on_progress: OnProgress = lambda _file, _done, _total: None
    #: Files that came without a published checksum.
    unchecked: list[str] = field(default_factory=list)
    _sums: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what could lead elsewhere.

        Raises
        ------
        DownloadError
            For an unsafe address, repository or revision, or a target that exists.
        """
        _check_hub(self.hub)
        if not _REPOSITORY.fullmatch(self.repository):
            raise DownloadError(f"{self.repository!r} is no repository.", "Write OWNER/NAME.")
        if not _FILE.fullmatch(self.revision):
            raise DownloadError(f"{self.revision!r} is no branch, tag or commit.")
        if self.target.exists():
            raise DownloadError(f"{self.target} exists already.", "Remove it or choose --name.")

    async def run(self) -> Path:
        """Fetch all files and return the finished directory.

        Raises
        ------
        DownloadError
            When the hub cannot be reached, a file is missing, or a checksum differs.
        """
        self._partial.mkdir(parents=True, exist_ok=True)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=60)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            if await self._get(session, SUMS, required=False):
                self._sums = _read_sums(self._partial / SUMS)
            adapter = await self._get(session, ADAPTER_FILE, required=False)
            for name in () if adapter else REQUIRED:
                await self._get(session, name)
            for name in OPTIONAL:
                await self._get(session, name, required=False)
            single = f"{ADAPTER_STEM if adapter else MODEL_STEM}.safetensors"
            index = f"{single}.index.json"
            indexed = await self._get(session, index, required=False)
            for name in _shards(self._partial / index) if indexed else (single,):
                await self._get(session, name)
        self._partial.rename(self.target)
        return self.target

    @property
    def _partial(self) -> Path:
        return self.target.with_name(self.target.name + ".partial")

    async def _get(
        self, session: aiohttp.ClientSession, name: str, *, required: bool = True
    ) -> bool:
        """Have ``name`` in the partial directory, checked; False when the hub has no such file."""
        path = self._partial / name
        for attempt in range(ATTEMPTS):
            try:
                found = _size(path) > 0 or await self._receive(session, name)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                if attempt + 1 < ATTEMPTS:
                    continue
                raise DownloadError(
                    f"{name} did not come from {self.hub} ({type(error).__name__}).",
                    "Run the same command again; it goes on where it stopped.",
                ) from error
            if not found and required:
                raise DownloadError(f"{self.repository} at {self.hub} has no {name}.")
            if found:
                await asyncio.to_thread(self._check, path)
            return found
        return False

    async def _receive(self, session: aiohttp.ClientSession, name: str) -> bool:
        """Append what is missing to ``name.part`` and give it its name when it is whole."""
        part = self._partial / f"{name}.part"
        have = _size(part)
        url = f"{self.hub.rstrip('/')}/{self.repository}/resolve/{self.revision}/{name}"
        async with session.get(url, headers={"Range": f"bytes={have}-"} if have else {}) as answer:
            if answer.status in (401, 403, 404):
                return False
            if answer.status == 416:  # what we have is as long as the file, or longer
                part.unlink()
                return await self._receive(session, name)
            answer.raise_for_status()
            resumed = answer.status == 206
            self._learn_sum(name, answer)
            done = have if resumed else 0
            total = done + (answer.content_length or 0)
            with part.open("ab" if resumed else "wb") as file:
                async for chunk in answer.content.iter_chunked(CHUNK):
                    file.write(chunk)
                    done += len(chunk)
                    self.on_progress(name, done, total)
        part.rename(self._partial / name)
        return True

    def _learn_sum(self, name: str, answer: aiohttp.ClientResponse) -> None:
        """Large files carry their SHA-256 as entity tag, on the answer or on its redirection."""
        for response in (*answer.history, answer):
            for header in ("X-Linked-Etag", "ETag"):
                tag = response.headers.get(header, "").removeprefix("W/").strip('"')
                if _SHA256.fullmatch(tag):
                    self._sums.setdefault(name, tag)

    def _check(self, path: Path) -> None:
        expected = self._sums.get(path.name)
        if expected is None:
            if path.name.endswith(".safetensors"):
                self.unchecked.append(path.name)
            return
        if sha256(path) != expected:
            path.unlink()
            raise DownloadError(
                f"{path.name} is not what its checksum says; it was removed.",
                "Run the same command again.",
            )


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_hub(hub: str) -> None:
    parts = urlsplit(hub)
    try:
        local = ip_address(parts.hostname or "").is_loopback
    except ValueError:
        local = parts.hostname == "localhost"
    if not parts.hostname or parts.scheme not in ("http", "https"):
        raise DownloadError(
            "No hub to download from is set." if not hub else f"{hub!r} is no web address.",
            "Give --hub https://... or set MIDFILL_HUB.",
        )
    if parts.scheme == "http" and not local:
        raise DownloadError(
            f"{hub} is not encrypted: weights could be changed on the way.", "Use https."
        )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _read_sums(path: Path) -> dict[str, str]:
    """Lines of ``sha256sum``."""
    sums = {}
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        digest, _, name = text.partition(" ")
        if _SHA256.fullmatch(digest):
            sums[name.strip().removeprefix("*")] = digest
    return sums


def _shards(index: Path) -> list[str]:
    """Files that the index names; none may lead out of the directory."""
    try:
        names = sorted(set(orjson.loads(index.read_bytes())["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError):
        raise DownloadError(f"{index.name} is no index of tensors.") from None
    for name in names:
        if not isinstance(name, str) or not _FILE.fullmatch(name):
            raise DownloadError(f"{index.name} names a file outside of the checkpoint.")
    return names
