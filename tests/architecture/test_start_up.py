"""What `midfill lsp` imports before it answers `initialize`."""

import json
import subprocess
import sys
from importlib.metadata import version

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
