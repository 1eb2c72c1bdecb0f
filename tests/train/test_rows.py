"""Cuts, layout, noise and packed rows."""

import random
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from midfill_train.corpus.build import build as build_corpus
from midfill_train.corpus.spans import spans
from midfill_train.data import layout, noise
from midfill_train.data.cuts import HABITS, cut, draw_habit
from midfill_train.data.pack import Mixture, PackedBatches
from midfill_train.data.rows import CAUSAL_END, build
from midfill_train.model.attention import build_mask


@pytest.mark.parametrize("habit", HABITS)
def test_every_habit_cuts_and_keeps_the_text(documents, habit):
    rng = random.Random(3)
    made = [c for _ in range(80) if (c := cut(rng, rng.choice(documents), habit))]
    assert made
    whole = "\n".join(d.text.decode() for d in documents)
    for one in made:
        assert (one.middle == "") == (habit == "empty")
        if habit != "closed":
            assert all(line in whole for line in (one.middle + one.suffix).split("\n"))


def test_half_of_the_cuts_end_where_a_node_or_paragraph_ends():
    syntax = list(HABITS)[:12]
    assert 0.5 <= sum(HABITS[name] for name in syntax) / sum(HABITS.values()) < 0.6
    rng = random.Random(0)
    assert {draw_habit(rng) for _ in range(5000)} >= {"empty", "closed", "random"}


def test_a_body_is_cut_behind_its_docstring(documents):
    """Where nothing of it is written yet: whatever the docstring's length, to the body's end."""
    code = '''def area(sides):
    """Area of a rectangle.

    Parameters: two sides.
    """
    first, second = sides
    # Negative sides count as well.
    first = abs(first)

    return first * abs(second)


def other():
    return 1
'''
    text = code.encode()
    document = replace(documents[0], text=text, language="python", spans=spans(text, "python"))
    rng = random.Random(2)
    made = [c for _ in range(200) if (c := cut(rng, document, "explained"))]
    middles = {one.middle.strip() for one in made}
    body = "first, second = sides\n    # Negative sides count as well."
    assert any(m.startswith(body) and m.endswith("return first * abs(second)") for m in middles)
    assert "first = abs(first)" in middles
    assert all("def other" not in middle for middle in middles)


def test_closed_brackets_stand_behind_the_cursor(documents):
    rng = random.Random(5)
    for _ in range(60):
        made = cut(rng, documents[0], "closed")
        if made is not None:
            assert made.suffix[:1] in {")", "]", "}", ""}
            assert made.suffix[1:2] in {"\n", ""}


def letters(text):
    return [ord(c) for c in text]


def test_without_near_lines_the_layout_is_the_plain_one(marks):
    ids = layout.context(marks, letters, "pre", "suf\nfix", path="p")
    plain = [
        marks.suffix,
        *letters("suf\nfix"),
        marks.prefix,
        marks.path,
        *letters("p\n"),
        *letters("pre"),
    ]
    assert ids == plain


def test_near_lines_stand_beside_the_block(marks):
    ids = layout.context(marks, letters, "pre", ")\nnext\nfar", near=2)
    near = [marks.near, *letters(")\nnext\n"), marks.middle]
    assert ids == [marks.suffix, *letters("far"), marks.prefix, *letters("pre"), *near]
    short = layout.context(marks, letters, "pre", ")", near=2)
    assert short[:2] == [marks.suffix, marks.prefix]
    assert layout.context(marks, letters, "pre", "", near=2)[-1] == letters("e")[0]


def test_noise_never_shows_what_is_behind_the_end():
    rng = np.random.default_rng(0)
    for _ in range(200):
        state = noise.draw(rng, 16, 5)
        assert state.masked[5:].all()
        assert not (state.wrong & state.masked).any()


def test_widths_are_between_four_and_the_block_size():
    rng = np.random.default_rng(0)
    drawn = {noise.width(rng, 32) for _ in range(2000)}
    assert min(drawn) == 4
    assert max(drawn) == 32
    assert {8, 16} <= drawn


