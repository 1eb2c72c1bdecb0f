"""A checkpoint on a list of cuts: decode, score, group.

Owns the batching by length and the table of figures. Knows neither how cuts are drawn nor where
results go.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch

from midfill_engine.models.locate import base_of
from midfill_train.data.layout import context
from midfill_train.data.marks import read_marks
from midfill_train.data.pack import open_tokenizer
from midfill_train.evaluate.cuts_file import HeldOut
from midfill_train.evaluate.decode import Answer, Decoder, Reading
from midfill_train.evaluate.score import Scored, figures
from midfill_train.model import files


class Measured:
    """One checkpoint, ready to answer cuts.

    Parameters
    ----------
    near
        Newlines of the suffix that stand beside the block; zero for the whole suffix before the
        prefix.
    """

    def __init__(
        self, checkpoint: Path, device: torch.device, *, near: int = 0, budget: int = 128
    ) -> None:
        config = json.loads((base_of(checkpoint) / "config.json").read_text())
        self.marks = read_marks(checkpoint)
        self.tokenizer = open_tokenizer(checkpoint)
        self.near = near
        dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        self.decoder = Decoder(
            files.load(checkpoint).to(device, dtype).eval(),
            mask=self.marks.mask,
            eom=self.marks.eom,
            forbidden=config["diffusion"]["forbidden_token_ids"],
            vocabulary=self.tokenizer.get_vocab_size(),
            budget=budget,
        )

    def answer(self, cuts: Sequence[HeldOut], reading: Reading, batch: int) -> list[Scored]:
        """Answers in the order of ``cuts``, decoded ``batch`` at a time, like lengths together."""
        contexts = [self._context(cut) for cut in cuts]
        order = sorted(range(len(cuts)), key=lambda i: len(contexts[i]))
        answers: dict[int, Answer] = {}
        for start in range(0, len(order), batch):
            some = order[start : start + batch]
            decoded = self.decoder.decode([contexts[i] for i in some], reading)
            answers.update(zip(some, decoded, strict=True))
        return [self._scored(cut, answers[i]) for i, cut in enumerate(cuts)]

    def _context(self, cut: HeldOut) -> list[int]:
        return context(
            self.marks, self._encode, cut.prefix, cut.suffix, path=cut.path, near=self.near or None
        )

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def _scored(self, cut: HeldOut, answer: Answer) -> Scored:
        text = self.tokenizer.decode(answer.tokens, skip_special_tokens=False)
        counts = (len(answer.tokens), answer.forwards, answer.passes, answer.ended)
        return Scored(cut.prefix, cut.middle, cut.suffix, text, *counts, cut.language)


def table(cuts: Sequence[HeldOut], answers: Sequence[Scored]) -> dict[str, dict[str, float]]:
    """Figures of all cuts, of each language, of each group, and of each language in each group."""
    keys = {"all": [True] * len(cuts)}
    for language in sorted({cut.language for cut in cuts}):
        keys[language] = [cut.language == language for cut in cuts]
    for group in sorted({cut.group for cut in cuts}):
        keys[group] = [cut.group == group for cut in cuts]
    return {
        key: figures(a for a, chosen in zip(answers, mask, strict=True) if chosen).as_dict()
        for key, mask in keys.items()
    }
