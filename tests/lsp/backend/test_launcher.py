"""Where the engine is looked for."""

import json
import os
import sys

import pytest

from midfill_lsp.backend.launcher import Endpoint, find_endpoint, start_engine


def test_nothing_is_found_where_no_engine_was(tmp_path):
    assert find_endpoint(tmp_path) is None
    assert find_endpoint(tmp_path / "missing") is None


def test_a_socket_is_found_with_and_without_a_description(tmp_path):
    (tmp_path / "engine.sock").touch()
    expected = Endpoint(socket=str(tmp_path / "engine.sock"))
    assert find_endpoint(tmp_path) == expected
    for broken in ("{", "[]", "{}"):
        (tmp_path / "engine.json").write_text(broken)
        assert find_endpoint(tmp_path) == expected


def test_a_port_comes_with_its_token(tmp_path):
    (tmp_path / "engine.json").write_text(json.dumps({"port": 4711, "token": "t"}))
    assert find_endpoint(tmp_path) == Endpoint(url="http://127.0.0.1:4711", token="t")


@pytest.mark.skipif(os.name == "nt", reason="owners are a matter of Unix")
def test_a_directory_that_is_not_ours_is_not_trusted(tmp_path, monkeypatch):
    (tmp_path / "engine.sock").touch()
    link = tmp_path.parent / "link"
    link.symlink_to(tmp_path)
    assert find_endpoint(link) is None
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert find_endpoint(tmp_path) is None


def test_the_engine_is_started_away_from_the_project(tmp_path, monkeypatch):
    """Python would import from the directory it is started in."""
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    process = start_engine(
        [sys.executable, "-c", "import os; print(os.getcwd())"], tmp_path / "run"
    )
    process.wait()
    log = tmp_path / "run" / "engine.log"
    assert log.read_text().strip() == str(tmp_path / "run")
    assert log.stat().st_mode & 0o777 == 0o600
