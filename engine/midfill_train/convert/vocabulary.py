"""Prunes a byte-level BPE vocabulary to what a corpus needs.

Owns which tokens stay: all single bytes, then the most frequent ones with all that they are
merged from, so that the pruned merges still make every kept token. A tied embedding is a third of
a small model; most of its rows are for languages that code does not contain.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from torch import Tensor

from midfill_train.convert.base import added_token


@dataclass(frozen=True, slots=True)
class Pruned:
    """A smaller ``tokenizer.json``, and the old id of each new one."""

    tokenizer: dict[str, Any]
    old_ids: list[int]


def count(tokenizer: Tokenizer, texts: Iterable[str]) -> Counter[int]:
    """How often each token occurs; fragments as well, since cuts split words."""
    counts: Counter[int] = Counter()
    for text in texts:
        middle = len(text) // 3
        for piece in (text, text[middle:], text[: middle * 2 + 1]):
            counts.update(tokenizer.encode(piece, add_special_tokens=False).ids)
    return counts


def prune(
    tokenizer: dict[str, Any], counts: Counter[int], size: int, special: Iterable[str]
) -> Pruned:
    """Keep ``size`` tokens, ``special`` ones included and last.

    Raises
    ------
    KeyError
        A special token is not there.
    """
    vocabulary: dict[str, int] = tokenizer["model"]["vocab"]
    merges = [m if isinstance(m, list) else m.split(" ") for m in tokenizer["model"]["merges"]]
    added = {token["content"]: int(token["id"]) for token in tokenizer["added_tokens"]}
    names = list(special)
    kept = _closed(vocabulary, merges, counts, size - len(names))
    order = sorted(kept, key=vocabulary.__getitem__)
    new = {token: i for i, token in enumerate(order)}
    model = {
        **tokenizer["model"],
        "vocab": new,
        "merges": [[a, b] for a, b in merges if a in new and b in new and a + b in new],
    }
    marks = [added_token(len(new) + i, name) for i, name in enumerate(names)]
    return Pruned(
        {**tokenizer, "model": model, "added_tokens": marks},
        [*(vocabulary[token] for token in order), *(added[name] for name in names)],
    )


def rows_for(pruned: Path, tokenizer: Mapping[str, Any], embedding: Tensor, own: Tensor) -> Tensor:
    """Rows ``(kept, hidden)`` of the unpruned ``embedding``, in the order of ``pruned``'s ids.

    Parameters
    ----------
    pruned, tokenizer
        The file of the pruned ``tokenizer.json``, and what the unpruned one says.
    own
        Rows of the pruned vocabulary, which marks and padding keep.
    """
    vocabulary: Mapping[str, int] = tokenizer["model"]["vocab"]
    rows = own.clone()
    for token, i in json.loads(pruned.read_text())["model"]["vocab"].items():
        if token in vocabulary:
            rows[i] = embedding[vocabulary[token]]
    return rows


def _closed(
    vocabulary: dict[str, int], merges: list[list[str]], counts: Counter[int], room: int
) -> set[str]:
    """At most ``room`` tokens: the most frequent, and all that those are merged from."""
    parts: dict[str, tuple[str, str]] = {}
    for a, b in merges:
        parts.setdefault(a + b, (a, b))
    kept = {token for token in vocabulary if token not in parts}
    by_id = {i: token for token, i in vocabulary.items()}
    for i, _ in counts.most_common():
        if i not in by_id:
            continue
        needed = _with_parts(by_id[i], parts, kept)
        if len(kept) + len(needed) > room:
            break
        kept |= needed
    return kept


def _with_parts(token: str, parts: dict[str, tuple[str, str]], kept: set[str]) -> set[str]:
    needed, waiting = set(), [token]
    while waiting:
        one = waiting.pop()
        if one not in kept and one not in needed:
            needed.add(one)
            waiting.extend(parts[one])
    return needed
