"""Adapters and `midfill train adapt`, tiny and on the CPU."""

import json
import shutil
from itertools import islice
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import save_file
from tests.engine.loaded import Model
from tests.train.samples import GO, PYTHON

from midfill_engine.deadline import Deadline, StopToken
from midfill_engine.errors import CheckpointError
from midfill_engine.fill.filler import Filler
from midfill_engine.models.locate import base_of
from midfill_engine.settings import EngineSettings
from midfill_engine.wire import FillRequest
from midfill_train import commands
from midfill_train.commands import main
from midfill_train.corpus.store import Corpus
from midfill_train.data.pack import PackedBatches
from midfill_train.learn.loop import Run, Trainer
from midfill_train.learn.schedule import Schedule
from midfill_train.learn.start import Adapters, Feed, start
from midfill_train.learn.workers import Workers
from midfill_train.model import files, lora, quantise
from midfill_train.model.attention import build_mask
from midfill_train.model.network import Network, Shape


def hidden(network, batch):
    with torch.no_grad():
        return network(batch["ids"], batch["position"], build_mask(batch), torch.float32)


def engine_hidden(folder):
    decoder = Model(folder).decoder
    return decoder.forward(torch.arange(9), decoder.new_cache(), 0)


def adapted(checkpoint, *, moved=False):
    network = files.load(checkpoint)
    lora.attach(network, rank=4, alpha=8.0)
    if moved:
        with torch.no_grad():
            for layer in lora.adapted(network):
                layer.b.normal_(std=0.05)
    return network


@pytest.fixture(scope="module")
def stream(corpus, checkpoint):
    return list(islice(PackedBatches(corpus, checkpoint, rows=1, length=800, seed=4), 24))


@pytest.fixture
def code(tmp_path):
    """A folder of code, with an environment and an archive in it that are not its own."""
    folder = tmp_path / "mine"
    for place in (folder, folder / ".venv", folder / "lib" / "site-packages"):
        place.mkdir(parents=True)
        (place / "a.py").write_text(PYTHON.replace("Counter", f"Counter{place.name.strip('.')}"))
    (folder / "b.go").write_text(GO + GO.partition("\n\n")[2].replace("Sum", "Total"))
    (folder / "other-1.0-py3-none-any.whl").write_bytes(b"no zip")
    return folder


def adapt(code, checkpoint, out, *more):
    words = ["adapt", "--from", checkpoint, "--files", code, "--out", out, "--length", 800]
    return main([*map(str, words), "--rows", "1", *map(str, more)])


def test_an_adapter_starts_as_nothing(checkpoint, stream):
    before, after = (
        hidden(files.load(checkpoint), stream[0]),
        hidden(adapted(checkpoint), stream[0]),
    )
    assert torch.equal(before, after)


def test_merged_weights_say_what_base_and_adapters_say(checkpoint, stream, tmp_path):
    network = adapted(checkpoint, moved=True)
    apart = hidden(network, stream[0])
    assert not torch.allclose(apart, hidden(files.load(checkpoint), stream[0]), atol=1e-2)
    for layer in lora.adapted(network):
        layer.fold()
    torch.testing.assert_close(hidden(network, stream[0]), apart, atol=1e-4, rtol=1e-4)


def test_a_checkpoint_holds_the_merged_weights(checkpoint, tmp_path):
    network = adapted(checkpoint, moved=True)
    files.save(network, tmp_path, like=checkpoint, precision="bf16")
    saved, layer = files.load(tmp_path).layers[1].down.weight, network.layers[1].down
    expected = layer.weight + 2.0 * layer.b @ layer.a
    torch.testing.assert_close(saved, expected, atol=2e-3, rtol=1e-2)
    assert not torch.allclose(saved, layer.weight, atol=2e-3, rtol=1e-2)


