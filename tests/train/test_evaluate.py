"""Readings and scores."""

import json

import pytest
import torch

from midfill_train.commands import main
from midfill_train.corpus.store import Corpus
from midfill_train.evaluate import cuts_file, syntax
from midfill_train.evaluate.cached import CachedBatch
from midfill_train.evaluate.decode import Decoder, Reading
from midfill_train.evaluate.score import Scored, brackets, echoes, figures, similarity
from midfill_train.model import files, lora


@pytest.fixture(scope="module")
def network(checkpoint):
    return files.load(checkpoint).eval()


@pytest.fixture(scope="module")
def contexts():
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(0, 256, (n,), generator=generator).tolist() for n in (5, 9, 30)]


def test_cached_forwards_equal_the_packed_network(network, contexts):
    batch = CachedBatch(network, contexts, 16)
    for row, context in enumerate(contexts):
        size = len(context)
        mask = torch.ones(size, size, dtype=torch.bool).tril()[None, None]
        with torch.no_grad():
            hidden = network(torch.tensor([context]), torch.arange(size)[None], mask, torch.float32)
        torch.testing.assert_close(batch.last[row], hidden[0, -1], atol=1e-5, rtol=1e-4)


def decoder(network, marks, budget=24):
    forbidden = [marks.mask, marks.prefix, marks.suffix, marks.middle]
    return Decoder(
        network, mask=marks.mask, eom=marks.eom, forbidden=forbidden, vocabulary=263, budget=budget
    )


def test_self_speculation_writes_what_the_causal_reading_writes(network, marks, contexts):
    one = decoder(network, marks)
    causal = one.decode(contexts, Reading("causal"))
    for width in (4, 8):
        drafted = one.decode(contexts, Reading("speculative", width=width))
        for a, b in zip(causal, drafted, strict=True):
            assert a.tokens == b.tokens[: len(a.tokens)]
            assert b.forwards == 2 * b.passes


