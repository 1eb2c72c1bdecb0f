"""Engine and language server must meet at one place, by rules written down twice."""

import pytest

import midfill_engine.settings
import midfill_lsp.settings


@pytest.mark.parametrize("named", [None, "/tmp/elsewhere"])
def test_both_sides_name_the_same_runtime_directory(monkeypatch, tmp_path, named):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    if named is None:
        monkeypatch.delenv("MIDFILL_RUNTIME_DIR", raising=False)
    else:
        monkeypatch.setenv("MIDFILL_RUNTIME_DIR", named)
    theirs = midfill_engine.settings.runtime_directory()
    assert midfill_lsp.settings.runtime_directory() == theirs