def test_the_rounding_sees_weight_and_adapter_as_one(checkpoint, stream):
    network = adapted(checkpoint, moved=True)
    base = [m.detach().clone() for m in quantise.matrices(network)]
    plain = files.load(checkpoint)
    for merged, layer in zip(
        (m for m in plain.modules() if isinstance(m, torch.nn.Linear)),
        lora.adapted(network),
        strict=True,
    ):
        with torch.no_grad():
            merged.weight.copy_(quantise.from_int4(*quantise.int4(layer.merged())))
    batch = stream[0]
    with quantise.rounded(network, [torch.empty_like(m) for m in base]):
        torch.testing.assert_close(hidden(network, batch), hidden(plain, batch))
        out = network(batch["ids"], batch["position"], build_mask(batch), torch.float32)
        out.square().sum().backward()
    assert all(map(torch.equal, quantise.matrices(network), base))
    # The gradient at the merged weight, brought to the factors, is theirs.
    out = plain(batch["ids"], batch["position"], build_mask(batch), torch.float32)
    out.square().sum().backward()
    layer, whole = network.layers[0].gate_up, plain.layers[0].gate_up.weight.grad
    torch.testing.assert_close(layer.a.grad, 2.0 * layer.b.T @ whole, atol=1e-2, rtol=1e-3)
    torch.testing.assert_close(layer.b.grad, 2.0 * whole @ layer.a.T, atol=1e-2, rtol=1e-3)


def test_training_moves_adapters_alone_and_lowers_the_loss(checkpoint, stream, marks):
    network, lines = adapted(checkpoint), []
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    run = Run(Schedule(2e-2, rounding=0.6), steps=24, chunk=512, log_every=8)
    trainer = Trainer(network, run, Workers.join(), eom=marks.eom)
    trainer.fit(iter(stream), say=lines.append)
    losses = [float(line.split("loss ")[1].split()[0]) for line in lines]
    assert losses[-1] < 0.95 * losses[0]
    for name, parameter in network.named_parameters():
        assert torch.equal(parameter, before[name]) != name.endswith((".a", ".b")), name
    kept = [p for group in trainer.optimiser.param_groups for p in group["params"]]
    assert sum(p.numel() for p in kept) == trainer.gradients.numel()
    assert len(kept) == 2 * len(lora.adapted(network))


