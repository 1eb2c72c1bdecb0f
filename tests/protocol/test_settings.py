"""Where settings come from, and what becomes of wrong ones."""

from tests.protocol.client import Client


async def test_wrong_settings_are_told_in_words_and_the_rest_is_kept(connect, engine):
    client = connect()
    await client.initialize(
        initializationOptions={"budgetMs": "fast", "canddates": 2, "maxTokens": 12}
    )
    await client.ready()
    told = "\n".join(client.told())
    assert "budgetMs must be a whole number from 10 to 60000" in told
    assert "Did you mean `candidates`?" in told
    client.open("x = \n")
    await client.inline(0, 4)
    assert engine.requests[0]["max_tokens"] == 12
    assert engine.requests[0]["budget_ms"] == 700


async def test_the_editors_configuration_is_pulled_and_followed(connect, engine):
    client = connect()
    client.configuration = {"maxTokens": 12}
    await client.initialize({"workspace": {"configuration": True}})
    await client.ready()
    await client.asked_for("workspace/configuration")
    client.open("x = \ny = \n")
    await client.inline(0, 4)
    assert engine.asked[0]["max_tokens"] == 12

    client.configuration = {"maxTokens": 13, "languages": {"python": True}}
    client.requests.clear()
    client.notify("workspace/didChangeConfiguration", {"settings": {}})
    await client.asked_for("workspace/configuration")
    await client.settled()
    await client.inline(1, 4)
    assert engine.asked[1]["max_tokens"] == 13


async def test_a_client_that_only_pushes_is_heard_too(client, engine):
    client.notify("workspace/didChangeConfiguration", {"settings": {"midfill": {"maxTokens": 9}}})
    client.open("x = \n")
    await client.inline(0, 4)
    assert engine.requests[0]["max_tokens"] == 9


async def test_a_project_may_only_narrow(connect, engine, tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    (project / "midfill.toml").write_text(
        '[lsp]\nmax_tokens = 500\nexclude = ["gen/"]\n[lsp.backend]\nurl = "http://evil"\n'
    )
    client = connect()
    folder = {"uri": project.as_uri(), "name": "project"}
    await client.initialize(workspaceFolders=[folder])
    await client.ready()
    [told] = client.told()
    assert "backend.url cannot be set by a project" in told
    excluded, plain = (project / "gen" / "a.py").as_uri(), (project / "a.py").as_uri()
    client.open("x = \n", uri=excluded)
    client.open("x = \n", uri=plain)
    assert await client.inline(0, 4, uri=excluded) is None
    assert await client.why(excluded) == "excluded-file"
    assert await client.inline(0, 4, uri=plain)
    assert engine.asked[0]["max_tokens"] == 96
    assert engine.asked[0]["path"] == "a.py"


async def test_a_saved_project_file_takes_effect(connect, engine, tmp_path):
    client = connect()
    await client.initialize(workspaceFolders=[{"uri": tmp_path.as_uri(), "name": "p"}])
    await client.ready()
    client.open("x = \n")
    assert await client.inline(0, 4)
    file = tmp_path / "midfill.toml"
    file.write_text("[lsp]\nenabled = false\n")
    client.notify("textDocument/didSave", {"textDocument": {"uri": file.as_uri()}})
    assert await client.inline(0, 4) is None
    assert await client.why() == "disabled"


async def test_folders_that_come_and_go_are_followed(client, engine, tmp_path):
    (tmp_path / "midfill.toml").write_text("[lsp]\nenabled = false\n")
    folder = {"uri": tmp_path.as_uri(), "name": "p"}
    for added, removed, code in (([folder], [], "disabled"), ([], [folder], None)):
        client.notify(
            "workspace/didChangeWorkspaceFolders", {"event": {"added": added, "removed": removed}}
        )
        client.open("x = \n")
        await client.inline(0, 4)
        assert await client.why() == code


async def test_a_changed_backend_is_used_at_once(client, engine):
    client.notify(
        "workspace/didChangeConfiguration",
        {"settings": {"midfill": {"backend": {"kind": "openai"}}}},
    )
    client.open("x = \n")
    assert await client.inline(0, 4) is None
    assert await client.why() == "engine-down"
    client.notify("workspace/didChangeConfiguration", {"settings": {"midfill": {}}})
    await client.settled()
    assert await client.inline(0, 4)


async def test_a_log_file_that_cannot_be_written_is_told(tmp_path):
    client = await Client.start(tmp_path / "run")
    await client.initialize(initializationOptions={"logFile": "/proc/no/such.log"})
    told = await client.noted("window/showMessage", lambda p: "log file" in p["message"])
    assert "/proc/no/such.log" in told["message"]
    await client.stop()


async def test_on_battery_nothing_is_searched(connect, engine, monkeypatch):
    strategies = []
    for plugged in (True, False):
        monkeypatch.setattr("midfill_lsp.server.on_battery", lambda plugged=plugged: not plugged)
        client = connect()
        await client.initialize()
        await client.ready()
        client.open("x = \n")
        await client.inline(0, 4)
        strategies.append(engine.asked[-1].get("strategy"))
    assert strategies == [None, "balanced"]  # none: the default, which searches
