"""Fixtures with a scripted filler in place of a model."""

from tests.engine.serving import engine, filler, http, short_path

__all__ = ["engine", "filler", "http", "short_path"]
