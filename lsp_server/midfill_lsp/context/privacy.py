"""Files whose text never leaves the editor: secrets, ignored and excluded ones.

Owns the list of names that carry secrets and the reading of `.midfillignore` files, which are
written like `.gitignore`. Knows nothing of where settings come from. It is asked before any text
reaches the engine, a cache or a log.
"""

from __future__ import annotations

import fnmatch
import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import pathspec

from midfill_engine.wire import Silence

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from midfill_lsp.documents import Elsewhere

IGNORE_FILE = ".midfillignore"

#: Names, in lower case, of files that hold secrets as a rule.
SECRET_NAMES = (
    ".env",
    ".env.*",
    "*.env",
    ".envrc",
    ".netrc",
    "_netrc",
    ".pgpass",
    ".my.cnf",
    ".npmrc",
    ".pypirc",
    ".yarnrc.yml",
    ".git-credentials",
    ".gitcredentials",
    ".htpasswd",
    ".dockercfg",
    ".dockerconfigjson",
    ".vault-token",
    ".boto",
    ".s3cfg",
    "*.pem",
    "*.key",
    "*.p8",
    "*.p12",
    "*.pfx",
    "*.ppk",
    "*.jks",
    "*.keystore",
    "*.kdbx",
    "*.gpg",
    "*.asc",
    "*.ovpn",
    "*.tfvars",
    "*.tfvars.json",
    "*.tfstate",
    "*.tfstate.backup",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    "credentials",
    "credentials.*",
    "credential.*",
    "secret",
    "secret.*",
    "secrets",
    "secrets.*",
    "*.secret",
    "*.secrets",
    "service-account*.json",
    "service_account*.json",
    "client_secret*.json",
    "kubeconfig",
    "wp-config.php",
    "master.key",
)
#: Examples are written to be read.
SAFE_NAMES = ("*.example", "*.sample", "*.template", "*.dist")
#: Code *about* secrets is code: `secrets.py` is no secret.
CODE_SUFFIXES = frozenset(
    {
        *(".c", ".cc", ".cpp", ".cs", ".go", ".h", ".hpp", ".java", ".kt", ".rs", ".swift"),
        *(".cjs", ".js", ".jsx", ".mjs", ".ts", ".tsx"),
        *(".lua", ".py", ".pyi", ".rb", ".scala"),
        *(".md", ".rst"),
    }
)
#: Folders that hold secrets whatever the file is called.
SECRET_FOLDERS = frozenset(
    {".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".password-store"}
)


def why_excluded(
    path: str, *, exclude: Sequence[str] = (), roots: Sequence[str] = ()
) -> Silence | None:
    """Why the text of ``path`` may not be used, or ``None`` if it may.

    Parameters
    ----------
    path
        Absolute; the empty string, an unsaved document, is never excluded.
    exclude
        Patterns of the user, as in `.gitignore`, relative to a workspace folder.
    roots
        Workspace folders; ignore files are read from there down to the file.
    """
    if not path:
        return None
    # A link called notes.txt to .env is .env.
    for name in dict.fromkeys((path, os.path.realpath(path))):
        silence = _secret(name) or _excluded(name, exclude, roots) or _ignored(name, roots)
        if silence:
            return silence
    return None


def why_excluded_elsewhere(
    path: str, told: Elsewhere | None, *, exclude: Sequence[str] = ()
) -> Silence | None:
    """The same for a file that is not on this disk; without being told of it, it is excluded."""
    if why := _secret(path):
        return why
    if told is None:
        message = f"Whether a {IGNORE_FILE} names this file is not known: it is not on this disk."
        return Silence("excluded-file", message)
    specs = ((folder, _spec(tuple(text.splitlines()))) for folder, text in told.ignore_files)
    return _excluded(path, exclude, (told.root,)) or _verdict(path, specs)


def is_secret(path: str) -> bool:
    """Whether the name of a file says that it holds secrets."""
    parts = Path(path.lower()).parts
    if not parts:
        return False
    name = parts[-1]
    if SECRET_FOLDERS.intersection(parts[:-1]):
        return True
    if _matches(name, SAFE_NAMES) or Path(name).suffix in CODE_SUFFIXES:
        return name == "wp-config.php"
    return _matches(name, SECRET_NAMES)


def _secret(path: str) -> Silence | None:
    if not is_secret(path):
        return None
    name = Path(path).name
    return Silence("secret-file", f"{name} may hold secrets, so its text is not read.")


def _excluded(path: str, exclude: Sequence[str], roots: Sequence[str]) -> Silence | None:
    if not exclude:
        return None
    spec = _spec(tuple(exclude))
    bases = [root for root in roots if _below(path, root)] or [str(Path(path).parent)]
    if any(spec.match_file(_relative(path, base)) for base in bases):
        return Silence("excluded-file", "The setting `exclude` names this file.")
    return None


def _ignored(path: str, roots: Sequence[str]) -> Silence | None:
    """Read the ignore files from the workspace folder down."""
    read = ((folder, _read(str(Path(folder, IGNORE_FILE)))) for folder in _folders(path, roots))
    return _verdict(path, ((folder, spec) for folder, spec in read if spec is not None))


def _verdict(path: str, specs: Iterable[tuple[str, pathspec.GitIgnoreSpec]]) -> Silence | None:
    """What ignore files say, outermost folder first: as in Git, the last match decides."""
    verdict: tuple[bool, str] | None = None
    for folder, spec in specs:
        include = spec.check_file(_relative(path, folder)).include
        verdict = verdict if include is None else (include, folder)
    if verdict and verdict[0]:
        return Silence("excluded-file", f"{Path(verdict[1], IGNORE_FILE)} names this file.")
    return None


def _folders(path: str, roots: Sequence[str]) -> Iterator[str]:
    inside = [root for root in roots if _below(path, root)]
    base = min(inside, key=len).rstrip(os.sep) if inside else str(Path(path).parent)
    yield base
    for part in Path(_relative(path, base)).parts[:-1]:
        base = str(Path(base, part))
        yield base


def _read(file: str) -> pathspec.GitIgnoreSpec | None:
    try:
        stamp = Path(file).stat().st_mtime_ns
    except OSError:
        return None
    return _read_at(file, stamp)


@lru_cache(maxsize=256)
def _read_at(file: str, stamp: int) -> pathspec.GitIgnoreSpec:  # noqa: ARG001  (part of the key)
    try:
        lines = Path(file).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        # The user wanted something kept away; what, cannot be read. So all of it.
        return _spec(("*",))
    return _spec(tuple(lines))


@lru_cache(maxsize=256)
def _spec(lines: tuple[str, ...]) -> pathspec.GitIgnoreSpec:
    return pathspec.GitIgnoreSpec.from_lines(line for line in lines if _is_pattern(line))


def _is_pattern(line: str) -> bool:
    """Whether a line is a pattern; a malformed one costs only itself, as in Git."""
    try:
        pathspec.GitIgnoreSpec.from_lines([line])
    except ValueError:
        return False
    return True


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _below(path: str, root: str) -> bool:
    return bool(root) and path.startswith(root.rstrip(os.sep) + os.sep)


def _relative(path: str, base: str) -> str:
    return os.path.relpath(path, base).replace(os.sep, "/")
