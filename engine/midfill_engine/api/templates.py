"""Prompts that a client wrote in another model's template for filling the middle.

Zed, twinny and some settings of Continue know only ``prompt``: prefix and suffix stand in it
between the markers of the model that they believe to talk to. Here such markers are ordinary text,
since special tokens cannot come in, so the prompt is taken apart. Owns the markers; knows neither
dialects nor models.
"""

from __future__ import annotations

from typing import NamedTuple

from midfill_engine.wire import Snippet

#: Before the prefix, between prefix and suffix, after the suffix.
TEMPLATES = (
    ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),  # Qwen, CodeGemma, Granite
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),  # StarCoder, StableCode
    ("<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"),  # GLM
    ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),  # noqa: RUF001  (DeepSeek)
    ("<PRE> ", " <SUF>", " <MID>"),  # Code Llama
)
#: Codestral: the suffix comes first, and the prefix has no end.
SUFFIX_MARK, PREFIX_MARK = "[SUFFIX]", "[PREFIX]"
#: What may stand before a template: other files, each with its path on the first line.
FILE_MARK, REPOSITORY_MARK = "<|file_sep|>", "<|repo_name|>"


class Parts(NamedTuple):
    """What such a prompt means."""

    prefix: str
    suffix: str
    snippets: tuple[Snippet, ...] = ()


def taken_apart(prompt: str) -> Parts | None:
    """The parts of a templated prompt; ``None`` for plain text before a cursor.

    A template counts only where it reaches from the first to the last character: code about
    such templates must stay what it is.
    """
    for prefix_mark, suffix_mark, end_mark in TEMPLATES:
        if not prompt.endswith(end_mark):
            continue
        before, found, rest = prompt.removesuffix(end_mark).partition(prefix_mark)
        prefix, between, suffix = rest.partition(suffix_mark)
        if found and between and _only_files(before):
            return Parts(prefix, suffix, _files(before))
    before, found, rest = prompt.partition(SUFFIX_MARK)
    suffix, between, prefix = rest.partition(PREFIX_MARK)
    if found and between and not before.strip():
        return Parts(prefix, suffix)
    return None


def _only_files(before: str) -> bool:
    return not before.strip() or before.startswith((FILE_MARK, REPOSITORY_MARK))


def _files(before: str) -> tuple[Snippet, ...]:
    """Other files; the last path, that of the open file, has no text of its own here."""
    blocks = (block.partition("\n") for block in before.split(FILE_MARK)[1:])
    return tuple(Snippet(path.strip(), text) for path, _, text in blocks if text.strip())
