"""Prints the table of ``docs/settings.md``."""

from midfill_lsp.settings.pages import markdown

print(markdown(), end="")
