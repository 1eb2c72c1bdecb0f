"""Put the default model into wheels; an editable installation finds it in the repository."""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

#: What the engine's setting `model` names by default.
MODEL = "midfill-0.5b-v2"


class ModelHook(BuildHookInterface[Any]):
    """Adds the model under ``share/midfill/models``, where `midfill_engine.models.locate` looks."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before a wheel is built."""
        if version == "standard":
            build_data["shared_data"][f"models/{MODEL}"] = f"share/midfill/models/{MODEL}"
