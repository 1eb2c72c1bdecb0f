import os

import pytest

from midfill_lsp.context.privacy import (
    is_secret,
    why_excluded,
    why_excluded_elsewhere,
)
from midfill_lsp.documents import Elsewhere


@pytest.mark.parametrize(
    "name",
    [
        ".env",
        ".env.production",
        "prod.env",
        "server.pem",
        "ID_RSA",
        "id_ed25519.pub",
        "terraform.tfstate",
        "credentials",
        "credentials.json",
        "secrets.yaml",
        ".ssh/config",
        ".aws/config",
        "wp-config.php",
        "client_secret_12.json",
        ".npmrc",
    ],
)
def test_secrets(name):
    assert is_secret(f"/home/me/project/{name}")


@pytest.mark.parametrize(
    "name",
    [
        "main.py",
        "secrets.py",
        "credentials.go",
        ".env.example",
        "environment.ts",
        "keys.py",
        "a.md",
    ],
)
def test_code_is_no_secret(name):
    assert not is_secret(f"/home/me/project/{name}")


def test_unsaved_documents_are_taken():
    assert why_excluded("", exclude=["*"], roots=["/"]) is None


def test_reasons(tmp_path):
    assert why_excluded(str(tmp_path / ".env")).code == "secret-file"
    assert why_excluded(str(tmp_path / "main.py")) is None


def test_a_link_to_a_secret_is_a_secret(tmp_path):
    (tmp_path / ".env").write_text("KEY=1")
    (tmp_path / "notes.txt").symlink_to(tmp_path / ".env")
    assert why_excluded(str(tmp_path / "notes.txt")).code == "secret-file"


def test_exclude_setting_is_relative_to_the_workspace_folder(tmp_path):
    roots = [str(tmp_path)]
    private = str(tmp_path / "private" / "a.py")
    assert why_excluded(private, exclude=["/private/"], roots=roots).code == "excluded-file"
    assert (
        why_excluded(str(tmp_path / "x" / "private.py"), exclude=["/private/"], roots=roots) is None
    )
    assert why_excluded("/elsewhere/a.sql", exclude=["*.sql"], roots=roots).code == "excluded-file"


def test_ignore_files_from_the_folder_down(tmp_path):
    roots = [str(tmp_path)]
    (tmp_path / ".midfillignore").write_text("# ours\n*.gen.py\nvendor/\n")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / ".midfillignore").write_text("!keep.gen.py\nlocal.py\n")
    assert why_excluded(str(tmp_path / "a.gen.py"), roots=roots).code == "excluded-file"
    assert why_excluded(str(tmp_path / "vendor" / "x.py"), roots=roots).code == "excluded-file"
    assert why_excluded(str(tmp_path / "deep" / "keep.gen.py"), roots=roots) is None
    assert why_excluded(str(tmp_path / "deep" / "local.py"), roots=roots) is not None
    assert why_excluded(str(tmp_path / "local.py"), roots=roots) is None


def test_an_edited_ignore_file_counts_at_once(tmp_path):
    ignore = tmp_path / ".midfillignore"
    ignore.write_text("a.py\n")
    assert why_excluded(str(tmp_path / "a.py"), roots=[str(tmp_path)])
    ignore.write_text("b.py\n")
    os.utime(ignore, ns=(1, 1))
    assert why_excluded(str(tmp_path / "a.py"), roots=[str(tmp_path)]) is None


def test_a_malformed_pattern_costs_only_itself(tmp_path):
    (tmp_path / ".midfillignore").write_text("!\n*.sql\n")
    assert why_excluded(str(tmp_path / "a.sql"), roots=[str(tmp_path)])
    assert why_excluded(str(tmp_path / "a.py"), roots=[str(tmp_path)]) is None


def test_an_unreadable_ignore_file_excludes_everything_below(tmp_path):
    (tmp_path / ".midfillignore").mkdir()
    assert why_excluded(str(tmp_path / "a.py"), roots=[str(tmp_path)]).code == "excluded-file"


def test_a_file_that_is_not_on_this_disk_is_judged_by_what_the_editor_tells():
    ignore_files = (("/", "*.gen.py\nvendor/\n"), ("/deep", "!keep.gen.py\nlocal.py\n"))
    told = Elsewhere("/", ignore_files)
    assert why_excluded_elsewhere("/a.gen.py", told).code == "excluded-file"
    assert (
        why_excluded_elsewhere("/vendor/x.py", told).message == "/.midfillignore names this file."
    )
    assert why_excluded_elsewhere("/deep/local.py", told).code == "excluded-file"
    assert why_excluded_elsewhere("/deep/keep.gen.py", told) is None
    assert why_excluded_elsewhere("/work.py", Elsewhere("/", ignore_files[:1])) is None
    assert why_excluded_elsewhere("/.env", told).code == "secret-file"
    assert why_excluded_elsewhere("/p/keys/a.py", told._replace(root="/p"), exclude=["/keys/"])


def test_of_a_file_that_is_not_on_this_disk_nothing_is_known_untold():
    assert why_excluded_elsewhere("/a.py", None).code == "excluded-file"
    assert why_excluded_elsewhere("/.env", None).code == "secret-file"
    assert why_excluded_elsewhere("/a.py", Elsewhere("/", ())) is None


def test_files_of_this_disk_do_not_ignore_those_of_another(tmp_path):
    (tmp_path / ".midfillignore").write_text("*\n")
    assert why_excluded_elsewhere(str(tmp_path / "a.py"), Elsewhere(str(tmp_path), ())) is None
