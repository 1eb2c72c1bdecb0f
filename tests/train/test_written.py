"""Exercises that a chat model writes: what is asked, how it is sampled, and what is kept."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import Qwen2Config, Qwen2ForCausalLM

from midfill_engine.wire import MidfillError
from midfill_train.commands import write
from midfill_train.written import ask
from midfill_train.written.sample import Sampler
from midfill_train.written.tidy import brief, restyled, tidy

GOOD = '''def double(n: int) -> int:
    """Twice a number.

    >>> double(2)
    4
    >>> double(5)
    11
    >>> double(0)
    0
    """
    result = n + n
    return result


# Example usage
print(double(3))
'''


def test_wrong_examples_are_corrected_and_tails_dropped() -> None:
    kept = tidy(GOOD, "python")
    assert kept is not None
    assert ">>> double(5)\n    10\n" in kept
    assert kept.endswith("    return result\n")


@pytest.mark.parametrize(
    "text",
    [
        None,
        "def broken(:\n    pass\n",
        GOOD.replace("4\n", "5\n"),  # most examples are wrong
        GOOD.replace(">>> ", ""),
        GOOD.replace("    result = n + n\n    return result\n", ""),
        f"import subprocess\n{GOOD}",
    ],
)
def test_what_is_no_exercise_is_dropped(text: str | None) -> None:
    assert tidy(text, "python") is None


def test_other_languages_have_to_parse() -> None:
    text = "// Twice a number.\nfunction double(n) {\n  const m = n;\n  return m + n;\n}\n"
    assert tidy(text, "javascript") == text
    assert tidy(text.replace("{\n", "\n"), "javascript") is None


def test_examples_in_another_style() -> None:
    kept = tidy(GOOD, "python")
    assert kept is not None
    other = restyled(kept, random.Random(1))
    assert other is not None
    assert ">>>" not in other
    assert "double(5)" in other
    compile(other, "other", "exec")


@pytest.mark.parametrize(
    ("body", "short"),
    [
        ('"""Twice."""\n    return n + n', True),
        ('"""Twice."""\n    m = n\n    return m + n', False),
        ("return (\n        n +\n        n\n    )", False),
    ],
)
def test_solutions_of_one_line_are_told_apart(body: str, short: bool) -> None:
    assert brief(f"import math\n\ndef double(n):\n    {body}\n") is short


class _Parrot:
    """Answers every question for Python with ``text``, others with nothing that ends."""

    def __init__(self, *texts: str) -> None:
        self._texts = texts or (GOOD,)

    def answer(self, prompts: list[str]) -> list[str | None]:
        return [
            self._texts[n % len(self._texts)] if prompt.endswith("```python\n") else None
            for n, prompt in enumerate(prompts)
        ]


def test_most_solutions_of_one_line_are_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = GOOD.replace("    result = n + n\n    return result\n", "    return n + n\n")
    texts = [short.replace("double", f"double_{n}") for n in range(60)]
    monkeypatch.setattr(write, "_sampler", lambda _: _Parrot(*texts))
    argv = ["--model", "none", "--out", str(tmp_path), "--minutes", "0"]
    assert write.main([*argv, "--batch", "60", "--processes", "2"]) == 0
    assert 2 <= len(list(tmp_path.rglob("*.py"))) <= 20


def test_files_are_written_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(write, "_sampler", lambda _: _Parrot())
    argv = ["--model", "none", "--out", str(tmp_path / "out"), "--minutes", "0"]
    argv += ["--batch", "20", "--processes", "1"]
    assert write.main(argv) == 0
    (path,) = (tmp_path / "out").rglob("*.py")
    assert path.name == "double.py"
    assert "double(5)" in path.read_text()
    assert "1 of 20 texts kept" in capsys.readouterr().out
    with pytest.raises(MidfillError, match="holds files already"):
        write.main(argv)


def test_questions_differ_and_show_the_form() -> None:
    rng = random.Random(0)
    asked = [ask.draw(rng, ["merge_rows"]) for _ in range(200)]
    assert len({one.prompt for one in asked}) > 190
    python = [one for one in asked if one.language == "python"]
    assert 100 < len(python) < 190
    assert all(one.prompt.endswith("```python\n") and ">>> " in one.prompt for one in python)
    assert any("`merge_rows`" in one.prompt for one in python)


def test_sampling_is_that_of_the_reference() -> None:
    """At a temperature near zero each token is the most probable one, whatever the padding."""
    torch.manual_seed(0)
    words = {f"w{i}": i for i in range(60)} | {"END": 60}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    config = Qwen2Config(
        vocab_size=61,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        initializer_range=0.4,
    )
    reference = Qwen2ForCausalLM(config).to(torch.bfloat16).eval()
    tensors = {n: t.clone() for n, t in reference.state_dict().items() if n != "lm_head.weight"}
    sampler = Sampler(
        config.to_dict() | {"head_dim": 8, "rope_theta": 10000.0},
        tensors,
        tokenizer,
        torch.device("cpu"),
        stop=["w1"],
        longest=8,
        temperature=1e-4,
    )
    prompts = ["w1 w2 w3", "w9 w8 w7 w6 w5 w4 w3 w2", "w5", "w7 w7"]
    texts = sampler.answer(prompts)
    assert any(texts)
    for prompt, text in zip(prompts, texts, strict=True):
        given, drawn = (tokenizer.encode(part).ids for part in (prompt, text or ""))
        logits = reference(torch.tensor([given + drawn])).logits[0, len(given) - 1 : -1].float()
        best = logits.max(-1).values
        assert torch.all(logits[torch.arange(len(drawn)), drawn] > best - 0.2)
