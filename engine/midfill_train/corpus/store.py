"""A corpus on disk: all texts in one array, with paths, languages, packages and syntax spans.

Owns the file format. Knows neither where the texts come from nor what is made of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Document:
    """One source file: UTF-8 ``text`` and ``spans`` as `spans.spans` gives them."""

    path: str
    language: str
    package: str
    text: bytes
    spans: NDArray[np.int32]


class Corpus:
    """Random access to documents; arrays are memory-mapped."""

    def __init__(self, folder: Path) -> None:
        meta = json.loads((folder / "meta.json").read_text())
        self.paths: list[str] = meta["paths"]
        self.languages: list[str] = meta["languages"]
        self.packages: list[str] = meta["packages"]
        self.text = np.load(folder / "text.npy", mmap_mode="r")
        self.text_at = np.load(folder / "text_at.npy")
        self.spans = np.load(folder / "spans.npy", mmap_mode="r")
        self.spans_at = np.load(folder / "spans_at.npy")

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> Document:
        return Document(
            self.paths[i],
            self.languages[i],
            self.packages[i],
            self.text[self.text_at[i] : self.text_at[i + 1]].tobytes(),
            np.asarray(self.spans[self.spans_at[i] : self.spans_at[i + 1]]),
        )

    def sizes(self) -> NDArray[np.int64]:
        """Bytes of each document."""
        sizes: NDArray[np.int64] = np.diff(self.text_at)
        return sizes


def write(folder: Path, documents: Iterable[Document]) -> None:
    """Write ``documents`` as a corpus into ``folder``, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    docs = list(documents)
    np.save(folder / "text.npy", np.frombuffer(b"".join(d.text for d in docs), np.uint8))
    np.save(folder / "text_at.npy", np.cumsum([0, *(len(d.text) for d in docs)]))
    rows = [d.spans.reshape(-1, 3) for d in docs]
    np.save(folder / "spans.npy", np.concatenate([np.zeros((0, 3), np.int32), *rows]))
    np.save(folder / "spans_at.npy", np.cumsum([0, *(len(r) for r in rows)]))
    meta = {
        "paths": [d.path for d in docs],
        "languages": [d.language for d in docs],
        "packages": [d.package for d in docs],
    }
    (folder / "meta.json").write_text(json.dumps(meta))
