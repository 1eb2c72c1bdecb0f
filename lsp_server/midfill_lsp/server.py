"""Builds the language server of one editor from its parts.

Owns the order of starting: settings, backend, suggester, features; and what follows when
settings change. Knows no rules of suggesting and no message forms.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

from lsprotocol import types
from pygls.lsp.server import LanguageServer
from pygls.protocol import default_converter

from midfill_lsp import logs
from midfill_lsp.backend.engine import EngineBackend, import_transport
from midfill_lsp.backend.openai import ForeignBackend
from midfill_lsp.documents import Elsewhere, path_of
from midfill_lsp.features import (
    acceptance,
    completion,
    copilot,
    holes,
    inline_completion,
    inspector,
    status,
)
from midfill_lsp.features.parameters import ignore_files, text, uri_of
from midfill_lsp.journal import Journal
from midfill_lsp.protocol import MidfillProtocol
from midfill_lsp.settings import (
    LspSettings,
    Source,
    environment_source,
    merge,
    project_source,
    secret,
    state_directory,
    user_source,
)
from midfill_lsp.suggest.session import Session
from midfill_lsp.suggest.suggester import Suggester, Surroundings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from midfill_engine.wire import Draft
    from midfill_lsp.backend.base import Backend, Health
    from midfill_lsp.documents import LineEdit
    from midfill_lsp.suggest.live import Live

log = logging.getLogger(__name__)

#: The release, as in pyproject.toml; reading it from the installation takes 25 ms.
VERSION = "0.1.0"

#: Editors whose buffers hold lines without their ends: a CR in an item would be shown as one.
LF_EDITORS = frozenset({"neovim", "vim", "emacs"})


class MidfillServer(LanguageServer):
    """The language server of one editor."""

    protocol: MidfillProtocol

    def __init__(self) -> None:
        super().__init__(
            "midfill",
            VERSION,
            protocol_cls=MidfillProtocol,
            converter_factory=default_converter,
            max_workers=1,  # the reader of stdin; nothing else may run in that pool
        )
        self._session: Session | None = None
        self._initial: Mapping[str, Any] = {}
        self._configured: Mapping[str, Any] = {}
        self._wants_late = False
        self._problems: list[str] = []
        self._reported: set[str] = set()
        self._reported_engine: set[str] = set()
        self._around: Surroundings | None = None
        self._closing: asyncio.Future[None] | None = None
        self.protocol.on_change = self._changed
        _register(self)

    def report_server_error(self, error: Exception, source: Any) -> None:
        """Log what failed outside requests; pygls would open a message box for each."""
        del source
        log.error("message failed", extra={"f": {"error": type(error).__name__}})

    @property
    def session(self) -> Session:
        """The parts of this editor; there from `initialize` on."""
        if self._session is None:
            raise RuntimeError("initialize has not been read yet")
        return self._session

    def tell(self, message: str) -> None:
        """Show the user a sentence."""
        self.window_show_message(
            types.ShowMessageParams(types.MessageType.Warning, f"Midfill: {message}")
        )

    def _tell_once(self, message: str, told: set[str]) -> None:
        if message not in told:
            told.add(message)
            self.tell(message)

    # Starting -----------------------------------------------------------------------------

    def initialize(self, params: types.InitializeParams) -> None:
        """Build the parts; nothing slow, for the editor waits."""
        asyncio.get_running_loop().set_exception_handler(_task_failed)
        documents = self.protocol.documents
        negotiated = types.PositionEncodingKind(self.workspace.position_encoding)
        documents.encoding = negotiated.value
        options = params.initialization_options
        options = dict(options) if isinstance(options, dict) else {}
        # What the client can do, not what the user wants: no setting.
        self._wants_late = options.pop("late", False) is True
        self._initial = options
        folders = [folder.uri for folder in params.workspace_folders or ()]
        roots = _paths(folders or [params.root_uri or ""])
        settings, self._problems = self._read_settings(roots)
        self._problems += logs.configure(settings.log_level, settings.log_file)
        backend = self._backend(settings)
        editor = params.client_info.name.lower() if params.client_info else ""
        self._session = Session(
            documents=documents,
            settings=settings,
            backend=backend,
            suggester=Suggester(
                backend,
                self._surroundings,
                lambda: self.session.settings,
                on_draft=self._draft,
                on_late=self._late,
                on_work=lambda: status.send(self.session),
                on_battery=on_battery,
            ),
            journal=Journal(state_directory(), lambda: self.session.settings.journal),
            notify=self.protocol.notify,
            roots=roots,
            copilot="editorInfo" in self._initial,
            lf_only=editor in LF_EDITORS,
        )
        if settings.completion.enabled:
            completion.register(self, lambda: self.session)

    async def initialized(self) -> None:
        """Wake the engine, then ask the editor for its settings."""
        for problem in self._problems:
            self._tell_once(problem, self._reported)
        status.send(self.session)
        await asyncio.to_thread(_warm_up)
        self.session.backend.wake()
        await self.configure(None)

    async def configure(self, pushed: Any) -> None:
        """Take settings that the editor holds: pulled where it can, else as it pushed them."""
        workspace = self.client_capabilities.workspace
        if workspace is not None and workspace.configuration:
            item = types.ConfigurationItem(section="midfill")
            with contextlib.suppress(Exception):
                found = await self.workspace_configuration_async(
                    types.ConfigurationParams(items=[item])
                )
                pushed = {"midfill": found[0]} if found else {}
        if isinstance(pushed, dict):
            section = pushed.get("midfill", pushed)
            self._configured = section if isinstance(section, dict) else {}
            self.apply()

    def apply(self) -> None:
        """Read all sources again and let what changed take effect."""
        session = self.session
        settings, problems = self._read_settings(session.roots)
        if settings != session.settings:
            problems += logs.configure(settings.log_level, settings.log_file)
            self._take(settings)
        for problem in problems:
            self._tell_once(problem, self._reported)

    def _take(self, settings: LspSettings) -> None:
        session = self.session
        old, session.settings = session.settings, settings
        session.suggester.forget()
        if settings.completion.enabled:
            self._offer_menu()
        if (old.backend, old.engine) != (settings.backend, settings.engine):
            self._replace_backend(session, settings)
        status.send(session)

    def _offer_menu(self) -> None:
        """Advertise `textDocument/completion` after the start, where the client lets us."""
        if types.TEXT_DOCUMENT_COMPLETION in self.protocol.fm.features:
            return
        completion.register(self, lambda: self.session)
        text_document = self.client_capabilities.text_document
        offered = text_document.completion if text_document else None
        if offered is not None and offered.dynamic_registration:
            registration = types.Registration(
                "midfill-completion", types.TEXT_DOCUMENT_COMPLETION, completion.options()
            )
            self.client_register_capability(types.RegistrationParams([registration]))

    def _read_settings(self, roots: list[str]) -> tuple[LspSettings, list[str]]:
        user, problems = user_source()
        sources = [
            user,
            environment_source(),
            Source("the editor's initialization options", self._initial),
            Source("the editor's settings", self._configured),
        ]
        for root in roots:
            project, faults = project_source(root)
            sources.append(project)
            problems += faults
        settings, faults = merge(sources)
        return settings, problems + faults

    # Backend ------------------------------------------------------------------------------

    def _backend(self, settings: LspSettings) -> Backend:
        where = settings.backend
        key = secret(where.api_key_env)
        if where.kind != "engine":
            return ForeignBackend(where.kind, where.url, model=where.model, key=key)
        return EngineBackend(
            self._health_changed,
            url=where.url,
            token=key if where.url else "",
            command=settings.engine.command,
            autostart=settings.engine.autostart,
        )

    def _replace_backend(self, session: Session, settings: LspSettings) -> None:
        old, session.backend = session.backend, self._backend(settings)
        session.suggester.backend = session.backend
        self._closing = asyncio.ensure_future(old.close())
        session.backend.wake()

    def _health_changed(self, health: Health) -> None:
        if self._session is None:
            return
        status.send(self.session)
        if health.state == "ready":
            self._reported_engine.clear()  # the next fault is another one
        elif health.state == "error" or health.crashed:
            self._tell_once(health.message, self._reported_engine)

    def _surroundings(self) -> Surroundings:
        if self._around is None:
            from midfill_lsp.suggest.surroundings import (  # noqa: PLC0415  (start-up time)
                WorkspaceSurroundings,
            )

            self._around = WorkspaceSurroundings(
                self.session.documents, self.session.roots, self.session.described
            )
        return self._around

    # Events -------------------------------------------------------------------------------

    def _changed(self, uri: str, edits: list[LineEdit] | None) -> None:
        document = self.protocol.documents.get(uri)
        if document is not None and self._session is not None:
            self.session.suggester.changed(uri, document.version, document.text, edits)

    def _draft(self, live: Live, draft: Draft) -> None:
        session = self.session
        if session.settings.drafts:
            message = inline_completion.draft_message(live, draft, session.documents)
            if message is not None:
                session.notify("midfill/draft", message)

    def _late(self, live: Live) -> None:
        session = self.session
        message = inline_completion.late_message(live, session.documents)
        if message is not None and self._wants_late:
            session.notify("midfill/late", message)

    async def stop(self) -> None:
        """Let go of everything but the engine, which serves other editors."""
        if self._session is not None:
            await self.session.suggester.close()
            await self.session.backend.close()
            self.leave()

    def leave(self) -> None:
        """Write down what is still open; also where an editor is simply gone."""
        if self._session is not None:
            self.session.journal.close()

    def folders_changed(self, params: types.DidChangeWorkspaceFoldersParams) -> None:
        """Follow the workspace's folders: their `midfill.toml` and ignore files count."""
        gone = set(_paths([folder.uri for folder in params.event.removed]))
        fresh = _paths([folder.uri for folder in params.event.added])
        roots = self.session.roots
        roots[:] = [root for root in roots if root not in gone] + fresh
        self.apply()


