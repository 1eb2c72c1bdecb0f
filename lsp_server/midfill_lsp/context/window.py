"""The text around the cursor that a request carries.

Owns `ContextWindow` and its making from a document: room, cuts, scope, path, snippets. It comes
after `privacy` and before the backend in a keystroke's walk, and knows neither of them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from midfill_lsp.context import neighbours as neighbouring
from midfill_lsp.context.budget import ContextBudget
from midfill_lsp.context.cuts import Cuts
from midfill_lsp.context.syntax import CODE, Scope, scope_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midfill_engine.wire import Snippet
    from midfill_lsp.documents import DocumentSnapshot

#: Last parts of a path that are shown to the model, as in its training.
PATH_PARTS = 6

_DEFAULT_BUDGET = ContextBudget()
_CUTS = Cuts()


@dataclass(frozen=True, slots=True)
class ContextWindow:
    """What the engine is told of a document.

    ``prefix`` and ``suffix`` touch at the cursor. ``complete`` says whether the suffix reaches
    the end of the document.
    """

    prefix: str = field(repr=False)
    suffix: str = field(default="", repr=False)
    path: str = ""
    language: str = ""
    snippets: tuple[Snippet, ...] = ()
    scope: Scope = CODE
    complete: bool = True


def build(
    snapshot: DocumentSnapshot,
    *,
    budget: ContextBudget = _DEFAULT_BUDGET,
    neighbours: Sequence[DocumentSnapshot] = (),
    roots: Sequence[str] = (),
    cuts: Cuts = _CUTS,
) -> ContextWindow:
    """Make the window of ``snapshot``.

    Parameters
    ----------
    neighbours
        Other open documents; looked at only if the budget has room for snippets.
    roots
        Workspace folders, for the path that the model sees.
    cuts
        Memory of where documents were cut; the process has one.
    """
    text, offset = snapshot.text, snapshot.offset
    rooms = budget.split(offset, len(text) - offset)
    cut = cuts.cut(snapshot.uri, snapshot.language_id, text, offset, rooms)
    prefix, suffix = cut.prefix(text, offset), cut.suffix(text, offset)
    return ContextWindow(
        prefix=prefix,
        suffix=suffix,
        path=shown_path(snapshot.path, roots),
        language=snapshot.language_id,
        snippets=neighbouring.find(snapshot, neighbours, budget.snippet_chars),
        scope=scope_at(prefix + suffix, len(prefix), snapshot.language_id),
        complete=cut.tail == 0,
    )


def shown_path(path: str, roots: Sequence[str]) -> str:
    """``path`` below its workspace folder, with slashes, its last parts only."""
    if not path:
        return ""
    inside = [root for root in roots if _is_below(path, root)]
    relative = os.path.relpath(path, max(inside, key=len)) if inside else Path(path).name
    return "/".join(relative.replace(os.sep, "/").split("/")[-PATH_PARTS:])


def _is_below(path: str, root: str) -> bool:
    return bool(root) and path.startswith(root.rstrip(os.sep) + os.sep)
