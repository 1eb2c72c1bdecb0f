"""A tiny checkpoint with all its parts within reach, below `Filler`."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import torch

from midfill_engine.cache.keystroke import KeystrokeCache
from midfill_engine.deadline import Deadline
from midfill_engine.decode.rows import output_bias
from midfill_engine.fill.canvas import Canvas
from midfill_engine.fill.costs import Costs
from midfill_engine.fill.run import Run, Sampler
from midfill_engine.fill.steps import Steps, alone
from midfill_engine.models.adapter import open_checkpoint
from midfill_engine.models.decoder import load_decoder
from midfill_engine.models.registry import family_of
from midfill_engine.text.tokenizer import Tokenizer

T = TypeVar("T")


class Model:
    """Decoder, tokenizer and special ids of a tiny checkpoint."""

    def __init__(self, path: Path) -> None:
        checkpoint = open_checkpoint(path)
        family = family_of(checkpoint.config)
        config = family.decoder(checkpoint.config)
        self.spec = family.diffusion(checkpoint.config)
        self.decoder = load_decoder(
            checkpoint,
            config,
            family.tensors,
            precision="float32",
            device=torch.device("cpu"),
        )
        self.tokenizer = Tokenizer(checkpoint.tokenizer_file, config.vocab_size)
        self.bias = output_bias(config.vocab_size, self.tokenizer.size, self.spec.forbidden_ids)

    def run(self, cache: KeystrokeCache) -> Run:
        return Run(
            self.decoder,
            cache,
            Deadline.after_ms(None),
            Costs(),
            Sampler(self.bias, self.spec.eom_id),
        )

    def alone(self, steps: Steps[T]) -> T:
        return alone(steps, self.decoder, Costs())

    def cache(self) -> KeystrokeCache:
        return KeystrokeCache(self.decoder.new_cache())

    def canvas(self, max_tokens: int) -> Canvas:
        return Canvas(self.tokenizer, max_tokens)
