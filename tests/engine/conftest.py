"""Tiny loaded models for the engine's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from midfill_engine.fill.filler import Filler
from midfill_engine.settings import EngineSettings
from tests import tiny


@pytest.fixture(scope="session")
def tiny_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.checkpoint(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def near_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.checkpoint(tmp_path_factory.mktemp("models") / "near", near=True)


@pytest.fixture(scope="session")
def llada_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.llada(tmp_path_factory.mktemp("models") / "llada")


@pytest.fixture(scope="session")
def dream_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.dream(tmp_path_factory.mktemp("models") / "dream")


@pytest.fixture
def filler(tiny_path: Path) -> Filler:
    return Filler.load(
        EngineSettings(model=str(tiny_path), device="cpu", precision="float32", threads=1)
    )


@pytest.fixture
def masks_everywhere(monkeypatch) -> None:
    """Masks behind each place of a draft, where otherwise the clock chooses."""
    everywhere = lambda _costs, draft, _rows, _device: list(range(len(draft)))  # noqa: E731
    monkeypatch.setattr("midfill_engine.fill.causal.branches", everywhere)
    monkeypatch.setattr("midfill_engine.fill.causal.LIKELY_WITH_BRANCHES", 1e-9)
