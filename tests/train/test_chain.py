"""What a guess says of the next one: which rows learn it, that they do, what is done with it."""

import shutil

import pytest
import torch

from midfill_engine.deadline import Deadline, StopToken
from midfill_engine.decode.chained import chained
from midfill_engine.errors import CorruptCheckpoint
from midfill_engine.fill.filler import Filler
from midfill_engine.models.chain import Chain as Loaded
from midfill_engine.models.decoder import Embedding
from midfill_engine.models.weights import StoredWeight
from midfill_engine.settings import EngineSettings
from midfill_engine.wire import FillRequest
from midfill_train.commands import main
from midfill_train.data.pack import PackedBatches
from midfill_train.learn.chain import REACHED, Run, drafting, fit
from midfill_train.learn.schedule import Schedule
from midfill_train.learn.workers import Workers
from midfill_train.model import files
from midfill_train.model.chain import Chain, save_chain

MASK, CLEAN = 9, 0


def test_rows_learn_behind_the_first_of_a_block_in_which_all_is_masked():
    ids = torch.tensor([[1, 2, 3, MASK, MASK, MASK, MASK, MASK, 4, MASK, MASK, MASK, 0, 0]])
    block = torch.tensor([[0, 0, 0, 1, 1, 1, 2, 2, 2, 1, 1, 1, 0, 0]])
    segment = torch.tensor([[0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, -1, -1]])
    teacher = torch.tensor([[-1, -1, -1, 0, 1, 2, 0, 1, 2, 1, 1, -1, -1, -1]])
    batch = {"ids": ids, "block": block, "segment": segment, "teacher": teacher}
    expected = [0, 0, 0, 0, 1, REACHED, 0, 0, 0, 0, 1, 0, 0, 0]
    assert drafting(batch, MASK)[0].tolist() == pytest.approx(expected)


def loaded(chain: Chain, table: torch.Tensor) -> Loaded:
    embedding = Embedding(StoredWeight(table), torch.float32, torch.device("cpu"))
    weights = (chain.hidden.weight, chain.hidden.bias, chain.token.weight, chain.out.weight)
    return Loaded(embedding, *(w.detach() for w in weights))


def test_the_engine_adds_what_was_trained():
    torch.manual_seed(0)
    chain, table = Chain(32, 8), torch.randn(20, 32)
    torch.nn.init.normal_(chain.out.weight)
    rows = torch.randn(3, 32)
    before, candidates = torch.randint(20, (3, 2)), torch.randint(20, (3, 5))
    added = loaded(chain, table).added(rows, before, candidates)
    for n in range(3):
        for place, token in enumerate(before[n]):
            moved = chain(rows[n : n + 1], table[token][None]) - rows[n]
            expected = (moved @ table.T)[0, candidates[n]]
            torch.testing.assert_close(added[n, place], expected, rtol=1e-4, atol=1e-4)


def test_guesses_fit_together_where_each_alone_would_not():
    """Two masks are torn between two pairs; what the first guesses decides the second."""
    chain, table = Chain(32, 8), torch.eye(32)[:12]
    one = loaded(chain, table)
    logits = torch.zeros(2, 12)
    logits[0, 3], logits[0, 4] = 5.0, 4.9  # pairs are 3, 6 and 4, 7
    logits[1, 6], logits[1, 7] = 4.9, 5.0
    rows = torch.zeros(2, 32)
    first = torch.zeros(1, dtype=torch.long)
    alone = chained(one.pairs(logits, rows, first))
    assert [guess.token for guess in alone] == [3, 7]
    likely = logits.softmax(-1).amax(-1).tolist()
    assert [guess.confidence for guess in alone] == pytest.approx(likely)

    def pairs(rows, before, candidates):
        fits = (before[..., None] == 3) & (candidates[:, None] == 6)
        return 2.0 * fits

    class Fitting(Loaded):
        added = staticmethod(pairs)

    other = Fitting(*(getattr(one, name) for name in Loaded.__slots__))
    fitting = chained(other.pairs(logits, rows, first))
    assert [guess.token for guess in fitting] == [3, 6]
    assert fitting[1].confidence > alone[1].confidence