def test_diffusion_at_zero_takes_one_forward_a_block(network, marks, contexts):
    answers = decoder(network, marks).decode(contexts, Reading("diffusion", 0.0, 8))
    for answer in answers:
        assert marks.mask not in answer.tokens
        assert answer.forwards <= 2 * (len(answer.tokens) // 8 + 1)


def test_a_batch_answers_as_each_alone(network, marks, contexts):
    one = decoder(network, marks)
    together = one.decode(contexts, Reading("diffusion", 0.5, 8))
    assert [one.decode([c], Reading("diffusion", 0.5, 8))[0] for c in contexts] == together


def test_readings_are_named_in_one_word():
    assert Reading.parse("diffusion:0.7:16") == Reading("diffusion", 0.7, 16)
    assert Reading.parse("causal").kind == "causal"


def test_scores_tell_echoes_brackets_blanks_and_runaways():
    assert echoes("x = 1\nreturn x", "x = 1", "\n    return x\n")
    assert not echoes("x = 1", "x = 1", "\n    return x\n")
    assert brackets("f(a)) [") == (")", "[")
    assert similarity("abc", "abc") == 1.0
    answers = [
        Scored("", "f(a)", ")", "f(a)", 4, 2, 0, True),
        Scored("", "f(a)", ")", "f(a", 3, 2, 0, True),
        Scored("", "f(a)", ")", " ", 1, 1, 0, False),
    ]
    shown = figures(answers)
    assert (shown.cuts, shown.exact) == (3, pytest.approx(1 / 3))
    assert shown.other_brackets == pytest.approx(1 / 3)
    assert shown.blank == shown.runs_away == pytest.approx(1 / 3)
    assert shown.tokens_per_forward == pytest.approx((8 + 2) / (5 + 3))


#: Of each language: prefix, true middle, an answer with a closer too many, suffix.
GAPS = {
    "python": ("def f(a):\n    s = ')'  # (\n    return g(", "a", "a)", ")\n"),
    "typescript": ("const f = (a: number) => {\n  // (\n  return g(", "a", "a)", ");\n};\n"),
    "javascript": ("function f(a) {\n  const s = '(';\n  g(", "a", "a)", ");\n}\n"),
    "go": ('package p\n\nfunc f(a int) {\n\ts := "("\n\tg(', "a, s", "a, s)", ")\n}\n"),
    "rust": ("fn f(a: u8) {\n    let c = '(';\n    g(", "a", "a)", ");\n}\n"),
    "c": ("int f(int a) {\n    char c = '(';\n    return g(", "a", "a)", ");\n}\n"),
    "cpp": ('int f(int a) {\n    auto s = "(";\n    return g(', "a", "a)", ");\n}\n"),
    "java": ("class A {\n  int f(int a) {\n    char c = '('; return g(", "a", "a)", ");\n  }\n}\n"),
}


@pytest.mark.parametrize("language", GAPS)
def test_scores_tell_a_closer_too_many(language):
    prefix, truth, wrong, suffix = GAPS[language]
    for text, good in ((truth, True), (wrong, False)):
        assert syntax.unbalances(prefix, truth, text, suffix, language) is not good
        assert syntax.parses(prefix, text, suffix, language) is good
        assert syntax.duplicates_closer(text, truth, suffix) is not good
    answers = [Scored(prefix, truth, suffix, a, 1, 1, 0, True, language) for a in (truth, wrong)]
    shown = figures(answers)
    assert (shown.parses, shown.parses_of) == (0.5, 2)
    assert shown.unbalances == shown.duplicates_closer == 0.5


def test_what_the_truth_leaves_broken_counts_against_no_answer():
    broken = Scored("x = g(", "a", "\n", "b", 1, 1, 0, True, "python")
    shown = figures([broken])
    assert (shown.parses_of, shown.unbalances) == (0, 0.0)
    far = "x = (\n" + "y = 1\n" * 30
    assert syntax.parses("y = )\n" + "y = 1\n" * 30, "z = 1", "\n", "python")
    assert not syntax.unbalances("g(", "a", "b)", "\n", "python")
    assert not syntax.unbalances(far, "z = g(1)", "z = h(1)", "\n", "python")


def test_a_closer_that_takes_a_far_opener_unbalances():
    prefix = "int f() {\n" + "  g();\n" * 30
    suffix = "\n" + "  g();\n" * 30 + "}\n"
    assert syntax.unbalances(prefix, "h();", "h(); }", suffix, "c")
    assert not syntax.unbalances(prefix, "h();", "if (a) { h(); }", suffix, "c")


def test_a_closer_of_the_truth_is_no_duplicate():
    assert syntax.duplicates_closer('a"', "a", '")')
    assert not syntax.duplicates_closer("f(a)", "f(b)", ")")
    assert not syntax.duplicates_closer("a)", "a", " + b")


def test_the_command_measures_a_file_of_cuts(corpus, checkpoint, tmp_path, capsys):
    path = tmp_path / "cuts.jsonl"
    count = cuts_file.write(path, cuts_file.draw(Corpus(corpus), 2, seed=1))
    assert count == 2 * 4 * 2  # two languages, four groups
    words = ["eval", checkpoint, "--cuts", path, "--first", "4", "--out", tmp_path / "out.json"]
    assert main([*map(str, words), "--reading", "causal", "--reading", "diffusion:0.9:8"]) == 0
    tables = json.loads((tmp_path / "out.json").read_text())
    assert tables["causal"]["all"]["cuts"] == 4
    assert "diffusion:0.9:8: 4 cuts" in capsys.readouterr().out
    adapter = tmp_path / "adapter"  # of nothing: as drawn, it changes no answer
    network = files.load(checkpoint)
    lora.attach(network, rank=2, alpha=4.0)
    files.save_adapter(network, adapter, base=checkpoint)
    words = ["eval", adapter, *words[2:-1], tmp_path / "again.json", "--reading", "causal"]
    assert main(list(map(str, words))) == 0
    again = json.loads((tmp_path / "again.json").read_text())
    assert again["causal"] == tables["causal"]
