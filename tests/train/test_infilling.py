"""The benchmark harness reads both formats and judges by running the tests."""

import gzip
import json

from benchmarks.quality.infilling import Task, passes, tasks, whole


def test_both_formats_become_gaps(tmp_path):
    rows = [
        {
            "task_id": "a",
            "prompt": "def f(x):\n",
            "canonical_solution": "    return x + 1\n",
            "suffix": "",
            "test": "def check(f):\n    assert f(1) == 2",
            "entry_point": "f",
        },
        {"task_id": "b", "eval_prompt": "int a = {{completion}};", "ground_truth": "1"},
    ]
    path = tmp_path / "tasks.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    one, two = tasks(path)
    assert (two.prefix, two.suffix, two.truth) == ("int a = ", ";", "1")
    assert passes(one, one.truth)
    assert not passes(one, "    return x\n")
    assert not passes(one, "    return x +\n")


def test_the_whole_program_behind_its_first_gap():
    gaps = [
        Task("f/1", "def f():\n    a = 1\n", "", "    return a\n", "check(f)"),
        Task("f/0", "def f():\n", "    return a\n", "    a = 1\n", "check(f)"),
        Task("g/0", "def g():\n", "    pass\n", "", "check(g)"),
    ]
    first, second = whole(gaps)
    assert first == Task("f/0", "def f():\n", "", "    a = 1\n    return a\n", "check(f)")
    assert second.truth == "    pass\n"
