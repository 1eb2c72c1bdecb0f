"""The command `midfill`: a table of subcommands, each imported only when it is called.

Knows names and help lines only, so that `midfill --help` imports neither pygls nor torch.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import NamedTuple


class Command(NamedTuple):
    """Where a subcommand lives and what it is for. ``module.main(argv) -> exit code``."""

    module: str
    help: str
    extra: str = ""


COMMANDS: dict[str, Command] = {
    "lsp": Command("midfill_lsp.commands.lsp", "run the language server on stdin and stdout"),
    "complete": Command("midfill_lsp.commands.complete", "complete a file at a cursor"),
    "demo": Command("midfill_lsp.commands.demo", "watch real code being completed"),
    "status": Command("midfill_lsp.commands.status", "what runs, which model, how fast"),
    "stop": Command("midfill_lsp.commands.stop", "end the engine"),
    "doctor": Command("midfill_lsp.commands.doctor", "check the installation and say what to do"),
    "init": Command("midfill_lsp.commands.init", "print or write an editor's configuration"),
    "engine": Command("midfill_engine.commands.engine", "run the engine", "engine"),
    "serve": Command("midfill_engine.commands.serve", "serve the engine over TCP", "engine"),
    "models": Command("midfill_engine.commands.models", "list, verify and fetch models", "engine"),
    "train": Command("midfill_train.commands", "convert and train models", "train"),
}

EXIT_USAGE = 2
EXIT_MISSING = 3


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit code."""
    args = list(sys.argv[1:] if argv is None else argv)
    if not args or args[0] in ("-h", "--help"):
        print(usage())
        return 0 if args else EXIT_USAGE
    if args[0] in ("-V", "--version"):
        from importlib.metadata import version  # noqa: PLC0415  (start-up time)

        print(f"midfill {version('midfill')}")
        return 0
    command = COMMANDS.get(args[0])
    if command is None:
        print(f"midfill: unknown command {args[0]!r}. Try `midfill --help`.", file=sys.stderr)
        return EXIT_USAGE
    try:
        module = importlib.import_module(command.module)
    except ModuleNotFoundError as error:
        if not command.extra or (error.name or "").startswith("midfill_lsp"):
            raise
        print(
            f"midfill {args[0]} needs {error.name}, which is not installed. "
            f"Install it with: pip install 'midfill[{command.extra}]'",
            file=sys.stderr,
        )
        return EXIT_MISSING
    code: int = module.main(args[1:])
    return code


def usage() -> str:
    """The text of ``midfill --help``."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {command.help}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "usage: midfill COMMAND [ARGUMENTS]",
            "",
            "Code completion that fills the middle by diffusion, on your own machine.",
            "",
            *lines,
            "",
            "`midfill COMMAND --help` says more. Exit codes: 0 done, 1 failed, 2 wrong usage,",
            "3 something is not installed.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
