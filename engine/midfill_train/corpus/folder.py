"""The files of a plain folder, less what its ignore files name.

Owns the reading of ``.gitignore`` and ``.midfillignore``: what is ignored is generated, foreign or
secret, and none of it is to be learned. Knows no filters besides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pathspec import GitIgnoreSpec

IGNORE_FILES = (".gitignore", ".midfillignore")


@dataclass(frozen=True, slots=True)
class _Rules:
    """The patterns of one ignore file, which count below ``folder``."""

    folder: Path
    spec: GitIgnoreSpec


def files(root: Path) -> Iterator[Path]:
    """All files under ``root`` in a fixed order: no links, nothing that is ignored.

    Ignore files count from the working tree's root down, if ``root`` lies in one; as in Git, the
    last match decides, and nothing inside an ignored folder is looked at.
    """
    root = root.resolve()
    tree = next((place for place in (root, *root.parents) if (place / ".git").exists()), root)
    above = [folder for folder in reversed(root.parents) if folder.is_relative_to(tree)]
    rules = [rule for folder in above for rule in _read(folder)]
    yield from _walk(root, rules)


def _walk(folder: Path, rules: Sequence[_Rules]) -> Iterator[Path]:
    try:
        paths = sorted(folder.iterdir())
    except PermissionError:  # the rest of the tree is there all the same
        return
    rules = [*rules, *_read(folder)]
    for path in paths:
        if path.is_symlink() or _ignored(path, rules):
            continue
        if path.is_dir():
            yield from _walk(path, rules)
        elif path.is_file():
            yield path


def _read(folder: Path) -> Iterator[_Rules]:
    for name in IGNORE_FILES:
        if (folder / name).is_file():
            lines = (folder / name).read_text("utf-8", "replace").splitlines()
            yield _Rules(folder, GitIgnoreSpec.from_lines(filter(_is_pattern, lines)))


def _is_pattern(line: str) -> bool:
    """Git passes over a line that it cannot read, and so do we."""
    try:
        GitIgnoreSpec.from_lines([line])
    except ValueError:
        return False
    return True


def _ignored(path: Path, rules: Sequence[_Rules]) -> bool:
    end = "/" if path.is_dir() else ""
    for rule in reversed(rules):
        told = rule.spec.check_file(f"{path.relative_to(rule.folder).as_posix()}{end}").include
        if told is not None:
            return told
    return False
