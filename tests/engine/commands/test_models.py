"""``midfill models``, with a hub on this machine."""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from midfill_engine.commands import models as command
from midfill_engine.commands.download import Download, DownloadError
from midfill_engine.models import locate as places
from tests import tiny

WEIGHTS = {
    "model-00001-of-00002.safetensors": b"a" * 3_000_000,
    "model-00002-of-00002.safetensors": b"b",
}


def sums(files: dict[str, bytes]) -> bytes:
    lines = [f"{hashlib.sha256(data).hexdigest()}  {name}" for name, data in files.items()]
    return "\n".join(lines).encode()


def checkpoint() -> dict[str, bytes]:
    index = {"weight_map": {f"tensor.{n}": name for n, name in enumerate(WEIGHTS)}}
    files = {
        "config.json": b'{"architectures": ["TestForDiffusion"]}',
        "tokenizer.json": b"{}",
        "model.safetensors.index.json": json.dumps(index).encode(),
        "LICENSE": b"free",
        **WEIGHTS,
    }
    return {**files, "SHA256SUMS": sums(files)}


class Hub:
    """Serves files in the shape of a hub, and can break off in the middle of one."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.break_after: dict[str, int] = {}
        self.ranges: list[str] = []
        self.etags: dict[str, str] = {}
        self.url = ""

    async def send(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["file"]
        if name not in self.files:
            raise web.HTTPNotFound
        data, start = self.files[name], 0
        if wanted := request.headers.get("Range"):
            self.ranges.append(f"{name} {wanted}")
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(data):
                raise web.HTTPRequestRangeNotSatisfiable
        response = web.StreamResponse(status=206 if start else 200)
        response.content_length = len(data) - start
        if name in self.etags:
            response.headers["X-Linked-Etag"] = f'"{self.etags[name]}"'
        await response.prepare(request)
        if (limit := self.break_after.pop(name, None)) is not None:
            await response.write(data[start : start + limit])
            request.transport.close()
            return response
        await response.write(data[start:])
        return response


@asynccontextmanager
async def serving(hub: Hub):
    app = web.Application()
    app.add_routes([web.get("/own/model/resolve/main/{file}", hub.send)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    hub.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield hub
    finally:
        await runner.cleanup()


async def fetch(hub: Hub, target: Path, **options) -> Download:
    async with serving(hub):
        download = Download(hub.url, "own/model", "main", target, **options)
        await download.run()
    return download


async def test_fetches_all_files_and_tells_progress(tmp_path):
    hub, seen = Hub(checkpoint()), {}
    target = tmp_path / "models" / "model"
    download = await fetch(
        hub, target, on_progress=lambda name, done, total: seen.update({name: (done, total)})
    )
    assert {path.name: path.read_bytes() for path in target.iterdir()} == hub.files
    assert seen["model-00001-of-00002.safetensors"] == (3_000_000, 3_000_000)
    assert download.unchecked == []
    assert [path.name for path in target.parent.iterdir()] == ["model"]


async def test_a_single_file_needs_no_index(tmp_path):
    files = {"config.json": b"{}", "tokenizer.json": b"{}", "model.safetensors": b"w"}
    download = await fetch(Hub(files), tmp_path / "m")
    assert download.unchecked == ["model.safetensors"]


@pytest.mark.parametrize("sharded", [False, True])
async def test_an_adapter_brings_its_own_files_alone(tmp_path, sharded):
    name = "adapter_model-00001-of-00001.safetensors" if sharded else "adapter_model.safetensors"
    files = {"adapter_config.json": b"{}", name: b"w", "README.md": b"what it is"}
    if sharded:
        index = {"weight_map": {"tensor": name}}
        files["adapter_model.safetensors.index.json"] = json.dumps(index).encode()
    hub = Hub({**files, "SHA256SUMS": sums(files)})
    await fetch(hub, tmp_path / "m")
    assert {path.name: path.read_bytes() for path in (tmp_path / "m").iterdir()} == hub.files


async def test_a_broken_transfer_goes_on_where_it_stopped(tmp_path):
    hub = Hub(checkpoint())
    hub.break_after["model-00001-of-00002.safetensors"] = 1_000_000
    await fetch(hub, tmp_path / "m")
    assert (tmp_path / "m" / "model-00001-of-00002.safetensors").read_bytes() == b"a" * 3_000_000
    (resumed,) = hub.ranges
    assert int(resumed.split("=")[1].rstrip("-")) > 0


async def test_a_later_run_goes_on_with_what_came(tmp_path):
    hub = Hub(checkpoint())
    shard = hub.files.pop("model-00002-of-00002.safetensors")
    with pytest.raises(DownloadError, match="has no model-00002"):
        await fetch(hub, tmp_path / "m")
    assert not (tmp_path / "m").exists()
    hub.files["model-00002-of-00002.safetensors"] = shard
    sent_again = []
    await fetch(hub, tmp_path / "m", on_progress=lambda name, *_: sent_again.append(name))
    assert sent_again == ["model-00002-of-00002.safetensors"]


async def test_a_changed_file_is_refused_and_removed(tmp_path):
    hub = Hub(checkpoint())
    hub.files["model-00002-of-00002.safetensors"] = b"evil"
    with pytest.raises(DownloadError, match="not what its checksum says"):
        await fetch(hub, tmp_path / "m")
    assert not (tmp_path / "m").exists()
    assert not (tmp_path / "m.partial" / "model-00002-of-00002.safetensors").exists()


async def test_checksums_come_from_entity_tags_too(tmp_path):
    files = {"config.json": b"{}", "tokenizer.json": b"{}", "model.safetensors": b"w"}
    hub = Hub(files)
    hub.etags["model.safetensors"] = hashlib.sha256(b"other").hexdigest()
    with pytest.raises(DownloadError, match="checksum"):
        await fetch(hub, tmp_path / "m")
    hub.etags["model.safetensors"] = hashlib.sha256(b"w").hexdigest()
    assert (await fetch(hub, tmp_path / "m")).unchecked == []


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a/b", "..", 5, ""])
async def test_an_index_cannot_lead_out_of_the_directory(tmp_path, name):
    files = {
        "config.json": b"{}",
        "tokenizer.json": b"{}",
        "model.safetensors.index.json": json.dumps({"weight_map": {"t": name}}).encode(),
    }
    with pytest.raises(DownloadError, match="outside"):
        await fetch(Hub(files), tmp_path / "m")


@pytest.mark.parametrize("index", [b"[]", b"{", b'{"weight_map": 5}'])
async def test_a_broken_index_is_told(tmp_path, index):
    files = {"config.json": b"{}", "tokenizer.json": b"{}", "model.safetensors.index.json": index}
    with pytest.raises(DownloadError, match="no index"):
        await fetch(Hub(files), tmp_path / "m")


async def test_an_unreachable_hub_is_told(tmp_path):
    with pytest.raises(DownloadError, match="did not come"):
        await Download("http://127.0.0.1:9", "own/model", "main", tmp_path / "m").run()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hub": ""}, "MIDFILL_HUB"),
        ({"hub": "ftp://hub.example"}, "no web address"),
        ({"hub": "http://hub.example"}, "not encrypted"),
        ({"repository": "../evil"}, "OWNER/NAME"),
        ({"repository": "a/b/c"}, "OWNER/NAME"),
        ({"revision": "../evil"}, "no branch"),
    ],
)
def test_addresses_that_lead_elsewhere_are_refused(tmp_path, change, words):
    good = {"hub": "https://hub.example", "repository": "own/model", "revision": "main"}
    with pytest.raises(DownloadError, match=words):
        Download(**{**good, **change}, target=tmp_path / "m")


def test_an_existing_target_is_kept(tmp_path):
    with pytest.raises(DownloadError, match="exists already"):
        Download("https://hub.example", "own/model", "main", tmp_path)


class TestCommand:
    @pytest.fixture(autouse=True)
    def installed(self, tmp_path, monkeypatch):
        monkeypatch.setattr(places, "search_path", lambda: (tmp_path,))
        for name, config in (("good", '{"architectures": ["TestForDiffusion"]}'), ("bad", "{")):
            (tmp_path / name).mkdir()
            (tmp_path / name / "config.json").write_text(config)

    def test_list(self, capsys, tmp_path):
        assert command.main(["list"]) == 0
        out = capsys.readouterr().out
        assert "TestForDiffusion" in out
        assert str(tmp_path / "good") in out
        assert "cannot be read" in out

    def test_list_json(self, capsys):
        assert command.main(["list", "--json"]) == 0
        rows = json.loads(capsys.readouterr().out)
        assert {row["name"] for row in rows} == {"good", "bad"}

    def test_path(self, capsys, tmp_path):
        assert command.main(["path", "good"]) == 0
        assert capsys.readouterr().out.strip() == str((tmp_path / "good").resolve())

    def test_an_unknown_name_lists_the_known(self, capsys):
        assert command.main(["path", "other"]) == 1
        assert "bad, good" in capsys.readouterr().err

    def test_verify_goes_on_after_a_bad_one(self, capsys):
        assert command.main(["verify"]) == 1
        out = capsys.readouterr().out
        assert "bad: " in out
        assert "good: " in out

    def test_an_adapter_is_verified_with_its_base(self, capsys, tmp_path):
        for name in ("good", "bad"):
            shutil.rmtree(tmp_path / name)
        tiny.adapter(tmp_path / "mine", "base")
        assert command.main(["list"]) == 0
        assert "adapter of base" in capsys.readouterr().out
        assert command.main(["verify"]) == 1
        assert "no such model. Put base beside it" in capsys.readouterr().out
        tiny.checkpoint(tmp_path / "base")
        assert command.main(["verify"]) == 0
        assert capsys.readouterr().out == "base: good\nmine: good\n"
        (tmp_path / "mine" / "SHA256SUMS").write_text(f"{'0' * 64}  adapter_model.safetensors\n")
        assert command.main(["verify", "mine"]) == 1
        assert "is not what SHA256SUMS says" in capsys.readouterr().out

    def test_a_fetched_adapter_without_its_base_is_told(self, capsys, tmp_path, monkeypatch):
        async def run(download):
            return tiny.adapter(download.target, "absent")

        monkeypatch.setattr(command.Download, "run", run)
        words = ["fetch", "own/mine", "--hub", "https://hub.example", "--into", str(tmp_path)]
        assert command.main(words) == 0
        said = capsys.readouterr()
        assert said.out.strip() == str(tmp_path / "mine")
        assert "adapter of absent, and there is no such model" in said.err

    def test_fetch_without_a_hub_says_how_to_name_one(self, capsys, tmp_path, monkeypatch):
        monkeypatch.delenv("MIDFILL_HUB", raising=False)
        assert command.main(["fetch", "own/model", "--into", str(tmp_path)]) == 1
        assert "--hub" in capsys.readouterr().err
