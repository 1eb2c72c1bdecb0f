"""Engine settings on a command line: one option a setting, made from its declaration.

Owns the options and their help. Knows nothing of what the commands do with them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from midfill_engine.settings import EngineSettings, choices, load, parse


def add(parser: argparse.ArgumentParser) -> None:
    """Add ``--model``, ``--device`` and so on, without defaults: absent is not said."""
    group = parser.add_argument_group(
        "settings", "also in midfill.toml, table [engine], and as MIDFILL_* in the environment"
    )
    for setting in fields(EngineSettings):
        words = choices(setting)
        group.add_argument(
            f"--{setting.name.replace('_', '-')}",
            dest=f"setting_{setting.name}",
            type=_parser_of(setting.name),
            metavar="|".join(words) if words else setting.name.rsplit("_", 1)[-1].upper(),
            help=f"{setting.metadata['doc']} Default: {setting.default!r}.".replace("%", "%%"),
        )


def settings(args: argparse.Namespace) -> EngineSettings:
    """Settings of all sources; what is wrong in files or environment is told on standard error."""
    given: dict[str, Any] = {
        name.removeprefix("setting_"): value
        for name, value in vars(args).items()
        if name.startswith("setting_") and value is not None
    }
    loaded = load(given)
    for warning in loaded.warnings:
        print(f"midfill: {warning}", file=sys.stderr)
    return loaded.settings


def _parser_of(name: str) -> Callable[[str], Any]:
    def checked(text: str) -> Any:
        try:
            return parse(name, text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return checked
