"""`midfill lsp`: the language server of one editor on stdin and stdout.

Owns the process: its arguments, its exit code, how fast it starts, and that nothing but the
protocol reaches stdout.
"""

from __future__ import annotations

import argparse
import gc
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    """Serve until the editor leaves."""
    parser = argparse.ArgumentParser(
        prog="midfill lsp", description="Run the language server on stdin and stdout."
    )
    parser.add_argument("--stdio", action="store_true", help="the default; editors like to say it")
    parser.parse_args(argv)
    stdout, sys.stdout = sys.stdout.buffer, sys.stderr
    gc.disable()  # the imports make many objects and no garbage
    import_protocol_types()
    from midfill_lsp.server import MidfillServer  # noqa: PLC0415  (start-up time)

    server = MidfillServer()
    gc.freeze()
    gc.enable()
    server.start_io(sys.stdin.buffer, stdout)
    server.leave()
    return 0 if server.protocol.left_in_order else 1


def import_protocol_types() -> None:
    """Import `lsprotocol.types` without what nothing here uses of its classes.

    The module defines 550 of them, and giving them ``__eq__``, ``__repr__`` and slots takes a
    third of its time: 0.37 s against 0.24 s on the 2-core server where it was measured, out of
    the half second in which an editor may expect its answer.
    """
    import attrs  # noqa: PLC0415  (start-up time)

    define = attrs.define

    def lean(maybe_class: Any = None, **options: Any) -> Any:
        return define(maybe_class, **{"eq": False, "repr": False, "slots": False} | options)

    attrs.define = lean  # type: ignore[assignment]
    try:
        import lsprotocol.types  # noqa: F401, PLC0415
    finally:
        attrs.define = define
