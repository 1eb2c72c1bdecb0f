import json
import re
import tomllib
from pathlib import Path

import pytest

from midfill_lsp.commands import init

EXCHANGES = Path(__file__).parents[2] / "engine" / "api" / "exchanges"


@pytest.mark.parametrize("editor", init.RECIPES)
def test_every_recipe_is_filled_in(editor, capsys):
    assert init.main([editor, "--command", "/opt/my env/midfill", "--port", "9999"]) == 0
    out, err = capsys.readouterr()
    assert not re.search(r"@[A-Z]+@", out)
    assert "/opt/my env/midfill" in out or "9999" in out
    assert init.RECIPES[editor].place in err


@pytest.mark.parametrize("editor", [e for e, r in init.RECIPES.items() if "json" in r.file])
def test_json_recipes_are_json(editor):
    text = init.rendered(init.RECIPES[editor], "C:\\bin\\midfill.exe", 8012)
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("//")]
    assert json.loads("\n".join(lines))


@pytest.mark.parametrize("client", ["continue", "llama.vim", "minuet", "twinny", "zed"])
def test_recipes_lead_where_the_client_was_seen_to_ask(client):
    recipe = init.rendered(init.RECIPES[client], "midfill", 8012)
    kept = json.loads((EXCHANGES / f"{client}.json").read_text())
    addresses = re.findall(r"(?::8012|API Path +)(/[\w/]+)", recipe)
    assert addresses
    for exchange in kept["exchanges"]:
        assert all(exchange["path"].startswith(address) for address in addresses)


def test_helix_recipe_is_toml():
    text = init.rendered(init.RECIPES["helix"], "C:\\bin\\midfill.exe", 8012)
    assert tomllib.loads(text)["language-server"]["midfill"]["args"] == ["lsp"]


def test_writes_a_file_of_its_own_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    target = tmp_path / ".config" / "nvim" / "plugin" / "midfill.lua"
    assert init.main(["neovim", "--write"]) == 0
    assert "inline_completion" in target.read_text()
    target.write_text("mine")
    assert init.main(["neovim", "--write"]) == 1
    assert target.read_text() == "mine"
    assert "left as it is" in capsys.readouterr().err


def test_a_shared_file_is_not_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert init.main(["helix", "--write"]) == 1
    assert "midfill init helix" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert init.main(["helix", "--write", str(tmp_path / "new.toml")]) == 0


def test_an_unknown_editor_names_the_known_ones(capsys):
    with pytest.raises(SystemExit) as leave:
        init.main(["ed"])
    assert leave.value.code == 2
    assert "neovim" in capsys.readouterr().err
