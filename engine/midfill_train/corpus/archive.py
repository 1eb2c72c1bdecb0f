"""Packages as registries hand them out, read without unpacking to disk or running anything.

Owns the formats: wheel, npm archive, Debian binary and source package, plain folder. Gives the
package's name, the licence that it states, and its files. Knows no filters.
"""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from midfill_train.corpus import folder, licence
from midfill_train.corpus.clean import MAX_BYTES, language_of

_TOP = 2  # "package/package.json"


@dataclass(frozen=True, slots=True)
class Package:
    """One package.

    Attributes
    ----------
    name
        With its version, as the archive names it.
    licence
        As stated by its own metadata; empty if it states none.
    files
        Path inside the package and raw content of each source file.
    """

    name: str
    licence: str
    files: list[tuple[str, bytes]]


def read(path: Path) -> Package:
    """Read one package.

    Raises
    ------
    ValueError
        Its name tells no known format.
    OSError, tarfile.TarError, zipfile.BadZipFile
        It cannot be read.
    """
    return _reader(path)(path)


def find(root: Path) -> list[Path]:
    """Packages under ``root``: known archives at any depth, else ``root`` itself as a folder."""
    archives = [p for p in sorted(root.rglob("*")) if p.is_file() and _is_archive(p.name)]
    return archives or [root]


def _is_archive(name: str) -> bool:
    return name.endswith((".whl", ".tgz", ".deb")) or _is_source(name)


def _is_source(name: str) -> bool:
    return ".orig" in name and name.endswith((".tar.gz", ".tar.xz", ".tar.bz2"))


def _reader(path: Path) -> Callable[[Path], Package]:
    if path.is_dir():
        return _folder
    if path.suffix == ".whl":
        return _wheel
    if path.suffix == ".tgz":
        return _npm
    if path.suffix == ".deb":
        return _deb
    if _is_source(path.name):
        return _debian_source
    raise ValueError(f"{path}: not a wheel, npm archive, Debian package or folder.")


def _wheel(path: Path) -> Package:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        metadata = [n for n in names if n.endswith(".dist-info/METADATA")]
        stated = archive.read(metadata[0]).decode("utf-8", "replace") if metadata else ""
        small = [n for n in names if language_of(n) and archive.getinfo(n).file_size < MAX_BYTES]
        files = [(n, archive.read(n)) for n in small]
    return Package("-".join(path.stem.split("-")[:2]), licence.from_metadata(stated), files)


def _npm(path: Path) -> Package:
    with tarfile.open(path) as archive:
        description: dict[str, object] = {}
        for member in archive:
            if member.name.count("/") == 1 and member.name.endswith("/package.json"):
                description = json.loads(_content(archive, member))
        files = [(name.split("/", 1)[-1], data) for name, data in _sources(archive)]
    stated = description.get("license") or description.get("licenses") or ""
    name = f"{description.get('name', path.stem)}@{description.get('version', '')}"
    text = stated if isinstance(stated, str) else json.dumps(stated)
    return Package(name, text[:120], files)


def _deb(path: Path) -> Package:
    listing = subprocess.run(  # noqa: S603  (a fixed program, our own path)
        ["dpkg-deb", "--fsys-tarfile", str(path)],  # noqa: S607
        check=True,
        capture_output=True,
    )
    stated, files = "", []
    with tarfile.open(fileobj=io.BytesIO(listing.stdout)) as archive:
        for member in archive:
            if member.isfile() and member.name.endswith("/copyright"):
                stated = _content(archive, member).decode("utf-8", "replace")
        files = [(_shorter(name), data) for name, data in _sources(archive)]
    name = "_".join(path.stem.split("_")[:2])
    return Package(name, licence.from_debian_copyright(stated), files)


def _debian_source(path: Path) -> Package:
    with tarfile.open(path) as archive:
        files = [(name.split("/", 1)[-1], data) for name, data in _sources(archive)]
    name = path.name.split(".orig")[0]
    stated = ""
    for packaging in path.parent.glob(f"{name.split('_')[0]}_*.debian.tar.*"):
        with tarfile.open(packaging) as archive:
            member = archive.getmember("debian/copyright")
            stated = _content(archive, member).decode("utf-8", "replace")
    return Package(name, licence.from_debian_copyright(stated), files)


def _folder(path: Path) -> Package:
    root = path.resolve()
    named = ((p.relative_to(root).as_posix(), p) for p in folder.files(root))
    files = [(name, p.read_bytes()) for name, p in named if language_of(name)]
    return Package(path.name, "own folder: public", files)


def _sources(archive: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    for member in archive:
        if member.isfile() and member.size < MAX_BYTES and language_of(member.name):
            yield member.name, _content(archive, member)


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    return file.read() if file else b""


def _shorter(name: str) -> str:
    """A path as its project would write it, without where the distribution installs it."""
    name = name.removeprefix("./")
    for place in ("usr/share/gocode/src/", "usr/share/cargo/registry/", "usr/include/", "usr/src/"):
        name = name.removeprefix(place)
    return name
