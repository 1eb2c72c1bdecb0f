"""A tiny world for training tests: a corpus of three packages and a two-layer checkpoint."""

import json
from pathlib import Path

import pytest
import torch
from tests.train.samples import GO, PYTHON
from tokenizers import Tokenizer, models, pre_tokenizers
from tokenizers.decoders import ByteLevel

from midfill_train.corpus import store
from midfill_train.corpus.spans import spans
from midfill_train.corpus.store import Document
from midfill_train.data.marks import Marks, read_marks
from midfill_train.model import files
from midfill_train.model.network import Network, Shape

SPECIAL = (
    "<|endoftext|>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
)


@pytest.fixture(scope="session")
def documents():
    texts = [("python", "a.py", PYTHON), ("go", "b.go", GO), ("python", "c/d.py", PYTHON)]
    return [
        Document(path, language, f"package-{i}", text.encode(), spans(text.encode(), language))
        for i, (language, path, text) in enumerate(texts)
    ]


@pytest.fixture(scope="session")
def corpus(documents, tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    store.write(folder, documents)
    return folder


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """Byte tokens, two layers, random weights, int4."""
    base, out = tmp_path_factory.mktemp("base"), tmp_path_factory.mktemp("checkpoint")
    write_tokenizer(base / "tokenizer.json")
    vocab = 256 + len(SPECIAL)
    config = {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": True,
        "vocab_size": vocab,
        "diffusion": {
            "block_size": 32,
            "eom_token_id": 256,
            "prefix_token_id": 257,
            "suffix_token_id": 259,
            "mask_token_id": 260,
            "path_token_id": 262,
            "trained_context_tokens": 2048,
            "forbidden_token_ids": [257, 258, 259, 260, 261, 262],
        },
    }
    (base / "config.json").write_text(json.dumps(config))
    torch.manual_seed(0)
    files.save(Network(Shape.from_config(config)), out, like=base)
    return out


def write_tokenizer(path: Path) -> None:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = ByteLevel()
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.save(str(path))


@pytest.fixture(scope="session")
def marks(checkpoint) -> Marks:
    return read_marks(checkpoint)