@pytest.mark.parametrize("adapters", [Adapters(4, 8.0), None])
def test_a_resumed_run_ends_where_an_unbroken_one_does(corpus, checkpoint, tmp_path, adapters):
    run = Run(Schedule(3e-3, rounding=0.6), steps=6, chunk=512, save_at=(0.3,))
    states = [tmp_path / "a" / "state.pt", tmp_path / "b" / "state.pt"]

    def begin(state):
        feed = Feed(rows=1, length=800, loaders=0, seed=3)
        return start(checkpoint, corpus, run, feed, Workers.join(), adapters=adapters, state=state)

    unbroken, batches = begin(states[0])
    unbroken.fit(batches)

    broken, batches = begin(states[1])

    def stop(_share):
        broken.save_state(states[1])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken.fit(batches, on_save=stop)
    again, batches = begin(states[1])
    assert again.step == 3
    again.fit(batches)
    for one, other in zip(unbroken.network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_state_of_other_adapters_is_refused(checkpoint, marks, tmp_path):
    run = Run(Schedule(1e-3), steps=1)
    Trainer(adapted(checkpoint), run, Workers.join(), eom=marks.eom).save_state(tmp_path / "s.pt")
    other = Trainer(files.load(checkpoint), run, Workers.join(), eom=marks.eom)
    with pytest.raises(CheckpointError, match="other shapes"):
        other.load_state(tmp_path / "s.pt")


@pytest.mark.parametrize("damage", [b"", b"no state", None])
def test_a_damaged_state_is_refused(checkpoint, marks, tmp_path, damage):
    state = tmp_path / "s.pt"
    trainer = Trainer(
        adapted(checkpoint), Run(Schedule(1e-3), steps=1), Workers.join(), eom=marks.eom
    )
    trainer.save_state(state)
    state.write_bytes(state.read_bytes()[:5000] if damage is None else damage)
    with pytest.raises(CheckpointError, match="damaged"):
        trainer.load_state(state)


def test_an_adapter_says_what_the_merged_checkpoint_says(checkpoint, stream, tmp_path):
    network = adapted(checkpoint, moved=True)
    files.save(network, tmp_path / "merged", like=checkpoint, precision="bf16")
    files.save_adapter(network, tmp_path / "apart", base=checkpoint)
    config = json.loads((tmp_path / "apart" / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"]) == (4, 4)
    assert config["base_model_name_or_path"] == str(checkpoint)
    assert len(config["target_modules"]) == 7
    assert "adapter_model.safetensors" in (tmp_path / "apart" / "SHA256SUMS").read_text()
    again = hidden(files.load(tmp_path / "apart"), stream[0])
    torch.testing.assert_close(again, hidden(network, stream[0]), atol=0.02, rtol=0.02)
    loaded = [engine_hidden(tmp_path / name) for name in ("merged", "apart")]
    torch.testing.assert_close(*loaded, atol=0.05, rtol=0.05)
    assert not torch.allclose(loaded[1], engine_hidden(checkpoint), atol=0.2)


def test_an_adapter_trained_on_an_adapter_holds_both(checkpoint, stream, tmp_path):
    files.save_adapter(adapted(checkpoint, moved=True), tmp_path / "first", base=checkpoint)
    network = adapted(tmp_path / "first", moved=True)
    files.save_adapter(network, tmp_path / "second", base=tmp_path / "first")
    config = json.loads((tmp_path / "second" / "adapter_config.json").read_text())
    assert (config["r"], config["base_model_name_or_path"]) == (8, str(checkpoint))
    again = hidden(files.load(tmp_path / "second"), stream[0])
    torch.testing.assert_close(again, hidden(network, stream[0]), atol=0.02, rtol=0.02)
    assert not torch.allclose(again, hidden(files.load(tmp_path / "first"), stream[0]), atol=0.2)


def test_a_large_adapter_is_one_file_and_replaces_what_was_there(
    checkpoint, stream, tmp_path, monkeypatch
):
    network, out = adapted(checkpoint, moved=True), tmp_path / "out"
    monkeypatch.setattr(files, "SHARD", 9_000)
    files.save(network, out, like=checkpoint)
    assert len(list(out.glob("model-*.safetensors"))) > 1
    files.save_adapter(network, out, base=checkpoint)
    assert [path.name for path in out.glob("*.safetensors*")] == ["adapter_model.safetensors"]
    torch.testing.assert_close(
        hidden(files.load(out), stream[0]), hidden(network, stream[0]), atol=0.02, rtol=0.02
    )
    files.save(network, out, like=checkpoint)
    assert not (out / "adapter_config.json").exists()
    assert not (out / "adapter_model.safetensors").exists()


def test_an_adapter_names_its_base_so_that_it_is_found(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("MIDFILL_MODELS", str(checkpoint.parent))
    network = adapted(checkpoint)
    for place in (tmp_path / "mine", tmp_path / "other" / checkpoint.name):
        files.save_adapter(network, place, base=checkpoint)
        assert base_of(place) == checkpoint.resolve()
    shutil.copytree(checkpoint, tmp_path / checkpoint.name)  # another of that name beside it
    files.save_adapter(network, tmp_path / "mine", base=checkpoint)
    assert base_of(tmp_path / "mine") == checkpoint.resolve()


def test_notices_are_those_of_what_was_trained_on(checkpoint, tmp_path):
    files.save_adapter(adapted(checkpoint), tmp_path / "first", base=checkpoint)
    (tmp_path / "first" / "NOTICE").write_text("Whose the first is.")
    network = adapted(tmp_path / "first")
    files.save_adapter(network, tmp_path / "second", base=tmp_path / "first")
    files.save(network, tmp_path / "whole", like=tmp_path / "first")
    for name in ("second", "whole"):
        assert (tmp_path / name / "NOTICE").read_text() == "Whose the first is."


@pytest.mark.parametrize(
    "more",
    [[], ["--precision", "int4"], ["--precision", "int8"], ["--precision", "bf16", "--full"]],
)
def test_one_command_gives_a_checkpoint_that_the_engine_answers_with(
    code, checkpoint, tmp_path, capsys, more
):
    licensed, out = tmp_path / "base", tmp_path / "out"
    shutil.copytree(checkpoint, licensed)
    (licensed / "NOTICE").write_text("Whose this is.")
    assert adapt(code, licensed, out, "--steps", 2, *more) == 0
    said = capsys.readouterr().out
    assert "learning from 2 files (go 1, python 1)" in said  # its own alone
    assert ("all weights" if "--full" in more else "adapters of rank 16") in said
    assert (out / "NOTICE").read_text() == "Whose this is."
    assert "changed" in (out / "README.md").read_text()
    sums = (out / "SHA256SUMS").read_text()
    if more:
        assert "model-00001-of-00001.safetensors" in sums
        config = json.loads((out / "config.json").read_text())
        assert config["diffusion"]["token_editing"]
    else:
        assert "adapter_model.safetensors" in sums
        assert not (out / "config.json").exists()
    assert not (tmp_path / "out.part").exists()
    filler = Filler.load(EngineSettings(model=str(out), device="cpu"))
    request = FillRequest(prefix="def f(", suffix="):\n    pass\n", max_tokens=8)
    fill = filler.fill(request, deadline=Deadline.after_ms(60_000), stop=StopToken())
    assert fill.middles


def test_an_interrupted_command_goes_on(code, checkpoint, tmp_path, capsys, monkeypatch):
    """The folder may change meanwhile: what was cut from it stays."""
    plain, out = tmp_path / "plain", tmp_path / "out"
    assert adapt(code, checkpoint, plain, "--steps", 4) == 0
    whole = Trainer.save_state

    def stop(trainer, path):
        whole(trainer, path)
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "save_state", stop)
    assert adapt(code, checkpoint, out, "--steps", 4) == 130
    assert "--resume goes on" in capsys.readouterr().out
    monkeypatch.undo()
    assert len(Corpus(tmp_path / "out.part" / "corpus" / "train")) == 2
    (code / "b.go").unlink()
    assert adapt(code, checkpoint, out, "--steps", 4, "--resume") == 0
    for name, tensor in files.tensors(plain).items():
        assert torch.equal(files.tensors(out)[name], tensor), name


def test_run_trains_adapters_too(corpus, checkpoint, tmp_path):
    words = ["run", "--checkpoint", checkpoint, "--corpus", corpus, "--out", tmp_path]
    sizes = ["--rows", 1, "--length", 800, "--loaders", 0, "--steps", 2, "--rank", 2]
    large = ["--rate", 0.1, "--save-at"]
    assert main([*map(str, words), *map(str, sizes), *map(str, large)]) == 0
    assert (tmp_path / "end" / "adapter_config.json").exists()
    first, base = files.load(tmp_path / "end"), files.load(checkpoint)
    assert torch.equal(first.embedding.weight, base.embedding.weight)
    assert not torch.equal(first.layers[0].down.weight, base.layers[0].down.weight)


def test_an_adapter_is_trained_further_at_its_own_rank(corpus, checkpoint, tmp_path, capsys):
    def run(*words):
        sizes = ("--rows", 1, "--length", 800, "--loaders", 0, "--steps", 2, "--save-at")
        return main(["run", *map(str, ("--corpus", corpus, *words, *sizes))])

    first, second = tmp_path / "first", tmp_path / "second"
    begin = ("--checkpoint", checkpoint, "--out", first, "--rank", 2, "--rate", 0.1)
    go_on = ("--checkpoint", first / "end", "--out", second, "--further")
    assert run(*begin) == 0
    assert run(*go_on, "--rate", 0) == 0
    config = json.loads((second / "end" / "adapter_config.json").read_text())
    assert (config["r"], config["base_model_name_or_path"]) == (2, str(checkpoint))
    before, same = files.tensors(first / "end"), files.tensors(second / "end")
    assert all(before[name].equal(same[name]) for name in before)
    assert run(*go_on, "--rate", 0.1) == 0
    moved = files.tensors(second / "end")
    assert not any(before[name].equal(moved[name]) for name in before)

    assert run("--checkpoint", checkpoint, "--out", second, "--further") == 1
    assert "is no adapter" in capsys.readouterr().err
    key = next(name for name in before if "k_proj.lora_A" in name)
    save_file({**before, key: before[key] + 1}, first / "end" / "adapter_model.safetensors")
    assert run(*go_on) == 1
    assert "share no half A" in capsys.readouterr().err


def test_an_adapter_can_be_gone_on_from_and_merged(code, checkpoint, tmp_path):
    first, second, merged = (tmp_path / name for name in ("first", "second", "merged"))
    assert adapt(code, checkpoint, first, "--steps", 2) == 0
    assert adapt(code, first, second, "--steps", 2) == 0
    assert json.loads((second / "adapter_config.json").read_text())["r"] == 32
    assert main(["export", str(first), str(merged), "--precision", "bf16"]) == 0
    apart, whole = files.load(first), files.load(merged)
    for one, other in zip(apart.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-2, rtol=1e-2)
    assert adapt(code, merged, tmp_path / "third", "--steps", 1) == 0


def test_the_mean_of_an_adapter_and_its_base_adds_less(code, checkpoint, tmp_path, capsys):
    whole, half, other = (tmp_path / name for name in ("whole", "half", "other"))
    assert adapt(code, checkpoint, whole, "--steps", 2) == 0
    assert main(["mean", str(whole), str(checkpoint), str(half), "--share", "0.5"]) == 0
    plain, full, less = (files.load(path) for path in (checkpoint, whole, half))
    for a, b, c in zip(*(n.parameters() for n in (plain, full, less)), strict=True):
        torch.testing.assert_close(c, a.lerp(b, 0.5))
    assert not torch.equal(plain.layers[0].down.weight, less.layers[0].down.weight)
    named = json.loads((half / "adapter_config.json").read_text())["base_model_name_or_path"]
    assert named == str(checkpoint)

    config = json.loads((checkpoint / "config.json").read_text())
    shutil.copytree(checkpoint, other)
    smaller = Network(Shape.from_config(config | {"num_hidden_layers": 1}))
    files.save(smaller, other, like=checkpoint)
    (other / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 1}))
    assert main(["mean", str(whole), str(other), str(tmp_path / "no")]) == 1
    assert "different shapes" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()


def test_every_step_can_be_called(capsys):
    for step in commands.STEPS:
        with pytest.raises(SystemExit) as end:
            main([step, "--help"])
        assert end.value.code == 0
    here = Path(commands.__file__).parent
    assert {path.stem for path in here.glob("*.py")} - {"__init__"} == set(commands.STEPS)


def test_what_cannot_be_adapted_is_refused_in_a_sentence(
    code, checkpoint, tmp_path, capsys, monkeypatch
):
    empty, foreign, broken = tmp_path / "empty", tmp_path / "foreign", tmp_path / "broken"
    empty.mkdir()
    (empty / "notes.txt").write_text("no code\n" * 99)
    foreign.mkdir()
    (foreign / "config.json").write_text('{"model_type": "llada"}')
    shutil.copytree(checkpoint, broken)
    weights = broken / "model-00001-of-00001.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])
    out = tmp_path / "out"

    def refused(*words):
        assert adapt(*words, "--steps", 1) == 1
        assert not out.exists()
        return capsys.readouterr().err

    assert "no code to learn from" in refused(empty, checkpoint, out)
    assert not (tmp_path / "out.part").exists()
    assert "is not a folder" in refused(tmp_path / "nowhere", checkpoint, out)
    assert "no model 'unheard-of'" in refused(code, "unheard-of", out)
    assert "not a Midfill checkpoint" in refused(code, foreign, out)
    assert "damaged or not complete" in refused(code, broken, out)
    assert "trains no adapter" in refused(code, checkpoint, out, "--full", "--precision", "adapter")
    assert adapt(code, checkpoint, foreign) == 1
    assert "exists" in capsys.readouterr().err
    foreign_part = tmp_path / "out.part"
    shutil.rmtree(foreign_part)  # the corpus of the damaged checkpoint's run
    foreign_part.mkdir()
    (foreign_part / "mine.txt").write_text("kept")
    assert "in the way" in refused(code, checkpoint, out)
    assert (foreign_part / "mine.txt").exists()
    little = psutil.virtual_memory()._replace(available=1000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: little)
    assert "0.0 GB of memory free" in refused(code, checkpoint, out, "--full")
