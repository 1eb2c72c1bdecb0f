"""Engine and language server find each other by the same rule."""

from __future__ import annotations

import pytest

engine = pytest.importorskip("midfill_engine.settings")
language_server = pytest.importorskip("midfill_lsp.settings")


@pytest.mark.parametrize("named", ["", "/run/elsewhere"])
@pytest.mark.parametrize("xdg", ["", "/run/user/1000"])
@pytest.mark.filterwarnings("ignore:XDG_RUNTIME_DIR")
def test_the_runtime_directory_is_the_same_for_both(named, xdg, monkeypatch):
    for name, value in (("MIDFILL_RUNTIME_DIR", named), ("XDG_RUNTIME_DIR", xdg)):
        if value:
            monkeypatch.setenv(name, value)
        else:
            monkeypatch.delenv(name, raising=False)
    assert engine.runtime_directory() == language_server.runtime_directory()
    if named:
        assert str(engine.runtime_directory()) == named