def test_rows_hold_a_clean_copy_and_blocks_in_place(marks):
    rows = build(random.Random(1), marks, [7] * 10, [1, 2, 3], block_size=8)
    clean = rows.block == 0
    assert rows.ids[clean].tolist() == [7] * 10 + [1, 2, 3, marks.eom]
    assert rows.labels[clean][9:13].tolist() == [1, 2, 3, marks.eom]
    assert rows.weight[clean][12] == CAUSAL_END
    for number in range(1, rows.block.max() + 1):
        own = rows.block == number
        assert rows.labels[own].tolist() == [
            [1, 2, 3, marks.eom][p - 10] if p < 14 else marks.eom for p in rows.position[own]
        ]
        assert (rows.limit[own] == rows.position[own][0]).all()
        masked = rows.ids[own] == marks.mask
        assert (rows.weight[own][masked] > 0).all()


def test_a_noisy_row_sees_its_block_and_the_clean_rows_before_it(corpus, checkpoint):
    batch = next(iter(PackedBatches(corpus, checkpoint, rows=2, length=1500, seed=1)))
    mask = build_mask(batch)
    assert isinstance(mask, torch.Tensor)
    sees = mask[0, 0]
    block, position, segment = (batch[name][0] for name in ("block", "position", "segment"))
    row = int((block > 0).nonzero()[0])
    start = position[block == block[row]][segment[block == block[row]] == segment[row]].min()
    expected = (segment == segment[row]) & (
        ((block == 0) & (position < start)) | (block == block[row])
    )
    assert torch.equal(sees[row], expected)
    causal = int((segment == segment[row]).nonzero()[3])
    assert sees[causal].nonzero()[:, 0].tolist() == list(range(causal - 3, causal + 1))


def test_a_masked_row_is_taught_by_the_causal_row_of_its_token(corpus, checkpoint):
    batch = next(iter(PackedBatches(corpus, checkpoint, rows=2, length=1024, seed=3)))
    taught = (batch["teacher"] >= 0).nonzero().tolist()
    assert taught
    for row, at in taught:
        teacher = int(batch["teacher"][row, at])
        assert batch["block"][row, at] > 0 == batch["block"][row, teacher]
        assert batch["segment"][row, teacher] == batch["segment"][row, at]
        assert batch["position"][row, teacher] == batch["position"][row, at] - 1
        assert batch["labels"][row, teacher] == batch["labels"][row, at]


def test_streams_differ_by_seed_and_repeat_by_it(corpus, checkpoint):
    def first(seed):
        batches = PackedBatches(corpus, checkpoint, rows=1, length=1500, seed=seed)
        return torch.cat([b["ids"] for b in islice(batches, 2)])

    assert torch.equal(first(1), first(1))
    assert not torch.equal(first(1), first(2))


def test_exercises_are_mixed_in_as_often_as_asked(corpus, checkpoint, tmp_path):
    """They say `solved`, which the corpus never does."""
    exercise = """def multiples_{0}(values):
    \"\"\"Return all values {0} times as large, in the order in which they came.\"\"\"
    solved = []
    for value in values:
        solved.append(value * {0})
    return solved


def solved_{0}():
    \"\"\"Return the multiples of {0} and of the two numbers that follow it.\"\"\"
    solved = multiples_{0}([{0}, {0} + 1, {0} + 2])
    return solved if solved else None
"""
    for i in range(12):
        (tmp_path / "written").mkdir(exist_ok=True)
        (tmp_path / "written" / f"e{i}.py").write_text(exercise.format(i))
    build_corpus([tmp_path / "written"], tmp_path / "c", whole=True, held_out_files=0)
    written = tmp_path / "c" / "train"
    word = Tokenizer.from_file(str(checkpoint / "tokenizer.json")).encode(" solved").ids

    def share(exercised):
        mixture = Mixture(exercises=written, exercised=exercised)
        batches = PackedBatches(corpus, checkpoint, rows=1, length=1500, seed=2, mixture=mixture)
        cuts = solved = 0
        for batch in islice(batches, 12):
            for number in range(int(batch["segment"].max()) + 1):
                ids = batch["ids"][(batch["segment"] == number) & (batch["block"] == 0)].tolist()
                cuts += 1
                solved += any(
                    ids[i : i + len(word)] == word for i in range(len(ids) - len(word) + 1)
                )
        return solved / cuts

    assert share(0.0) == 0
    assert 0.3 < share(0.7) < 0.95
    assert share(1.0) > 0.8
