"""Rounding, files, loss and the loop, tiny and on the CPU."""

import json
from itertools import islice

import pytest
import torch
from torch.nn.attention.flex_attention import create_block_mask

from midfill_train.commands import main
from midfill_train.commands.run import trained
from midfill_train.data.pack import PackedBatches
from midfill_train.learn.loop import Run, Trainer
from midfill_train.learn.loss import TAUGHT, weighted_loss
from midfill_train.learn.schedule import Schedule
from midfill_train.learn.workers import Workers
from midfill_train.model import files, quantise
from midfill_train.model.attention import build_mask, rule


def batches(corpus, checkpoint, count=1, length=1200):
    return list(islice(PackedBatches(corpus, checkpoint, rows=1, length=length, seed=4), count))


def test_int4_keeps_the_extreme_and_stays_within_half_a_step():
    weight = torch.randn(8, 64)
    nibbles, scale = quantise.int4(weight)
    back = quantise.from_int4(nibbles, scale)
    step = scale.float().abs().repeat_interleave(32, 1)
    inside = (weight.sign() == -scale.float().repeat_interleave(32, 1).sign()) | (
        weight.abs() < 7.4 * step
    )
    assert ((back - weight).abs()[inside] <= 0.51 * step[inside]).all()
    assert torch.equal(quantise.from_int4(*quantise.int4(back)), back)


def test_int8_rows_come_back_within_half_a_step():
    weight = torch.randn(8, 64)
    values, scale = quantise.int8(weight)
    assert (
        (quantise.from_int8(values, scale) - weight).abs() <= 0.51 * scale.float()[:, None]
    ).all()


@pytest.mark.parametrize("precision", ["int4", "int8", "bf16"])
def test_a_saved_checkpoint_loads_as_it_was(checkpoint, tmp_path, precision):
    assert main(["export", str(checkpoint), str(tmp_path / "a"), "--precision", precision]) == 0
    first = files.load(tmp_path / "a")
    files.save(first, tmp_path / "b", like=tmp_path / "a", precision=precision)
    again = files.tensors(tmp_path / "b")
    for name, tensor in files.tensors(tmp_path / "a").items():
        assert torch.equal(again[name], tensor), name
    sums = (tmp_path / "b" / "SHA256SUMS").read_text()
    assert "tokenizer.json" in sums
    assert ("quantization" in json.loads((tmp_path / "b" / "config.json").read_text())) == (
        precision != "bf16"
    )


def test_gradients_reach_the_full_weights_through_the_rounding(checkpoint):
    network = files.load(checkpoint)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 1e-3)
    full = [p.detach().clone() for p in quantise.matrices(network)]
    with quantise.rounded(network, [torch.empty_like(p) for p in full]):
        seen = quantise.matrices(network)
        assert not torch.equal(seen[1], full[1])
        (seen[1] ** 2).sum().backward()
    assert all(map(torch.equal, quantise.matrices(network), full))
    assert quantise.matrices(network)[1].grad is not None


@pytest.mark.filterwarnings("ignore:flex_attention called")
def test_the_block_mask_and_the_dense_mask_say_the_same(corpus, checkpoint):
    batch = batches(corpus, checkpoint, length=512)[0]
    network = files.load(checkpoint)
    sparse = create_block_mask(rule(batch), 1, None, 512, 512, device="cpu")
    with torch.no_grad():
        dense = network(batch["ids"], batch["position"], build_mask(batch), torch.float32)
        flex = network(batch["ids"], batch["position"], sparse, torch.float32)
    real = batch["segment"] >= 0
    torch.testing.assert_close(flex[real], dense[real], atol=1e-4, rtol=1e-4)


def test_the_loss_is_a_weighted_mean_whatever_the_chunk(corpus, checkpoint, marks):
    batch = batches(corpus, checkpoint)[0]
    network = files.load(checkpoint)
    hidden = network(batch["ids"], batch["position"], build_mask(batch), torch.float32)
    head = network.embedding.weight
    logits = hidden.flatten(0, 1) @ head.T
    whole = torch.nn.functional.cross_entropy(
        logits, batch["labels"].flatten().long(), reduction="none"
    )
    length = batch["ids"].shape[1]
    for row, at in (batch["teacher"] >= 0).nonzero().tolist():
        index, teacher = row * length + at, row * length + int(batch["teacher"][row, at])
        soft = torch.nn.functional.cross_entropy(logits[index], logits[teacher].softmax(-1))
        whole[index] = (1 - TAUGHT) * whole[index] + TAUGHT * soft
    weight = batch["weight"].flatten()
    expected = (whole * weight).sum() / weight.sum()
    for chunk in (64, 4096):
        losses = weighted_loss(hidden, head, batch, eom=marks.eom, chunk=chunk)
        torch.testing.assert_close(losses.total, expected)


def test_training_learns_rounds_and_goes_on(corpus, checkpoint, marks, tmp_path):
    lines = []
    run = Run(Schedule(3e-3, rounding=0.6), steps=24, chunk=512, log_every=8)
    stream = batches(corpus, checkpoint, 24, 800)

    def trainer():
        return Trainer(files.load(checkpoint), run, Workers.join(), eom=marks.eom)

    first = trainer()
    first.fit(iter(stream), say=lines.append)
    losses = [float(line.split("loss ")[1].split()[0]) for line in lines]
    assert losses[-1] < 0.6 * losses[0]
    first.save_state(tmp_path / "state.pt")
    second = trainer()
    second.load_state(tmp_path / "state.pt")
    assert second.step == 24
    assert torch.equal(second.network.embedding.weight, first.network.embedding.weight)


def test_the_command_trains_and_writes_a_checkpoint(corpus, checkpoint, tmp_path, capsys, marks):
    words = [
        "run",
        "--checkpoint",
        checkpoint,
        "--corpus",
        corpus,
        "--out",
        tmp_path,
        "--steps",
        "2",
    ]
    sizes = ["--rows", "1", "--length", "800", "--chunk", "256", "--loaders", "0", "--save-at"]
    assert main([*map(str, words), *sizes]) == 0
    assert "saved" in capsys.readouterr().out
    config = json.loads((tmp_path / "end" / "config.json").read_text())
    assert config["diffusion"]["near_token_id"] == marks.near
    assert config["diffusion"]["trained_segments"] == trained(marks)["trained_segments"]
    assert files.load(tmp_path / "end").shape.layers == 2


def test_the_schedule_warms_up_and_falls():
    schedule = Schedule(1.0, warm_up=0.1, floor=0.1)
    assert schedule.rate(0) < 0.02
    assert schedule.rate(0.1) == pytest.approx(1.0)
    assert schedule.rate(1.0) == pytest.approx(0.1)
    assert not schedule.rounds(0.5)
    assert schedule.rounds(0.7)
