"""What `midfill lsp` imports before it answers `initialize`."""

import json
import subprocess
import sys
from importlib.metadata import version

import pytest

PROGRAM = """
import json, sys
from midfill_lsp.commands.lsp import import_protocol_types
import_protocol_types()
import midfill_lsp.server
midfill_lsp.server.MidfillServer()
print(json.dumps(sorted(sys.modules)))
"""


def test_nothing_slow_is_imported_before_initialize_is_answered():
    out = subprocess.run(
        [sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True
    ).stdout
    modules = set(json.loads(out))
    slow = {"aiohttp", "tree_sitter", "torch", "numpy", "psutil", "importlib.metadata", "email"}
    assert modules.isdisjoint(slow)


def test_the_version_told_to_editors_is_the_release():
    from midfill_lsp.server import VERSION

    assert version("midfill") == VERSION


AUTHORITIES = """
import sys, {module}
print("midfill_engine.api" in sys.modules)
from aiohttp.connector import _SSL_CONTEXT_VERIFIED
print(_SSL_CONTEXT_VERIFIED.cert_store_stats()["x509_ca"])
"""


@pytest.mark.parametrize(
    ("module", "serves"),
    [
        ("midfill_engine.commands.engine", True),
        ("midfill_engine.commands.serve", True),
        ("midfill_engine.commands.models", False),
        ("midfill_lsp.backend.engine", False),
    ],
)
def test_who_only_serves_reads_no_certificates_and_who_fetches_does(module, serves):
    out = subprocess.run(
        [sys.executable, "-c", AUTHORITIES.format(module=module)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert out[0] == str(serves)
    assert not serves or out[1] == "0"
