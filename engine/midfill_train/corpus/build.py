"""From packages to a corpus with a training and a held-out part.

Owns the order of the steps and the record of what was kept and why not. Knows no archive format.
"""

from __future__ import annotations

import hashlib
import json
import random
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from subprocess import CalledProcessError

from midfill_train.corpus import archive, store
from midfill_train.corpus.clean import clean, language_of
from midfill_train.corpus.decontaminate import Decontaminator
from midfill_train.corpus.licence import permissive
from midfill_train.corpus.spans import spans
from midfill_train.corpus.store import Document

#: No package may dominate: bytes of text kept of one.
PACKAGE_BYTES = 2_500_000
#: A held-out package is neither a snippet nor a framework.
HELD_OUT_FILES = (8, 170)
_PATH_PARTS = 5

_STATE: dict[str, Decontaminator] = {}


@dataclass(slots=True)
class Record:
    """What happened to one package: kept files, or why it was left out."""

    package: str
    licence: str
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    skipped: str = ""


def build(
    roots: Sequence[Path],
    out: Path,
    *,
    benchmarks: Iterable[str] = (),
    patterns: Iterable[str] = (),
    held_out_files: int = 120,
    held_out_packages: Sequence[str] = (),
    whole: bool = False,
    seed: int = 0,
    processes: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Counter[str]]:
    """Write ``out/train``, ``out/heldout`` and ``out/packages.json``.

    Parameters
    ----------
    benchmarks, patterns
        See `decontaminate.Decontaminator`.
    held_out_files
        Files a language to hold out, as whole packages.
    held_out_packages
        Names, without version, of packages to hold out in any case.
    whole
        Take each root as one folder of own code, all of it, whatever archives lie there.

    Returns
    -------
    dict
        Files a language of each part.
    """
    paths = list(roots) if whole else [p for root in roots for p in archive.find(root)]
    documents: list[Document] = []
    records: list[Record] = []
    seen: set[bytes] = set()
    state = (list(benchmarks), list(patterns))
    with ProcessPoolExecutor(processes, initializer=_start, initargs=state) as pool:
        read = (
            map(partial(_folder, pool), paths) if whole else pool.map(_package, paths, chunksize=2)
        )
        for done, (record, files) in enumerate(read):
            fresh = _fresh(files, seen)
            record.kept = len(fresh)
            documents.extend(fresh)
            records.append(record)
            if progress:
                progress(done + 1, len(paths))
    held = _hold_out(documents, held_out_files, held_out_packages, seed)
    order = random.Random(seed).sample(documents, len(documents))
    parts = {
        "train": [d for d in order if d.package not in held],
        "heldout": [d for d in order if d.package in held],
    }
    for name, part in parts.items():
        store.write(out / name, part)
    _write_records(out / "packages.json", records, held)
    return {name: Counter(d.language for d in part) for name, part in parts.items()}


def _start(benchmarks: list[str], patterns: list[str]) -> None:
    _STATE["decontaminator"] = Decontaminator(benchmarks, patterns)


def _package(path: Path) -> tuple[Record, list[Document]]:
    """Read one package in a worker process, at most `PACKAGE_BYTES` of text."""
    record, files = _opened(path)
    room = PACKAGE_BYTES

    def some() -> Iterator[Document | str]:
        nonlocal room
        for name, data in files:
            made = _document(record.package, name, data) if len(data) <= room else "package is long"
            room -= len(made.text) if isinstance(made, Document) else 0
            yield made

    return record, _taken(record, some())


def _folder(pool: Executor, path: Path) -> tuple[Record, list[Document]]:
    """Read one folder, all of it, its files in worker processes."""
    record, files = _opened(path)
    names, texts = [name for name, _ in files], [data for _, data in files]
    made = pool.map(partial(_document, record.package), names, texts, chunksize=16)
    return record, _taken(record, made)


def _opened(path: Path) -> tuple[Record, list[tuple[str, bytes]]]:
    """The record of a package and its files, none if it is left out.

    They are sorted by hash, so that which are kept does not depend on its folders' order.
    """
    try:
        package = archive.read(path)
    except (OSError, ValueError, KeyError, tarfile.TarError, zipfile.BadZipFile) as error:
        return Record(path.name, "", skipped=f"unreadable: {type(error).__name__}"), []
    except CalledProcessError:
        return Record(path.name, "", skipped="unreadable: dpkg-deb"), []
    record = Record(package.name, package.licence)
    if not permissive(package.licence):
        record.skipped = "licence"
        return record, []
    return record, sorted(package.files, key=lambda f: hashlib.md5(f[0].encode()).digest())  # noqa: S324


def _document(package: str, name: str, data: bytes) -> Document | str:
    """A file as a document, or why it is left out."""
    language, text = language_of(name), clean(data)
    if language is None or text is None:
        return "filter"
    reason = _STATE["decontaminator"].reason(text)
    if reason is not None:
        return reason
    encoded = text.encode()
    path = "/".join(name.split("/")[-_PATH_PARTS:])
    return Document(path, language, package, encoded, spans(encoded, language, seed=len(encoded)))


def _taken(record: Record, made: Iterable[Document | str]) -> list[Document]:
    """The documents; what was left out is counted in ``record``."""
    documents: list[Document] = []
    for one in made:
        if isinstance(one, str):
            record.dropped[one] += 1
        else:
            documents.append(one)
    return documents


def _fresh(files: Iterable[Document], seen: set[bytes]) -> list[Document]:
    """``files`` without those whose text, white space aside, was seen before."""
    fresh = []
    for document in files:
        key = hashlib.blake2b(b" ".join(document.text.split()), digest_size=16).digest()
        if key not in seen:
            seen.add(key)
            fresh.append(document)
    return fresh


def _hold_out(
    documents: Sequence[Document], files: int, names: Sequence[str], seed: int
) -> set[str]:
    """Packages to hold out: until each language has ``files`` files."""
    packages: dict[str, Counter[str]] = {}
    for document in documents:
        packages.setdefault(document.package, Counter())[document.language] += 1
    held = {p for p in packages if any(_is_called(p, name) for name in names)}
    got = sum((packages[p] for p in held), Counter())
    low, high = HELD_OUT_FILES
    for package in random.Random(seed).sample(sorted(packages), len(packages)):
        count = packages[package]
        main, _ = count.most_common(1)[0]
        if package not in held and low <= count.total() <= high and got[main] < files:
            held.add(package)
            got += count
    return held


def _is_called(package: str, name: str) -> bool:
    """Whether ``package``, which has a version, is the package ``name``."""
    return package.startswith((f"{name}-", f"{name}_", f"{name}@"))


def _write_records(path: Path, records: Iterable[Record], held: set[str]) -> None:
    rows = [
        {
            "package": r.package,
            "licence": r.licence,
            "kept": r.kept,
            "dropped": dict(r.dropped),
            "skipped": r.skipped,
            "held_out": r.package in held,
        }
        for r in records
    ]
    path.write_text(json.dumps(rows, indent=1))
