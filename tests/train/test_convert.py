"""From an autoregressive base to a checkpoint that trains and loads."""

import json
from collections import Counter

import numpy as np
import pytest
import torch
from tests.train.samples import PYTHON
from tokenizers import Tokenizer

from midfill_engine.models.checkpoint import Checkpoint
from midfill_train.commands import main
from midfill_train.convert import base as bases
from midfill_train.convert.vocabulary import prune
from midfill_train.model import files
from midfill_train.model.network import Network, Shape

WORDS = ["de", "def", "ret", "re", "se", "sel", "self"]
MERGES = [["d", "e"], ["de", "f"], ["r", "e"], ["re", "t"], ["s", "e"], ["se", "l"], ["sel", "f"]]


@pytest.fixture
def base(tmp_path, checkpoint):
    """A Hugging Face folder: the tiny checkpoint's shape, some merged words, one known mark."""
    folder = tmp_path / "base"
    tokenizer = json.loads((checkpoint / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    for word in WORDS:
        vocabulary[word] = len(vocabulary)
    tokenizer["model"]["merges"] = MERGES
    tokenizer["added_tokens"] = [bases.added_token(len(vocabulary), "<|endoftext|>")]
    config = json.loads((checkpoint / "config.json").read_text())
    for gone in ("diffusion", "quantization"):
        config.pop(gone)
    config |= {"vocab_size": len(vocabulary) + 1, "tie_word_embeddings": True}
    torch.manual_seed(1)
    source = tmp_path / "source"
    source.mkdir()
    (source / "config.json").write_text(json.dumps(config))
    (source / "tokenizer.json").write_text(json.dumps(tokenizer))
    files.save(Network(Shape.from_config(config)), folder, like=source, precision="bf16")
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_pruning_keeps_what_kept_words_are_made_of(base):
    tokenizer = json.loads((base / "tokenizer.json").read_text())
    ids = tokenizer["model"]["vocab"]
    small = prune(
        tokenizer, Counter({ids["self"]: 9, ids["def"]: 1}), 256 + 3 + 1, ["<|endoftext|>"]
    )
    kept = small.tokenizer["model"]["vocab"]
    assert {"se", "sel", "self"} <= set(kept)
    assert "de" not in kept  # no room for all that "def" needs
    assert small.old_ids[kept["self"]] == ids["self"]
    made = Tokenizer.from_str(json.dumps(small.tokenizer))
    assert made.encode("self").ids == [kept["self"]]
    assert made.decode(made.encode("def x: ünï").ids) == "def x: ünï"


def test_a_folder_converts_and_the_engine_reads_it(base, corpus, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["convert", base, out, "--corpus", corpus, "--vocabulary", "268"]
    assert main(list(map(str, words))) == 0
    assert "267 of 263" in capsys.readouterr().out
    config = json.loads((out / "config.json").read_text())
    assert config["diffusion"]["mask_token_id"] == 265
    assert config["vocab_size"] == 320
    loaded, before = files.load(out), files.load(base)
    assert torch.equal(loaded.layers[0].qkv.weight, before.layers[0].qkv.weight)
    tokenizer = Tokenizer.from_file(str(out / "tokenizer.json"))
    old = Tokenizer.from_file(str(base / "tokenizer.json"))
    new_id, old_id = tokenizer.encode("x").ids[0], old.encode("x").ids[0]
    assert torch.equal(loaded.embedding.weight[new_id], before.embedding.weight[old_id])
    assert tokenizer.decode(tokenizer.encode(PYTHON).ids) == PYTHON
    assert Checkpoint.open(out).has("model.norm.weight")


def test_other_architectures_and_paths_are_refused_in_a_sentence(base, tmp_path, capsys):
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "model_type": "mamba"}))
    for path in (base, tmp_path / "nothing.gguf"):
        assert main(["convert", str(path), str(tmp_path / "o"), "--corpus", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "'mamba' is not supported" in said
    assert "neither a folder" in said


def test_a_gguf_file_gives_the_same_weights_as_its_folder(base, tmp_path):
    gguf = pytest.importorskip("gguf")
    folder = bases.read(base)
    config, vocabulary = folder.config, folder.tokenizer["model"]["vocab"]
    path = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(str(path), "qwen2")
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_context_length(config["max_position_embeddings"])
    tokens = [*sorted(vocabulary, key=vocabulary.get), "<|endoftext|>"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * len(vocabulary) + [3])
    writer.add_token_merges([" ".join(m) for m in MERGES])
    backwards = {v: k for k, v in bases._GGUF_LAYER.items()}
    for name, tensor in folder.tensors.items():
        if ".layers." in name:
            _, _, layer, rest = name.split(".", 3)
            name = f"blk.{layer}.{backwards[rest]}"  # noqa: PLW2901
        known = {
            "model.embed_tokens.weight": "token_embd.weight",
            "model.norm.weight": "output_norm.weight",
        }
        writer.add_tensor(known.get(name, name), tensor.float().numpy().astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    read = bases.read(path)
    assert read.tensors.keys() == folder.tensors.keys()
    for name, tensor in folder.tensors.items():
        assert torch.equal(read.tensors[name], tensor.float()), name
    assert read.tokenizer["model"]["vocab"] == vocabulary
    assert read.config["num_key_value_heads"] == config["num_key_value_heads"]


def test_a_mean_goes_part_of_the_way_to_what_it_was_converted_from(base, corpus, tmp_path, capsys):
    start, away, back, whole = (tmp_path / name for name in ("start", "away", "back", "whole"))
    words = ["convert", base, start, "--corpus", corpus, "--vocabulary", "268"]
    assert main(list(map(str, words))) == 0
    network = files.load(start)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1)
    files.save(network, away, like=start, precision="bf16")
    there, here = files.load(away), files.load(start)

    def mean(*words):
        return main(["mean", *map(str, words), "--precision", "bf16"])

    for other, out in ((base, back), (start, whole)):
        assert mean(away, other, out, "--share", 0.25) == 0
        moved = files.load(out)
        wanted = there.layers[0].qkv.weight.lerp(here.layers[0].qkv.weight, 0.25)
        torch.testing.assert_close(moved.layers[0].qkv.weight, wanted, atol=1e-2, rtol=1e-2)
    moved = files.load(back)
    tokens = Tokenizer.from_file(str(start / "tokenizer.json"))
    word, mark = tokens.token_to_id("x"), tokens.token_to_id("<|fim_pad|>")
    there_rows, here_rows, moved_rows = (n.embedding.weight for n in (there, here, moved))
    wanted = there_rows[word].lerp(here_rows[word], 0.25)
    torch.testing.assert_close(moved_rows[word], wanted, atol=1e-2, rtol=1e-2)
    assert torch.equal(moved_rows[mark], there_rows[mark])  # the base has no such mark

    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {"model_type": "gpt2"}))
    assert mean(away, base, tmp_path / "no") == 1
    assert "not supported" in capsys.readouterr().err
