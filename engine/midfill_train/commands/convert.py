"""``midfill train convert``: an autoregressive checkpoint to a block-diffusion one.

The result knows the layout's marks and nothing of filling yet: train it with `run`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from midfill_train.convert import base as bases
from midfill_train.convert.vocabulary import Pruned, count, prune
from midfill_train.corpus.store import Corpus
from midfill_train.model import files
from midfill_train.model.network import Network, Shape

#: Marks of the layout, as the Qwen2.5-Coder vocabulary names them; others get new rows.
MARKS = {
    "eom_token_id": "<|endoftext|>",
    "prefix_token_id": "<|fim_prefix|>",
    "middle_token_id": "<|fim_middle|>",
    "suffix_token_id": "<|fim_suffix|>",
    "mask_token_id": "<|fim_pad|>",
    "path_token_id": "<|file_sep|>",
}
_PADDED_TO = 64


def main(argv: Sequence[str]) -> int:
    """Write a Midfill checkpoint in bf16."""
    parser = argparse.ArgumentParser(prog="midfill train convert", description=__doc__)
    parser.add_argument("base", type=Path, help="folder of a Hugging Face checkpoint, or .gguf")
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--corpus",
        required=True,
        type=Path,
        help="texts that say which tokens are needed: the train part of a corpus",
    )
    parser.add_argument("--vocabulary", type=int, default=46_016, help="tokens to keep")
    parser.add_argument("--files", type=int, default=20_000, help="files to count tokens in")
    args = parser.parse_args(argv)
    base = bases.read(args.base)
    tokenizer = Tokenizer.from_str(json.dumps(with_marks(base.tokenizer)))
    corpus = Corpus(args.corpus)
    step = max(1, len(corpus) // args.files)
    texts = (corpus[i].text.decode() for i in range(0, len(corpus), step))
    pruned = prune(
        with_marks(base.tokenizer), count(tokenizer, texts), args.vocabulary, MARKS.values()
    )
    convert(base, pruned, args.out)
    print(f"{args.out}: {len(pruned.old_ids)} of {len(base.tokenizer['model']['vocab'])} tokens")
    return 0


def with_marks(tokenizer: dict[str, Any]) -> dict[str, Any]:
    """``tokenizer`` with every mark: those that it lacks get ids after all others."""
    added = list(tokenizer["added_tokens"])
    have = {token["content"] for token in added}
    following = 1 + max(*tokenizer["model"]["vocab"].values(), *(t["id"] for t in added), 0)
    for name in MARKS.values():
        if name not in have:
            added.append(bases.added_token(following, name))
            following += 1
    return {**tokenizer, "added_tokens": added}


def convert(base: bases.Base, pruned: Pruned, out: Path) -> None:
    """Write ``out``: the base's weights, rows of the embedding by ``pruned``."""
    size = -(-len(pruned.old_ids) // _PADDED_TO) * _PADDED_TO
    tensors = dict(base.tensors)
    tensors["model.embed_tokens.weight"] = _rows(tensors["model.embed_tokens.weight"], pruned, size)
    first = len(pruned.old_ids) - len(MARKS)
    ids = {key: first + i for i, key in enumerate(MARKS)}
    config = {**base.config, "vocab_size": size, "bos_token_id": None}
    config |= {"eos_token_id": ids["eom_token_id"], "torch_dtype": "bfloat16"}
    forbidden = sorted(set(ids.values()) - {ids["eom_token_id"]})
    config["diffusion"] = {
        **ids,
        "near_token_id": ids["suffix_token_id"],
        "block_size": 32,
        "logits_shift": False,
        "context_attention": "causal",
        "block_attention": "bidirectional",
        "forbidden_token_ids": forbidden,
        "trained_context_tokens": 2048,
        "trained_middle_tokens": 0,
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    (out / "tokenizer.json").write_text(json.dumps(pruned.tokenizer, ensure_ascii=False))
    network = Network(Shape.from_config(config))
    files.fill(network, tensors)
    files.save(network, out, like=out, precision="bf16")


def _rows(embedding: Tensor, pruned: Pruned, size: int) -> Tensor:
    """The kept rows; a new mark, and the mask in any case, starts near the mean of all words."""
    rows = torch.zeros(size, embedding.shape[1])
    mean = embedding.float().mean(0)
    for new, old in enumerate(pruned.old_ids):
        rows[new] = embedding[old].float() if old < len(embedding) else mean
    mask = len(pruned.old_ids) - len(MARKS) + list(MARKS).index("mask_token_id")
    rows[mask] = mean + 0.5 * rows[mask]
    return rows
