"""Where settings come from, and what a wrong one costs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from midfill_engine.models.locate import base_of
from midfill_engine.settings import (
    AUTHORITIES,
    SPINS,
    EngineSettings,
    load,
    model_directories,
    runtime_directory,
    share_cores,
    user_file,
    without_authorities,
)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "midfill.toml"


def test_defaults_without_any_source(file):
    loaded = load(environ={}, file=file)
    assert (loaded.settings, loaded.warnings) == (EngineSettings(), ())


def test_precedence_is_file_environment_command_line(file):
    file.write_text("[engine]\nmodel = 'file'\nthreads = 1\ncache_mb = 1\n[lsp]\nother = 1\n")
    environ = {"MIDFILL_THREADS": "2", "MIDFILL_CACHE_MB": "2"}
    loaded = load({"cache_mb": 3}, environ=environ, file=file)
    settings = loaded.settings
    assert (settings.model, settings.threads, settings.cache_mb) == ("file", 2, 3)
    assert loaded.warnings == ()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("devise = 'cpu'", ["Unknown setting 'devise'", "Did you mean 'device'?"]),
        ("zzz = 1", ["Unknown setting 'zzz'"]),
        ("device = 'toaster'", ["'device'", "one of auto, cpu, cuda", "'auto' is used"]),
        ("device = 5", ["'device'", "one of auto, cpu, cuda"]),
        ("threads = 1.5", ["'threads'", "whole number"]),
        ("threads = -1", ["'threads'", "at least 0"]),
        ("threads = true", ["'threads'", "whole number"]),
        ("max_waiting = 0", ["'max_waiting'", "at least 1"]),
        ("idle_exit_s = 'soon'", ["'idle_exit_s'", "a number"]),
        ("idle_exit_s = nan", ["'idle_exit_s'"]),
        ("idle_exit_s = inf", ["'idle_exit_s'"]),
        ("model = 5", ["'model'", "text"]),
        ("model = ['a']", ["'model'", "text"]),
    ],
)
def test_a_wrong_key_or_value_costs_only_itself(file, line, words):
    file.write_text(f"[engine]\n{line}\ncache_mb = 7\n")
    loaded = load(environ={}, file=file)
    assert loaded.settings == EngineSettings(cache_mb=7)
    (warning,) = loaded.warnings
    for word in words:
        assert word in warning


def test_a_wrong_value_in_the_environment_keeps_that_of_the_file(file):
    file.write_text("[engine]\nthreads = 3\n")
    loaded = load(environ={"MIDFILL_THREADS": "many"}, file=file)
    assert loaded.settings.threads == 3
    assert "3 is used" in loaded.warnings[0]


@pytest.mark.parametrize("content", ["[engine", "engine = 5", b"\xff\xfe", "[engine]\na=1\na=2"])
def test_a_file_that_cannot_be_read_is_told_and_ignored(file, content):
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    loaded = load(environ={}, file=file)
    assert loaded.settings == EngineSettings()
    assert str(file) in loaded.warnings[0]


def test_a_directory_in_place_of_the_file_is_told(file):
    file.mkdir()
    assert str(file) in load(environ={}, file=file).warnings[0]


def test_threads_spin_briefly_unless_the_user_says_how_they_wait():
    environ: dict[str, str] = {}
    share_cores(environ)
    assert environ == {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": SPINS}
    for chosen in ({"OMP_WAIT_POLICY": "ACTIVE"}, {"OMP_WAIT_POLICY": "PASSIVE"}):
        environ = dict(chosen)
        share_cores(environ)
        assert environ == chosen
    environ = {"GOMP_SPINCOUNT": "9"}
    share_cores(environ)
    assert environ["GOMP_SPINCOUNT"] == "9"


def test_where_authorities_are_looked_for_stays_as_the_user_has_it():
    environ = {"SSL_CERT_FILE": "/mine"}
    with without_authorities(environ):
        assert environ == dict.fromkeys(AUTHORITIES, os.devnull)
    assert environ == {"SSL_CERT_FILE": "/mine"}


def test_dashes_are_taken_for_underscores(file):
    file.write_text("[engine]\ncache-mb = 9\n")
    assert load(environ={}, file=file).settings.cache_mb == 9


def test_a_misspelt_variable_is_told_and_those_of_others_are_not(file):
    environ = {
        "MIDFILL_DEVCE": "cpu",
        "MIDFILL_DISPLAY_SURE": "1",
        "MIDFILL_MODELS": "/m",
        "MIDFILL_RUNTIME_DIR": "/r",
        "MIDFILL_API_KEY": "k",
    }
    (warning,) = load(environ=environ, file=file).warnings
    assert "did you mean MIDFILL_DEVICE" in warning


def test_places_follow_the_environment(tmp_path):
    environ = {"MIDFILL_RUNTIME_DIR": str(tmp_path), "MIDFILL_MODELS": f"{tmp_path}"}
    assert runtime_directory(environ) == tmp_path
    assert model_directories(environ)[0] == tmp_path
    assert runtime_directory({}).name == "midfill"
    assert model_directories({})[-1].name == "models"
    assert user_file().name == "midfill.toml"


def test_every_setting_says_what_it_is():
    for name, field in EngineSettings.__dataclass_fields__.items():
        assert field.metadata["doc"].endswith("."), name


def test_wheels_carry_the_default_model_and_its_base():
    root = Path(__file__).parents[2]
    said = (root / "hatch_build.py").read_text()
    model = root / "models" / EngineSettings().model
    for path in (model, base_of(model)):
        assert path.parent == root / "models"
        assert f'"{path.name}"' in said
