"""Which files of a folder may be learned from."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from midfill_train.corpus.archive import read
from midfill_train.corpus.folder import files


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "repository"
    for name in (
        "keep.py",
        "secret.py",
        "build/made.py",
        "src/kept.py",
        "src/secret.py",
        "src/deep/local.py",
        "src/deep/other.py",
        "odd.py",
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x = 1\n")
    (root / ".gitignore").write_text("secret.py\nbuild/\n!\n/local.py\n")
    (root / "src" / ".gitignore").write_text("!secret.py\ndeep/local.py\n")
    (root / ".midfillignore").write_text("odd.*\n")
    (root / "link.py").symlink_to(root / "keep.py")
    return root


def found(root, start):
    return {path.relative_to(root.resolve()).as_posix() for path in files(start)}


def test_what_ignore_files_name_is_left_out(tree):
    names = {name for name in found(tree, tree) if name.endswith(".py")}
    assert names == {"keep.py", "src/kept.py", "src/secret.py", "src/deep/other.py"}
    assert {name for name, _ in read(tree).files} == names


def test_a_folder_inside_a_working_tree_obeys_the_rules_above_it(tree):
    (tree / "src" / ".gitignore").unlink()
    assert "src/secret.py" in found(tree, tree / "src"), "no working tree: not its rules"
    (tree / ".git").mkdir()
    assert "src/secret.py" not in found(tree, tree / "src")


def test_a_folder_that_may_not_be_read_costs_only_itself(tree, monkeypatch):
    real = Path.iterdir

    def iterdir(path):
        if path.name == "deep":
            raise PermissionError
        return real(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    assert "src/kept.py" in found(tree, tree)


@pytest.mark.skipif(shutil.which("git") is None, reason="needs Git")
def test_git_says_the_same(tree):
    (tree / ".midfillignore").unlink()
    subprocess.run(["git", "init", "-q"], cwd=tree, check=True)
    words = ["git", "ls-files", "--others", "--exclude-standard"]
    listed = subprocess.run(words, cwd=tree, check=True, capture_output=True, text=True).stdout
    ours = {n for n in found(tree, tree) if not n.startswith(".git/")}
    assert ours == set(listed.split()) - {"link.py"}
