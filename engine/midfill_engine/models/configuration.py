"""Names of a checkpoint directory's files, and its JSON files. Needs no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from midfill_engine.errors import CheckpointError, CorruptCheckpoint

CONFIG_FILE = "config.json"
#: The file that makes a directory an adapter (`models.adapter`).
ADAPTER_FILE = "adapter_config.json"
#: How the names of the safetensors files begin, of a checkpoint and of an adapter.
MODEL_STEM, ADAPTER_STEM = "model", "adapter_model"
#: What a guess says of the next one (`models.chain`), in a checkpoint's directory or an adapter's.
CHAIN_FILE = "chain.safetensors"


def read_json(file: Path) -> dict[str, Any]:
    """The JSON object in ``file``.

    Raises
    ------
    CheckpointError
        It is missing.
    CorruptCheckpoint
        It cannot be read, or is no object.
    """
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(
            f"{file} is missing.", f"Give the directory of a checkpoint, with its {file.name}."
        ) from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CorruptCheckpoint(f"{file} cannot be read: {error}.", "Copy it again.") from None
    if not isinstance(data, dict):
        raise CorruptCheckpoint(f"{file} is not a JSON object.", "Copy it again.")
    return data
