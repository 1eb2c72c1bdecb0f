"""Put the models into wheels; an editable installation finds them in the repository."""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

#: The default model and its base; nothing else that may lie in ``models``.
MODELS = ("midfill-0.5b-v7", "midfill-0.5b-v8")


class ModelHook(BuildHookInterface[Any]):
    """Adds `MODELS` under ``share/midfill/models``, where `midfill_engine.models.locate` looks."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before a wheel is built."""
        if version == "standard":
            for model in MODELS:
                build_data["shared_data"][f"models/{model}"] = f"share/midfill/models/{model}"
