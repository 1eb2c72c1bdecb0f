"""Put the shipped model into wheels; an editable installation finds it in the repository."""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ModelHook(BuildHookInterface[Any]):
    """Adds ``models/`` as ``share/midfill/models``, where `midfill_engine.models.locate` looks."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before a wheel is built."""
        if version == "standard":
            build_data["shared_data"]["models"] = "share/midfill/models"