def test_a_chain_learns_what_causal_rows_say(corpus, checkpoint, marks):
    torch.manual_seed(0)
    network = files.load(checkpoint)
    chain, lines = Chain(network.shape.hidden, 32), []
    stream = PackedBatches(corpus, checkpoint, rows=1, length=800, seed=4)
    run = Run(Schedule(1e-2), steps=30, chunk=256, log_every=5)
    before = network.embedding.weight.clone()
    fit(network, chain, iter(stream), run, Workers.join(), mask=marks.mask, say=lines.append)
    losses = [float(line.split("loss ")[1].split()[0]) for line in lines]
    assert losses[-1] < losses[0]
    said = lines[-1].split()
    assert float(said[-1]) > float(said[-3])  # agrees more often than the masks alone
    assert torch.equal(network.embedding.weight, before)


@pytest.fixture(scope="module")
def chained_checkpoint(corpus, checkpoint, tmp_path_factory):
    folder = tmp_path_factory.mktemp("chained") / "model"
    shutil.copytree(checkpoint, folder)
    words = ["chain", "--checkpoint", folder, "--corpus", corpus, "--steps", "2", "--rank", "16"]
    sizes = ["--rows", "1", "--length", "800", "--chunk", "256", "--loaders", "0"]
    assert main([*map(str, words), *sizes]) == 0
    chain = Chain(64, 16)
    torch.nn.init.normal_(chain.out.weight)  # so that it moves much
    save_chain(chain, folder)
    return folder


def test_answers_are_the_same_with_a_chain(chained_checkpoint, checkpoint, monkeypatch):
    guesses = []

    def watched(*args):
        guesses.append(chained(*args))
        return guesses[-1]

    monkeypatch.setattr("midfill_engine.fill.run.chained", watched)

    def fills(folder):
        filler = Filler.load(EngineSettings(model=str(folder), device="cpu", precision="float32"))
        for strategy in ("balanced", "quality"):
            for text in ("def f(a):\n    return ", "x = [", "for a in b:\n"):
                request = FillRequest(text, "\n", max_tokens=24, strategy=strategy, session=text)
                yield filler.fill(request, deadline=Deadline.after_ms(None), stop=StopToken())

    pairs = list(zip(fills(chained_checkpoint), fills(checkpoint), strict=True))
    assert all(a.middles[0].text == b.middles[0].text for a, b in pairs)
    assert guesses


def test_a_chain_goes_with_its_checkpoint(chained_checkpoint, corpus, tmp_path):
    assert "chain.safetensors" in (chained_checkpoint / "SHA256SUMS").read_text()
    out = tmp_path / "adapter"
    words = ["run", "--checkpoint", chained_checkpoint, "--corpus", corpus, "--out", out]
    sizes = ["--steps", "1", "--rank", "2", "--rows", "1", "--length", "800", "--chunk", "256"]
    assert main([*map(str, words), *sizes, "--loaders", "0", "--save-at"]) == 0
    less = tmp_path / "less"
    assert (
        main(["mean", str(out / "end"), str(chained_checkpoint), str(less), "--share", "0.5"]) == 0
    )
    for folder in (out / "end", less):
        names = {path.name for path in folder.glob("*.safetensors")}
        assert names == {"adapter_model.safetensors", "chain.safetensors"}
        filler = Filler.load(EngineSettings(model=str(folder), device="cpu", precision="float32"))
        assert filler._decoder.chain is not None


@pytest.mark.parametrize("damage", ["cut", "other"])
def test_a_chain_that_does_not_fit_is_named(chained_checkpoint, tmp_path, damage):
    folder = tmp_path / "model"
    shutil.copytree(chained_checkpoint, folder)
    if damage == "cut":
        file = folder / "chain.safetensors"
        file.write_bytes(file.read_bytes()[:100])
    else:
        save_chain(Chain(32, 16), folder)
    with pytest.raises(CorruptCheckpoint, match=r"chain\.safetensors"):
        Filler.load(EngineSettings(model=str(folder), device="cpu", precision="float32"))
