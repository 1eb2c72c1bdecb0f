"""Settings of the language server: one frozen tree, its sources, and what is made from it.

Sources, later ones winning: defaults, the user's ``midfill.toml`` (table ``[lsp]``),
``MIDFILL_LSP_*`` in the environment, ``initializationOptions``, ``workspace/configuration``. The
``midfill.toml`` of a project may only narrow.
"""

from midfill_lsp.settings.merge import Source, merge
from midfill_lsp.settings.pages import markdown, schema
from midfill_lsp.settings.sources import (
    environment_source,
    project_source,
    runtime_directory,
    secret,
    state_directory,
    user_source,
)
from midfill_lsp.settings.tree import LspSettings

__all__ = [
    "LspSettings",
    "Source",
    "environment_source",
    "markdown",
    "merge",
    "project_source",
    "runtime_directory",
    "schema",
    "secret",
    "state_directory",
    "user_source",
]
