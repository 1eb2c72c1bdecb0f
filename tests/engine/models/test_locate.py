"""From a name to a directory."""

from __future__ import annotations

import pytest

from midfill_engine.errors import CheckpointError
from midfill_engine.models import locate as module
from midfill_engine.models.locate import installed, locate, search_path


def model(directory, name):
    path = directory / name
    path.mkdir(parents=True)
    (path / "config.json").write_text("{}")
    return path.resolve()


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Two directories in search order, and nothing else."""
    places = (tmp_path / "one", tmp_path / "two")
    monkeypatch.setattr(module, "search_path", lambda: places)
    return places


def test_a_name_is_looked_for_in_order(places):
    second = model(places[1], "m")
    assert locate("m") == second
    first = model(places[0], "m")
    assert locate("m") == first
    assert installed() == [first]


def test_a_path_leads_to_itself(places, tmp_path):
    path = model(tmp_path / "elsewhere", "m")
    assert locate(str(path)) == path


def test_what_is_not_there_is_told_with_what_is(places):
    model(places[0], "a")
    model(places[1], "b")
    with pytest.raises(CheckpointError) as raised:
        locate("c")
    assert "'c'" in raised.value.message
    assert "a, b" in raised.value.hint


def test_with_nothing_installed_it_tells_where_it_looked(places):
    with pytest.raises(CheckpointError, match="midfill models fetch"):
        locate("c")


def test_only_directories_with_a_config_count(places):
    places[0].mkdir()
    (places[0] / "file").write_text("")
    (places[0] / "empty").mkdir()
    assert installed() == []


def test_the_users_choice_is_searched_first(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "model_directories", lambda: (tmp_path, tmp_path / "data"))
    assert search_path()[0] == tmp_path
    assert search_path()[-1] == tmp_path / "data"
    assert len(search_path()) == 4
