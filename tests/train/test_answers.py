"""A checkpoint's own answers: decoded, graded, kept, and learned from."""

import random
from itertools import islice
from pathlib import Path

import pytest
import torch

from midfill_engine.fill.search import LENGTH
from midfill_engine.wire import MidfillError
from midfill_train.answers.branch import Branches
from midfill_train.answers.cost import Costs
from midfill_train.answers.tested import Program
from midfill_train.commands import main
from midfill_train.corpus.spans import spans
from midfill_train.corpus.store import Document
from midfill_train.corpus.store import write as write_corpus
from midfill_train.data.answered import Answered, Store, write
from midfill_train.data.cuts import Cut
from midfill_train.data.pack import Mixture, PackedBatches, pack
from midfill_train.data.rows import build
from midfill_train.evaluate.decode import Decoder, Reading
from midfill_train.learn.loop import Run, Trainer
from midfill_train.learn.risk import SHARPNESS, risk
from midfill_train.learn.schedule import Schedule
from midfill_train.learn.workers import Workers
from midfill_train.model import files
from midfill_train.model.attention import build_mask

EOM = 256
CUTS = [
    Answered(
        [259, *b"fix", 257, *b"pre"],
        [[*b"one", EOM], [*b"oneness", EOM], [*b"two"]],
        [0, 0.75, 1.25],
    ),
    Answered([259, 257, *b"x = "], [[*b"1", EOM], [EOM]], [0, 1.25]),
]


@pytest.fixture(scope="module")
def network(checkpoint):
    return files.load(checkpoint).eval()


def packed(marks, *cuts):
    rng = random.Random(0)
    rows = [
        build(
            rng,
            marks,
            one.context,
            one.answers[0][:-1],
            block_size=32,
            answers=list(zip(one.answers, one.costs, strict=True)),
        )
        for one in cuts
    ]
    return pack(iter(rows * 100), 1, sum(map(len, rows)))


@torch.no_grad()
def said(network, context, answer):
    """The logarithm of an answer's probability, read by itself."""
    ids = torch.tensor([[*context, *answer]])
    size = ids.shape[1]
    mask = torch.ones(size, size, dtype=torch.bool).tril()[None, None]
    hidden = network(ids, torch.arange(size)[None], mask, torch.float32)[0]
    log_p = (hidden @ network.embedding.weight.T).log_softmax(-1)
    rows = range(len(context) - 1, size - 1)
    return sum(log_p[row, token].item() for row, token in zip(rows, answer, strict=True))


@pytest.mark.parametrize("chunk", [16, 4096])
def test_the_risk_is_the_mean_cost_of_answers_read_by_themselves(network, marks, chunk):
    batch = packed(marks, *CUTS)
    with torch.no_grad():
        hidden = network(batch["ids"], batch["position"], build_mask(batch), torch.float32)
        got = risk(hidden, network.embedding.weight, batch, chunk)
    expected = []
    for one in CUTS:
        scores = [
            SHARPNESS * said(network, one.context, answer) / len(answer) ** LENGTH
            for answer in one.answers
        ]
        chances = torch.tensor(scores).softmax(0)
        expected.append(float((chances * torch.tensor(one.costs)).sum()))
    assert float(got) == pytest.approx(sum(expected) / 2, rel=1e-4)


def test_without_answers_there_is_no_risk(network, corpus, checkpoint):
    batch = next(iter(PackedBatches(corpus, checkpoint, rows=1, length=600, seed=1)))
    assert float(risk(torch.ones(1, 600, 64), network.embedding.weight, batch, 64)) == 0


def decoder_of(network, budget=12):
    return Decoder(
        network, mask=260, eom=EOM, forbidden=range(257, 263), vocabulary=263, budget=budget
    )


def branches(network, *, budget=12, ways=4):
    return Branches(decoder_of(network, budget), ways)


def test_the_first_answer_is_greedy_and_others_branch_off_it(network):
    contexts = [[259, 257, *b"def f("], [259, *b"\nlong suffix", 257, *b"return"]]
    decoder = decoder_of(network)
    greedy = decoder.decode(contexts, Reading("causal"))
    for context, answers, one in zip(
        contexts, branches(network).answer(contexts), greedy, strict=True
    ):
        assert answers[0] == [*one.tokens, EOM][:12] if one.ended else answers[0] == one.tokens
        assert len(answers) == 5
        assert len({tuple(answer) for answer in answers}) == 5
        for answer in answers[1:]:
            assert len(answer) <= 12
            assert EOM not in answer[:-1]
            same = [a == b for a, b in zip(answer, answers[0], strict=False)].index(False)
            if answer[same] != EOM:  # from the token that differs on it is greedy again
                front = [*context, *answer[: same + 1]]
                behind = decoder.decode([front], Reading("causal"))[0].tokens
                assert answer[same + 1 :] == [*behind, EOM][: 12 - same - 1]


def test_the_most_probable_other_beginnings_are_followed(network):
    context = [259, 257, *b"if "]
    answers = branches(network, budget=1, ways=3).answer([context])[0]
    chances = sorted((said(network, context, [t]), t) for t in range(257))[::-1]
    assert [a[0] for a in answers] == [t for _, t in chances[:4]]


def test_what_is_stored_comes_back(tmp_path):
    write(tmp_path, CUTS)
    kept = Store(tmp_path)
    assert [kept[0], kept[1]] == CUTS
    assert len(kept) == 2


