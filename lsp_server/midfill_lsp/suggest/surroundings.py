"""Context, privacy and shape with the settings applied, for the suggester of one editor.

Owns which settings reach which of them. Imported after `initialize` is answered, since it brings
tree-sitter with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from midfill_lsp.context.budget import ContextBudget
from midfill_lsp.context.privacy import why_excluded, why_excluded_elsewhere
from midfill_lsp.context.window import build
from midfill_lsp.documents import is_elsewhere
from midfill_lsp.shape import single_line
from midfill_lsp.shape.pipeline import Shaped, shape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from midfill_engine.wire import Middle, Silence
    from midfill_lsp.context.window import ContextWindow
    from midfill_lsp.documents import DocumentSnapshot, DocumentStore, Elsewhere
    from midfill_lsp.settings import LspSettings

#: Share of the context that pieces of other files get, where the user wants them.
NEIGHBOUR_SHARE = 0.2


class WorkspaceSurroundings:
    """What the suggester needs of context and shape.

    Parameters
    ----------
    documents
        All open documents.
    roots
        Workspace folders.
    described
        What the editor told of documents that are not on this disk, by URI.
    """

    def __init__(
        self,
        documents: DocumentStore,
        roots: Sequence[str],
        described: Mapping[str, Elsewhere],
    ) -> None:
        self._documents, self._roots, self._described = documents, roots, described

    def why_excluded(self, snapshot: DocumentSnapshot, settings: LspSettings) -> Silence | None:
        """Why the text of this document may not be used."""
        path, told = snapshot.named_path, self._described.get(snapshot.uri)
        if told is not None or is_elsewhere(snapshot.uri):
            return why_excluded_elsewhere(path, told, exclude=settings.exclude)
        return why_excluded(path, exclude=settings.exclude, roots=self._roots)

    def window(self, snapshot: DocumentSnapshot, settings: LspSettings) -> ContextWindow:
        """The text around the cursor that the model is shown."""
        share = NEIGHBOUR_SHARE if settings.neighbours else 0.0
        budget = ContextBudget(tokens=settings.context_tokens, snippet_share=share)
        neighbours = self._neighbours(snapshot, settings) if share else ()
        return build(snapshot, budget=budget, neighbours=neighbours, roots=self._roots)

    def single_line(self, window: ContextWindow) -> bool:
        """Whether only the rest of the cursor's line is asked for."""
        return single_line.wanted(window)

    def shape(
        self, middle: Middle, window: ContextWindow, settings: LspSettings, *, explicit: bool
    ) -> Shaped | Silence:
        """The middle as it may be shown."""
        display = settings.display
        return shape(
            middle,
            window,
            sure_confidence=display.sure_confidence,
            hold_back=display.unsure == "hold",
            least_confidence=0.0 if explicit else display.min_confidence,
        )

    def _neighbours(
        self, snapshot: DocumentSnapshot, settings: LspSettings
    ) -> tuple[DocumentSnapshot, ...]:
        """The other open documents, last used last, without those that must not be read."""
        others = (d.snapshot(0, 0, "utf-32") for d in self._documents if d.uri != snapshot.uri)
        return tuple(other for other in others if not self.why_excluded(other, settings))
