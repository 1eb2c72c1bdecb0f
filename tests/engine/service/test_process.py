"""Lock, runtime directory and idle exit, inside one process."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import sys

import pytest

from midfill_engine.service import process
from midfill_engine.service.process import (
    Claim,
    Place,
    RuntimeDirectoryError,
    answers,
    claimed,
    until_idle,
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="modes and flock of Unix")


@pytest.fixture
def place(short_path) -> Place:
    return Place(short_path / "run" / "midfill")


def mode(path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_the_directory_is_made_private_with_its_parents(place):
    place.prepare()
    assert mode(place.directory) == mode(place.directory.parent) == 0o700


def test_an_open_directory_of_ours_is_closed(place):
    place.directory.mkdir(parents=True, mode=0o755)
    place.directory.chmod(0o755)
    place.prepare()
    assert mode(place.directory) == 0o700


def test_a_link_is_refused(place):
    place.directory.parent.mkdir()
    (place.directory.parent / "elsewhere").mkdir()
    place.directory.symlink_to("elsewhere")
    with pytest.raises(RuntimeDirectoryError, match="MIDFILL_RUNTIME_DIR"):
        place.prepare()


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="needs another owner")
@pytest.mark.parametrize("whose", ["directory", "parent"])
def test_a_directory_of_somebody_else_is_refused(place, whose):
    place.prepare()
    os.chown(place.directory if whose == "directory" else place.directory.parent, 12345, -1)
    with pytest.raises(RuntimeDirectoryError):
        place.prepare()


def test_a_path_too_long_for_a_socket_is_told(short_path):
    with pytest.raises(RuntimeDirectoryError, match="too long"):
        Place(short_path / ("x" * 100)).prepare()


def test_a_file_in_the_way_is_told(place):
    place.directory.parent.write_text("")
    with pytest.raises(RuntimeDirectoryError, match="Cannot make"):
        place.prepare()


def test_only_one_claim_at_a_time(place):
    with claimed(place) as first:
        assert first is not None
        assert Claim.attempt(place, wait_s=0) is None
    with claimed(place) as second:
        assert second is not None


def test_a_claim_removes_what_a_dead_daemon_left(place):
    place.prepare()
    place.socket.write_text("")
    place.description.write_text("{}")
    with claimed(place):
        assert not place.socket.exists()
        assert not place.description.exists()


def test_socket_and_description_are_private(place):
    with claimed(place) as claim, claim.listen() as listener:
        claim.announce({"socket": str(place.socket)})
        assert (mode(place.socket), mode(place.description)) == (0o600, 0o600)
        assert mode(place.lock) == 0o600
        assert not answers(place)
        listener.listen()
        assert answers(place)
        assert json.loads(place.description.read_text()) == {"socket": str(place.socket)}
    assert not place.socket.exists()
    assert not place.description.exists()
    assert place.lock.exists()


def test_a_claim_notices_that_its_place_was_emptied(place):
    with claimed(place) as claim:
        assert claim.in_place()
        place.lock.unlink()
        assert not claim.in_place()
        with claimed(place) as other:  # a new daemon takes the new file
            claim.withdraw()  # and is not harmed by the end of the old one
            assert other.in_place()
        assert place.lock.exists()


def test_without_unix_sockets_it_listens_on_loopback(place, monkeypatch):
    monkeypatch.setattr(process, "HAS_UNIX_SOCKETS", False)
    with claimed(place) as claim, claim.listen() as listener:
        host, port = listener.getsockname()
        assert host == "127.0.0.1"
        claim.announce({"port": port, "token": "t"})
        assert answers(place)
        assert mode(place.description) == 0o600


async def end(**changes) -> str:
    defaults = {
        "idle_s": lambda: 0.0,
        "limit_s": lambda: 5.0,
        "stop": asyncio.Event(),
        "useful": lambda: True,
        "poll_s": 0.001,
    }
    async with asyncio.timeout(10):
        return await until_idle(**{**defaults, **changes})


async def test_ends_when_idle_for_long_enough():
    idle = iter([1.0, 4.9, 5.0])
    assert await end(idle_s=lambda: next(idle)) == "idle"


async def test_never_ends_for_idleness_when_the_limit_is_zero():
    stop, looks = asyncio.Event(), []

    def idle_s() -> float:
        looks.append(1)
        return 1e9

    def useful() -> bool:
        if len(looks) == 0:
            looks.append(1)
            return True
        stop.set()
        return True

    assert await end(idle_s=idle_s, limit_s=lambda: 0.0, stop=stop, useful=useful) == "asked"


async def test_ends_when_it_is_of_no_use():
    assert await end(useful=lambda: False) == "useless"
