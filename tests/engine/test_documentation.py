"""The settings' table in the documentation is the declaration, word for word."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from midfill_engine.settings import EngineSettings

PAGE = Path(__file__).parents[2] / "docs" / "engine.md"


def test_the_table_of_settings_is_true():
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    expected = [
        f"| `{field.name}` | {f'`{field.default}` ' if field.default != '' else ''}"
        f"| {field.metadata['doc']} |"
        for field in fields(EngineSettings)
    ]
    assert rows == expected