def _task_failed(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log a failed task by its place; asyncio itself would write out what it failed with."""
    log.error("task failed", exc_info=context.get("exception"))


def _paths(uris: list[str]) -> list[str]:
    return [path for uri in uris if (path := path_of(uri))]


def _warm_up() -> None:
    """Import what the first suggestion needs; in a thread, so that the editor is served."""
    import_transport()
    import midfill_lsp.suggest.surroundings  # noqa: F401, PLC0415


def on_battery() -> bool:
    """Whether this machine runs on battery; no, where that cannot be known."""
    import psutil  # noqa: PLC0415  (start-up time)

    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    return battery is not None and battery.power_plugged is False


def _register(server: MidfillServer) -> None:
    def session() -> Session:
        return server.session

    for feature in (inline_completion, acceptance, status, inspector, copilot, holes):
        feature.register(server, session)
    _register_life(server)
    _register_documents(server)


def _register_life(server: MidfillServer) -> None:
    @server.feature(types.INITIALIZE)
    def initialize(params: types.InitializeParams) -> None:
        server.initialize(params)

    @server.feature(types.INITIALIZED)
    async def initialized(_: Any) -> None:
        await server.initialized()

    @server.feature(types.WORKSPACE_DID_CHANGE_CONFIGURATION)
    async def did_change_configuration(params: types.DidChangeConfigurationParams) -> None:
        await server.configure(params.settings)

    @server.feature(types.SHUTDOWN)
    async def shutdown(_: Any = None) -> None:
        await server.stop()

    @server.command("midfill.restartEngine")
    async def restart_engine(*_: Any) -> None:
        backend = server.session.backend
        if isinstance(backend, EngineBackend):
            await backend.restart()


def _register_documents(server: MidfillServer) -> None:
    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    def did_open(params: types.DidOpenTextDocumentParams) -> None:
        server.session.suggester.closed(params.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def did_close(params: types.DidCloseTextDocumentParams) -> None:
        server.session.suggester.closed(params.text_document.uri)
        server.session.newest.pop(params.text_document.uri, None)
        server.session.described.pop(params.text_document.uri, None)

    @server.feature(types.TEXT_DOCUMENT_DID_SAVE)
    def did_save(params: types.DidSaveTextDocumentParams) -> None:
        if path_of(params.text_document.uri).endswith("midfill.toml"):
            server.apply()

    @server.feature("midfill/describeDocument")
    def describe(params: dict[str, Any]) -> None:
        uri = uri_of(params)
        told = Elsewhere(text(params, "folder"), ignore_files(params))
        server.session.described[uri] = told
        server.session.suggester.closed(uri)  # what is known of it may be from a time before

    @server.feature(types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS)
    def folders(params: types.DidChangeWorkspaceFoldersParams) -> None:
        server.folders_changed(params)
