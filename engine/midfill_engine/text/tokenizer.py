"""Text to token ids and back.

Owns encoding with special tokens off (a source file may contain ``<|mask|>`` literally), and the
incremental decoding of byte-level tokens. Knows neither models nor layouts.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from pathlib import Path

import tokenizers

from midfill_engine.errors import CorruptCheckpoint

#: The start of a line that is not blank. A byte-level pre-tokeniser whose white space pattern
#: swallows all line ends of a run always breaks here, so that text can be encoded line by line
#: and an edit costs the encoding of its own line only.
_LINE_START = re.compile(r"(?<=\n)(?=[^\S\n]*\S)")
_REMEMBERED_LINES = 8192
_PROBE = "def f(a):\n    x = {\n\n        'k': 1,\n  \n    }\n\n\n\treturn  x  \n}  \n  \n# é\n"


class Tokenizer:
    """A byte-level tokenizer of a checkpoint.

    Raises
    ------
    CorruptCheckpoint
        The file is damaged, or has more tokens than the model has rows.
    """

    def __init__(self, file: Path, vocab_size: int) -> None:
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(file))
        except Exception as error:  # noqa: BLE001  (the library raises nothing narrower)
            raise CorruptCheckpoint(
                f"{file} cannot be read: {error}.", "Copy the checkpoint again."
            ) from None
        added = self._tokenizer.get_added_tokens_decoder()
        #: Ids of all added tokens: none of them is text, and none comes in with a text or out of
        #: a model (Qwen's tokenizers do not mark all of theirs as special).
        self.special_ids = frozenset(added)
        self._tokenizer.add_special_tokens([token.content for token in added.values()])
        self._tokenizer.encode_special_tokens = True
        self.size = self._tokenizer.get_vocab_size()
        if self.size > vocab_size:
            raise CorruptCheckpoint(
                f"{file} has {self.size} tokens, the model {vocab_size}.",
                "Tokenizer and weights belong to different models; copy the checkpoint again.",
            )
        # As they come: all of them would hold up the start, and few are ever written.
        self._bytes_of = cache(self._bytes)
        self._encode_line = lru_cache(_REMEMBERED_LINES)(self._encode)
        self._by_lines = self.encode(_PROBE) == list(self._encode(_PROBE))

    _by_lines = True

    def encode(self, text: str) -> list[int]:
        """Token ids of ``text``; what looks like a special token is ordinary text."""
        if not self._by_lines:
            return list(self._encode(text))
        return [i for line in _LINE_START.split(text) for i in self._encode_line(line)]

    def texts(self, ids: Iterable[int]) -> Iterator[str]:
        """The text that each token completes; joined, they are the whole text.

        A character cut between tokens belongs to the one that completes it; bytes that never
        complete one are dropped.
        """
        decoder = codecs.getincrementaldecoder("utf-8")("ignore")
        for token_id in ids:
            yield decoder.decode(self._bytes_of(token_id))

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ``ids``."""
        return "".join(self.texts(ids))

    def _encode(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def _bytes(self, token_id: int) -> bytes:
        token = self._tokenizer.id_to_token(token_id)
        if token is None or not all(char in _BYTE_OF for char in token):
            return b""  # special tokens and padding rows of the vocabulary have no text
        return bytes(_BYTE_OF[char] for char in token)


def _byte_alphabet() -> dict[str, int]:
    """The printable stand-ins that byte-level vocabularies use for the 256 bytes (GPT-2)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    alphabet = {chr(byte): byte for byte in printable}
    rest = (byte for byte in range(0x100) if byte not in printable)
    alphabet.update({chr(0x100 + n): byte for n, byte in enumerate(rest)})
    return alphabet


_BYTE_OF = _byte_alphabet()
