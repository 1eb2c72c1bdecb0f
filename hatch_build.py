"""Put the models into wheels; an editable installation finds it in the repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ModelHook(BuildHookInterface[Any]):
    """Adds models under ``share/midfill/models``, where `midfill_engine.models.locate` looks."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before a wheel is built."""
        if version == "standard":
            for model in sorted(path.name for path in Path(self.root, "models").iterdir()):
                build_data["shared_data"][f"models/{model}"] = f"share/midfill/models/{model}"
