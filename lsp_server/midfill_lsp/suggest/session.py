"""The parts that belong to one connected editor, as features are given them.

Owns no behaviour beyond sending: it is built in `server` and read by the features.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from midfill_lsp.documents import units

if TYPE_CHECKING:
    from collections.abc import Callable

    from midfill_lsp.backend.base import Backend
    from midfill_lsp.documents import DocumentStore, Elsewhere
    from midfill_lsp.journal import Journal
    from midfill_lsp.settings import LspSettings
    from midfill_lsp.suggest.suggester import Suggester


class Offer(NamedTuple):
    """A suggestion that an editor holds, for what is asked when it is accepted."""

    uri: str
    text: str

    @property
    def length(self) -> int:
        """UTF-16 units."""
        return units(self.text)


#: Offers kept; an editor holds only the newest.
MAX_OFFERS = 64


@dataclass(slots=True)
class Session:
    """One editor.

    ``notify`` sends a notification. ``newest`` maps each document to the suggestion offered
    last. ``roots`` is changed in place when the workspace's folders change. ``described`` is what
    the editor told of documents that are not on this disk. ``lf_only`` says that the editor
    keeps lines without their ends and would show a CR.
    """

    documents: DocumentStore
    settings: LspSettings
    backend: Backend
    suggester: Suggester
    journal: Journal
    notify: Callable[[str, Any], None]
    roots: list[str] = field(default_factory=list)
    copilot: bool = False
    lf_only: bool = False
    newest: dict[str, str] = field(default_factory=dict)
    offers: dict[str, Offer] = field(default_factory=dict)
    described: dict[str, Elsewhere] = field(default_factory=dict)
    last_status: dict[str, Any] | None = None

    def offer(self, suggestion_id: str, offer: Offer) -> None:
        """Remember what was offered, and forget the oldest."""
        self.offers[suggestion_id] = offer
        while len(self.offers) > MAX_OFFERS:
            del self.offers[next(iter(self.offers))]