def test_a_folder_without_answers_is_named(tmp_path, corpus, checkpoint, capsys):
    with pytest.raises(MidfillError, match="train answers"):
        Store(tmp_path / "none")
    words = ["--checkpoint", checkpoint, "--corpus", corpus, "--out", tmp_path / "o"]
    assert main(["run", *map(str, words), "--answers", str(tmp_path), "--loaders", "0"]) == 1
    assert "holds no answers" in capsys.readouterr().err


def test_costs_order_answers_by_what_they_would_do():
    def of(answer, ended=True):
        return Costs(Cut("", "f(a, ", "b)", "\ng(c)\n")).of(answer, ended=ended)

    assert of("b)") == 0
    assert 0.5 < of("c)") < of("something else)") < of("c")
    assert of("b)\ng(c)") > of("b)\nh(c)")
    assert of("") > of("c)")
    assert of("b)", ended=False) > 0.5


DOUBLE = Cut(
    "explained",
    'def double(x):\n    """Twice x.\n\n    >>> double(2)\n    4\n'
    '    >>> double(0)\n    0\n    """\n    ',
    "return 2 * x\n",
    "",
)


def test_what_passes_the_examples_costs_less_than_what_resembles(tmp_path):
    program = Program.of(DOUBLE)
    costs = Costs(DOUBLE, program)
    assert costs.of("return 2 * x\n", ended=True) == 0
    right = [costs.of(text, ended=True) for text in ("return x + x\n", "y = x\n    return x + y\n")]
    wrong = [costs.of(text, ended=True) for text in ("return 3 * x\n", "return 2 *", "import os\n")]
    assert max(right) < 0.5 < 1 < min(wrong)


@pytest.mark.parametrize(
    ("prefix", "middle", "suffix"),
    [
        ("x = ", "1", "\n"),  # no examples
        (DOUBLE.prefix.replace("4", "5"), DOUBLE.middle, ""),  # none that hold
        (DOUBLE.prefix + DOUBLE.middle, "# twice", "\n"),  # none that need the middle
        ("import os\n" + DOUBLE.prefix, DOUBLE.middle, ""),  # not harmless
        ("func double(x int) int {", " return 2 * x ", "}\n"),
    ],
)
def test_cuts_whose_examples_tell_nothing_are_not_tested(prefix, middle, suffix):
    assert Program.of(Cut("", prefix, middle, suffix)) is None


def test_the_command_tests_its_answers(checkpoint, tmp_path, capsys):
    text = (DOUBLE.prefix + DOUBLE.middle).encode()
    exercises = Document("double.py", "python", "written", text, spans(text, "python"))
    write_corpus(tmp_path / "exercises", [exercises])
    words = ["answers", "--checkpoint", checkpoint, "--corpus", tmp_path / "exercises"]
    sizes = ["--cuts", "4", "--batch", "4", "--loaders", "0", "--budget", "24", "--tested"]
    assert main([*map(str, words), "--out", str(tmp_path / "a"), *sizes]) == 0
    store = Store(tmp_path / "a")
    costs = [cost for i in range(len(store)) for cost in store[i].costs[1:]]
    assert costs
    assert min(costs) > 1  # a network of random weights passes no test


def test_without_testable_cuts_the_command_says_so(corpus, checkpoint, tmp_path, capsys):
    words = ["answers", "--checkpoint", checkpoint, "--corpus", corpus, "--out", tmp_path / "a"]
    sizes = ["--cuts", "4", "--loaders", "0", "--tested"]
    assert main([*map(str, words), *sizes]) == 1
    assert "doctests" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()


def test_the_command_answers(corpus, checkpoint, tmp_path, capsys):
    words = ["answers", "--checkpoint", checkpoint, "--corpus", corpus, "--out", tmp_path / "a"]
    sizes = ["--cuts", "24", "--batch", "12", "--loaders", "0", "--budget", "16"]
    assert main([*map(str, words), *sizes]) == 0
    store = Store(tmp_path / "a")
    assert len(store) == 24
    assert "24 cuts" in capsys.readouterr().out
    for i in range(len(store)):
        one = store[i]
        assert one.costs[0] == 0
        assert all(cost > 0 for cost in one.costs[1:])
        assert len({tuple(answer) for answer in one.answers}) == len(one.answers)


def test_training_prefers_what_costs_less(corpus, checkpoint, marks, tmp_path):
    write(tmp_path, CUTS)
    source = PackedBatches(
        corpus, checkpoint, rows=1, length=1500, seed=3, mixture=Mixture(answers=(tmp_path,))
    )
    lines: list[str] = []
    run = Run(Schedule(3e-3, rounding=1), steps=16, chunk=512, risk=8, log_every=4)
    network = files.load(checkpoint)
    with torch.no_grad():  # as surely as it is made it prefers for ever
        network.embedding.weight.mul_(0.1)
    trainer = Trainer(network, run, Workers.join(), eom=marks.eom)
    trainer.fit(iter(list(islice(source, 2)) * 8), say=lines.append)
    costs = [float(line.split("cost ")[1].split()[0]) for line in lines]
    assert costs[-1] < 0.7 * costs[0]


def test_a_run_takes_answers(corpus, checkpoint, tmp_path, capsys):
    write(tmp_path / "a", CUTS)
    words = ["run", "--checkpoint", checkpoint, "--corpus", corpus, "--out", tmp_path / "o"]
    sizes = ["--steps", "1", "--rows", "1", "--length", "800", "--chunk", "256", "--loaders", "0"]
    answers = ["--answers", str(Path(tmp_path / "a")), "--log-every", "1"]
    assert main([*map(str, words), *sizes, *answers]) == 0
    assert "cost 0." in capsys.readouterr().out
