"""One typed tree: sources, faults in words, narrowing, and what is made from it."""

from pathlib import Path

import pytest

from midfill_lsp import settings as module
from midfill_lsp.settings import LspSettings, Source, environment_source, merge, schema

DOCS = Path(__file__).resolve().parents[2] / "docs" / "settings.md"


def test_later_sources_win_and_spelling_is_free():
    user = Source("user", {"max_tokens": 10, "budgetMs": 100, "display": {"sure_confidence": 0.5}})
    editor = Source("editor", {"maxTokens": 20, "display.unsure": "hold"})
    settings, problems = merge([user, editor])
    assert not problems
    assert (settings.max_tokens, settings.budget_ms) == (20, 100)
    assert (settings.display.sure_confidence, settings.display.unsure) == (0.5, "hold")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"maxTokens": 0}, "maxTokens must be a whole number from 1 to 1024."),
        ({"maxTokens": 1.5}, "maxTokens must be a whole number"),
        ({"maxTokens": True}, "maxTokens must be a whole number"),
        ({"maxTokens": float("nan")}, "maxTokens must be a whole number"),
        ({"enabled": "yes"}, "enabled must be true or false."),
        ({"exclude": "x"}, "exclude must be a list of texts."),
        ({"exclude": [1]}, "exclude must be a list of texts."),
        ({"languages": {"python": 1}}, "languages must be a table of true and false."),
        ({"strategy": "balancd"}, "Did you mean `balanced`?"),
        ({"strategy": ["fast"]}, "strategy must be one of"),
        ({"budget": 5}, "unknown setting `budget`. Did you mean `budgetMs`?"),
        ({"display": {"shureConfidence": 5}}, "Did you mean `display.sureConfidence`?"),
        ({"sureConfidence": 0.5}, "Did you mean `display.sureConfidence`?"),
        ({"zzzzz": 5}, "unknown setting `zzzzz`."),
        ({"display": 5}, "unknown setting `display`"),
        ({"logFile": None}, "logFile must be text."),
    ],
)
def test_a_fault_costs_itself_and_is_told_in_words(values, words):
    settings, [problem] = merge([Source("the editor", values | {"candidates": 5})])
    assert words in problem
    assert problem.startswith("the editor: ")
    assert settings.candidates == 5


def test_names_of_clients_and_dialects_are_not_ours():
    source = Source("editor", {"trace": {"server": "off"}, "client": 1, "editorInfo": {}})
    assert merge([source]) == (LspSettings(), [])


def test_a_project_only_narrows_whatever_comes_after_it():
    project = Source(
        "project",
        {
            "enabled": True,
            "automatic": False,
            "maxTokens": 500,
            "budgetMs": 50,
            "exclude": ["b"],
            "languages": {"go": False, "python": True},
            "engine": {"command": ["evil"]},
        },
        narrowing=True,
    )
    editor = Source(
        "editor",
        {"enabled": False, "automatic": True, "exclude": ["a"], "languages": {"python": False}},
    )
    settings, problems = merge([project, editor])
    assert not settings.enabled
    assert not settings.automatic
    assert (settings.max_tokens, settings.budget_ms) == (96, 50)
    assert settings.exclude == ("a", "b")
    assert settings.languages == {"python": False, "go": False}
    assert settings.engine.command == ()
    assert len(problems) == 1
    assert "engine.command cannot be set by a project" in problems[0]


def test_the_environment(monkeypatch):
    for name, value in {
        "BUDGET_MS": "120",
        "DISPLAY_SURE_CONFIDENCE": "0.25",
        "ENABLED": "off",
        "LANGUAGES": "go=off,python=on",
        "ENGINE_COMMAND": "a:b",
        "MAX_TOKENS": "many",
        "MAX_TOKENZ": "3",
    }.items():
        monkeypatch.setenv(f"MIDFILL_LSP_{name}", value)
    settings, problems = merge([environment_source()])
    assert settings.budget_ms == 120
    assert settings.display.sure_confidence == 0.25
    assert not settings.enabled
    assert settings.languages == {"go": False, "python": True}
    assert settings.engine.command == ("a", "b")
    assert any("maxTokens must be a whole number" in p for p in problems)
    assert any("MIDFILL_LSP_MAX_TOKENZ" in p for p in problems)
    assert len(problems) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[lsp\n", "cannot be read"),
        ("lsp = 3\n", "must be a table"),
        ("\xff", "cannot be read"),
    ],
)
def test_a_broken_file_is_ignored_until_it_is_mended(tmp_path, monkeypatch, text, words):
    file = tmp_path / "midfill.toml"
    file.write_bytes(text.encode("latin-1"))
    monkeypatch.setenv("MIDFILL_CONFIG", str(file))
    source, [problem] = module.user_source()
    assert words in problem
    assert str(file) in problem
    assert not source.values


def test_the_users_file_holds_other_tables_too(tmp_path, monkeypatch):
    file = tmp_path / "midfill.toml"
    file.write_text(
        "[engine]\ndevice = 'cpu'\n[lsp]\nmax_tokens = 7\n[lsp.display]\nunsure='hold'\n"
    )
    monkeypatch.setenv("MIDFILL_CONFIG", str(file))
    source, problems = module.user_source()
    settings, faults = merge([source])
    assert not problems + faults
    assert (settings.max_tokens, settings.display.unsure) == (7, "hold")


def test_the_schema_names_type_default_and_meaning_of_each_setting():
    properties = schema()["properties"]
    assert properties["midfill.budgetMs"] == {
        "type": "integer",
        "minimum": 10,
        "maximum": 60000,
        "default": 700,
        "description": properties["midfill.budgetMs"]["description"],
    }
    assert properties["midfill.display.unsure"]["enum"] == ["dim", "plain", "hold"]
    assert properties["midfill.languages"]["additionalProperties"] == {"type": "boolean"}
    machine = {name for name, entry in properties.items() if entry.get("scope") == "machine"}
    assert machine >= {"midfill.backend.url", "midfill.engine.command", "midfill.backend.apiKeyEnv"}
    assert all(entry["description"].endswith(".") for entry in properties.values())


def test_the_page_about_settings_is_current():
    assert module.markdown() in DOCS.read_text(), "run: python -m midfill_lsp.settings"
