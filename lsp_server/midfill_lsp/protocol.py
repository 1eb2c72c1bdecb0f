"""The pygls protocol with its traps closed.

Owns what happens between the wire and a handler: every message is looked at as it was read,
malformed ones are answered, trigger kinds are normalised, document changes are applied to our own
`DocumentStore`, and a question at a cursor is frozen with its text before anything is scheduled,
since the document moves on while a handler waits. Knows nothing of suggestions.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from cattrs import transform_error
from cattrs.errors import ClassValidationError
from lsprotocol import types
from pygls.exceptions import (
    JsonRpcException,
    JsonRpcInternalError,
    JsonRpcInvalidParams,
    JsonRpcInvalidRequest,
    JsonRpcServerNotInitialized,
)
from pygls.protocol import LanguageServerProtocol, lsp_method
from pygls.protocol.json_rpc import JsonRPCNotification, JsonRPCRequestMessage

from midfill_engine.wire import MidfillError
from midfill_lsp.documents import Ask, Change, DocumentStore, Selected

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future

    from midfill_lsp.documents import LineEdit

log = logging.getLogger(__name__)

#: Methods whose parameters reach their handler as the plain JSON that was sent.
PLAIN_PREFIX = "midfill/"
PLAIN_METHODS = frozenset(
    {
        "textDocument/didFocus",
        "textDocument/didShowCompletion",
        "textDocument/didPartiallyAcceptCompletion",
    }
)
#: Client capabilities that pygls or a feature looks at.
CAPABILITIES = {
    "general": ("positionEncodings",),
    "workspace": ("configuration", "didChangeConfiguration"),
    "textDocument": ("synchronization", "completion", "inlineCompletion"),
}
INVOKED, AUTOMATIC = 1, 2
REQUEST_FAILED = types.LSPErrorCodes.RequestFailed.value


class MidfillProtocol(LanguageServerProtocol):
    """Reads, checks and freezes; see the module's docstring.

    ``on_change(uri, edits)`` is told each change of a document once it is applied.
    """

    def __init__(self, *args: Any) -> None:
        self.documents = DocumentStore()
        self.on_change: Callable[[str, list[LineEdit] | None], None] = lambda *_: None
        self._zero_based = False
        self._initialized = False
        super().__init__(*args)

    @property
    def left_in_order(self) -> bool:
        """Whether the client said `shutdown` before it left."""
        return self._shutdown

    # Reading ------------------------------------------------------------------------------

    def structure_message(self, data: dict[str, Any]) -> dict[str, Any]:
        """Leave JSON as it is: pygls calls this for every object inside a message as well."""
        return data

    def handle_message(self, message: Any) -> None:
        """Look at one whole message as it was read; see that whatever has an id is answered."""
        if not isinstance(message, dict):
            self._refuse(None, JsonRpcInvalidRequest("A message must be a JSON object."))
            return
        msg_id, method = message.get("id"), message.get("method")
        if "id" in message and (isinstance(msg_id, bool) or not isinstance(msg_id, int | str)):
            self._refuse(None, JsonRpcInvalidRequest("An id must be a whole number or text."))
            return
        if method is not None and not isinstance(method, str):
            self._refuse(msg_id, JsonRpcInvalidRequest("A method must be text."))
            return
        if method is not None and msg_id is not None and (why := self._why_refused(method)):
            self._refuse(msg_id, why)
            return
        try:
            super().handle_message(self._structured(message, method, msg_id))
        except JsonRpcException as error:
            self._refuse(msg_id, error)

    def _why_refused(self, method: str) -> JsonRpcException | None:
        if self._shutdown:
            return JsonRpcInvalidRequest("The server is shutting down.")
        if method == types.INITIALIZE:
            if self._initialized:
                return JsonRpcInvalidRequest("The server is initialized already.")
            self._initialized = True
        elif not self._initialized:
            return JsonRpcServerNotInitialized("Send `initialize` first.")
        return None

    def _structured(self, message: dict[str, Any], method: str | None, msg_id: Any) -> Any:
        """The typed message that handlers take, or a `JsonRpcException`."""
        if method is None:
            message.setdefault("jsonrpc", self.VERSION)
            return self._typed(message, "response")
        if method.startswith(PLAIN_PREFIX) or method in PLAIN_METHODS:
            return _plain(method, msg_id, message.get("params") or {})
        if self.get_message_type(method) is None:
            return _plain(method, msg_id, message.get("params"))
        if method == types.INITIALIZE:
            _prune(message.get("params"))
        if method == types.TEXT_DOCUMENT_INLINE_COMPLETION:
            self._normalise_trigger(message.get("params"))
        message["jsonrpc"] = self.VERSION
        typed = self._typed(message, method)
        if method == types.TEXT_DOCUMENT_INLINE_COMPLETION:
            ask = self._inline_ask(typed.params, message["params"])
            return _plain(method, msg_id, ask)
        if method == types.TEXT_DOCUMENT_COMPLETION:
            return _plain(method, msg_id, self._menu_ask(typed.params))
        return typed

    def _typed(self, message: dict[str, Any], method: str) -> Any:
        try:
            return super().structure_message(message)
        except JsonRpcException as error:
            # Only the places of the faults are told: their values may be the user's text.
            raise JsonRpcInvalidParams(_faults(error, method)) from None

    def _normalise_trigger(self, params: Any) -> None:
        """Map trigger kinds to 1 (invoked) and 2 (automatic), as in the final protocol.

        Older clients count from 0. A session that once sent a 0 is taken to do so.
        """
        if not isinstance(params, dict):
            return
        context = params.setdefault("context", {"triggerKind": AUTOMATIC})
        if not isinstance(context, dict):
            return
        kind = context.setdefault("triggerKind", AUTOMATIC)
        if isinstance(kind, bool) or not isinstance(kind, int):
            return
        self._zero_based = self._zero_based or kind == 0
        if self._zero_based and kind in (0, 1):
            context["triggerKind"] = kind + 1

    def _inline_ask(
        self, params: types.InlineCompletionParams, raw: Mapping[str, Any]
    ) -> Ask | None:
        """Freeze the question; ``None`` for a document that is not open."""
        document = self.documents.get(params.text_document.uri)
        if document is None:
            return None
        encoding, index = self.documents.encoding, document.index
        position, selected = params.position, None
        if (info := params.context.selected_completion_info) is not None:
            start, end = info.range.start, info.range.end
            selected = Selected(
                index.offset(start.line, start.character, encoding),
                index.offset(end.line, end.character, encoding),
                info.text,
            )
        claimed = raw["textDocument"].get("version")
        return Ask(
            document.snapshot(position.line, position.character, encoding),
            line=position.line,
            explicit=params.context.trigger_kind == INVOKED,
            selected=selected,
            claimed_version=claimed if isinstance(claimed, int) else None,
        )

    def _menu_ask(self, params: types.CompletionParams) -> Ask | None:
        document = self.documents.get(params.text_document.uri)
        if document is None:
            return None
        position, encoding = params.position, self.documents.encoding
        snapshot = document.snapshot(position.line, position.character, encoding)
        return Ask(snapshot, line=position.line)

    def _handle_cancel_notification(self, msg_id: Any) -> None:
        """Stop what still runs. A cancel that crosses its answer is ordinary; pygls warns of it."""
        if msg_id in self._request_futures:
            super()._handle_cancel_notification(msg_id)

    # Documents ----------------------------------------------------------------------------

    @lsp_method(types.TEXT_DOCUMENT_DID_OPEN)
    def lsp_text_document__did_open(self, params: types.DidOpenTextDocumentParams) -> Any:
        """Take a document into the store."""
        item = params.text_document
        self.documents.open(item.uri, item.language_id, item.version, item.text)
        return self._then(types.TEXT_DOCUMENT_DID_OPEN, params)

    @lsp_method(types.TEXT_DOCUMENT_DID_CHANGE)
    def lsp_text_document__did_change(self, params: types.DidChangeTextDocumentParams) -> None:
        """Apply changes in the order they came."""
        document = self.documents.get(params.text_document.uri)
        if document is None:
            log.warning("change of a document that is not open")
            return
        changes = [_change(change) for change in params.content_changes]
        edits = document.apply(changes, params.text_document.version, self.documents.encoding)
        self.documents.touch(document.uri)
        self.on_change(document.uri, edits)

    @lsp_method(types.TEXT_DOCUMENT_DID_CLOSE)
    def lsp_text_document__did_close(self, params: types.DidCloseTextDocumentParams) -> Any:
        """Forget a document."""
        self.documents.close(params.text_document.uri)
        return self._then(types.TEXT_DOCUMENT_DID_CLOSE, params)

    def _then(self, method: str, params: Any) -> None:
        if (handler := self.fm.features.get(method)) is not None:
            handler(params)

    # Answering ----------------------------------------------------------------------------

    def _refuse(self, msg_id: int | str | None, error: JsonRpcException) -> None:
        log.info("refused", extra={"f": {"code": error.code}})
        if msg_id is not None:
            self._send_response(msg_id, error=error.to_response_error())
        elif isinstance(error, JsonRpcInvalidRequest):
            # An id that cannot be read is answered as null, which pygls would leave out.
            plain = {"code": error.code, "message": error.message}
            self._send_data({"jsonrpc": self.VERSION, "id": None, "error": plain})

    def _send_handler_result(self, future: Future[Any], *, msg_id: Any) -> None:
        """Answer a request; a defect is answered without its text, which may quote a document."""
        if future.cancelled() or (error := future.exception()) is None:
            super()._send_handler_result(future, msg_id=msg_id)
            return
        self._request_futures.pop(msg_id, None)
        if isinstance(error, JsonRpcException):
            answer = error
        elif isinstance(error, MidfillError):
            answer = JsonRpcException(str(error), code=REQUEST_FAILED)
        else:
            log.error("handler failed", exc_info=error)
            answer = JsonRpcInternalError(
                f"Midfill failed with {type(error).__name__}; its log says where."
            )
        self._refuse(msg_id, answer)


def _prune(params: Any) -> None:
    """Keep the client capabilities that are looked at.

    The typed form of all of them takes 40 ms to be understood, and a fault in one that nobody
    needs would keep the server from starting.
    """
    if not isinstance(params, dict):
        return
    offered = params.get("capabilities")
    if isinstance(offered, dict):
        params["capabilities"] = {
            group: {name: members[name] for name in names if name in members}
            for group, names in CAPABILITIES.items()
            if isinstance(members := offered.get(group), dict)
        }


def _plain(method: str, msg_id: Any, params: Any) -> JsonRPCRequestMessage | JsonRPCNotification:
    if msg_id is None:
        return JsonRPCNotification(method=method, jsonrpc="2.0", params=params)
    return JsonRPCRequestMessage(id=msg_id, method=method, jsonrpc="2.0", params=params)


def _change(change: Any) -> Change:
    if isinstance(change, types.TextDocumentContentChangePartial):
        start, end = change.range.start, change.range.end
        return Change((start.line, start.character), (end.line, end.character), change.text)
    return Change(None, None, change.text)


def _faults(error: JsonRpcException, method: str) -> str:
    cause = error.__cause__
    if not isinstance(cause, ClassValidationError):
        return f"The parameters of {method} are malformed."
    places = {line.rpartition(" @ ")[2] for line in transform_error(cause)}
    return f"The parameters of {method} are malformed at {', '.join(sorted(places))}."
