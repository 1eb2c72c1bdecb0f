import json
import sys

import pytest

from midfill_lsp.commands.checks import engine as checks
from midfill_lsp.commands.checks import installation


def child(code):
    """A stand-in for `midfill`, whose arguments the code ignores."""
    return (sys.executable, "-c", code)


async def test_a_good_self_test():
    said = {
        "ok": True,
        "model": {"name": "m", "precision": "int8", "device": "cpu"},
        "load_ms": 1500,
        "fill_ms": 120.4,
    }
    found = await checks.self_test(child(f"print({json.dumps(said)!r})"))
    assert (found.state, found.detail) == (
        "good",
        "m, int8 on cpu: loaded in 1.5 s, filled in 120 ms",
    )


async def test_faults_in_the_engines_settings_are_noted():
    said = {"ok": True, "model": {"name": "m", "precision": "int8", "device": "cpu"}}
    said |= {"load_ms": 1, "fill_ms": 1}
    code = (
        f"import sys; print('midfill: unknown key', file=sys.stderr); print({json.dumps(said)!r})"
    )
    found = await checks.self_test(child(code))
    assert (found.state, found.hint) == ("note", "midfill: unknown key")


async def test_a_failed_self_test_says_what_and_what_to_do():
    said = {"ok": False, "message": "No room.", "hint": "Use int4."}
    found = await checks.self_test(child(f"print({json.dumps(said)!r}); raise SystemExit(1)"))
    assert (found.state, found.detail, found.hint) == ("bad", "No room.", "Use int4.")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise ImportError('libtorch.so is broken')", "libtorch.so is broken"),
        ("import os; os.abort()", "ended with code -6"),
        ("print('rubbish')", "ended with code 0"),
    ],
)
async def test_a_broken_engine_is_a_finding(code, words):
    found = await checks.self_test(child(code))
    assert found.state == "bad"
    assert words in found.detail


async def test_a_missing_program_is_a_finding():
    found = await checks.self_test(("/nonexistent/midfill",))
    assert (found.state, "No such file" in found.detail) == ("bad", True)


async def test_bad_models_are_named():
    words = "print('m: the checksum differs'); print('n: good'); raise SystemExit(1)"
    found = await checks.models(child(words))
    assert (found.state, found.detail) == ("bad", "m: the checksum differs")
    found = await checks.models(child("print('m: good')"))
    assert (found.state, found.detail) == ("good", "m: good")


def test_a_long_runtime_directory(monkeypatch, tmp_path):
    monkeypatch.setenv("MIDFILL_RUNTIME_DIR", str(tmp_path / ("x" * 120)))
    assert installation.runtime().state == "bad"


def test_an_open_runtime_directory(monkeypatch, tmp_path):
    tmp_path.chmod(0o755)
    monkeypatch.setenv("MIDFILL_RUNTIME_DIR", str(tmp_path))
    found = installation.runtime()
    assert (found.state, found.hint) == ("note", f"chmod 700 {tmp_path}")


def test_missing_engine_packages(monkeypatch):
    monkeypatch.setattr(installation, "ENGINE", ("nonesuch-package",))
    assert "midfill[engine]" in installation.engine_packages(remote=False).hint
    assert installation.engine_packages(remote=True).state == "note"


async def test_quick_run(engine, midfill, tmp_path):
    (tmp_path / "none.toml").write_text("[lsp]\nmax_tokns = 3\n")
    ran = await midfill("doctor", "--quick", "--json")
    found = {finding["name"]: finding for finding in json.loads(ran.out)}
    assert ran.code == 0
    assert found["Python"]["state"] == "good"
    assert found["daemon"]["state"] == "good"
    assert "maxTokens" in found["settings"]["detail"]
    assert "self-test" not in found
    assert engine.requests == []
    ran = await midfill("doctor", "--quick")
    assert "✓ Python" in ran.out
    assert "All is well." in ran.out
