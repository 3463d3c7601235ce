"""Copying a release to a host, when the payload, the connection or the disk fails."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from tests.hosts.conftest import make_world

from leuko.domain.order import Result
from leuko.hosts.perform import Orders
from leuko.hosts.port import Unreachable


def reworked(payload, folder: Path, change):
    full = Path(payload.full)
    copy = folder / "reworked.tar.gz"
    copy.write_bytes(change(full.read_bytes()))
    return replace(payload, full=str(copy))


async def test_a_payload_of_another_release(here):
    release, other = await here.build({"a": "1"}), await here.build({"a": "2"})
    wrong = replace(await here.payload(release), full=(await here.payload(other)).full)
    outcome = await here.perform(here.order("stage", target=release), wrong)
    assert outcome.result is Result.FAILED
    assert f"the payload is not release {release}" in outcome.reason
    assert here.leftovers() == []
    assert not (here.root / "releases" / release).exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-100],
        lambda data: data[:40] + b"x" * 20 + data[60:],
        lambda data: b"",
        lambda data: b"garbage",
    ],
)
async def test_a_damaged_archive(here, change):
    release = await here.build({"a": "1" * 1000})
    outcome = await here.perform(
        here.order("stage", target=release), reworked(await here.payload(release), here.folder, change)
    )
    assert outcome.result is Result.FAILED
    assert "could not be unpacked" in outcome.reason
    assert here.leftovers() == []


async def test_a_damaged_delta_fails_clearly(here):
    first, second = await here.build({"a": "1"}), await here.build({"a": "2"})
    await here.ready(first)
    payload = await here.payload(second, (first,))
    (here.folder / "bad").write_bytes(b"garbage")
    outcome = await here.perform(
        here.order("stage", target=second), replace(payload, deltas={first: str(here.folder / "bad")})
    )
    assert outcome.result is Result.FAILED
    assert (await here.stage(second, first)).done


async def test_a_delta_from_another_base_falls_back_to_the_whole(here):
    first, second, third = [await here.build({"a": text, "b": "same"}) for text in "123"]
    await here.ready(first)
    wrong = replace(
        await here.payload(third, (first,)),
        deltas={first: (await here.payload(third, (second,))).deltas[second]},
    )
    outcome = await here.perform(here.order("stage", target=third), wrong)
    assert outcome.done, outcome
    assert outcome.facts["copied"] in ("full", "delta")
    assert (await here.give("verify", target=third)).done


class Cut:
    """A connection that dies after so many bytes were written to one of its programs."""

    def __init__(self, connection, limit):
        self.connection, self.left, self.alive = connection, limit, True

    async def start(self, argv):
        return CutChannel(await self.connection.start(argv), self)

    async def close(self):
        await self.connection.close()


class CutChannel:
    def __init__(self, channel, cut):
        self.channel, self.cut = channel, cut

    async def write(self, data):
        if self.cut.left < len(data):
            self.cut.alive = False
            await self.channel.end_input()
            raise Unreachable("the connection was cut")
        self.cut.left -= len(data)
        await self.channel.write(data)

    async def lines(self):
        async for line in self.channel.lines():
            if not self.cut.alive:
                return
            yield line

    async def end_input(self):
        await self.channel.end_input()

    async def wait(self):
        return None

    async def errors(self):
        return b""

    async def close(self):
        await self.channel.close()


@pytest.mark.parametrize("limit", [10, 30_000, 200_000, 700_000])
async def test_a_connection_cut_in_the_middle(here, limit):
    release = await here.build({"a": os.urandom(1_000_000), "b": "small"})
    payload = await here.payload(release)
    cut = Cut(await here.source(), limit)

    async def source():
        return cut if cut.alive else await here.source()

    order = here.order("stage", target=release)
    unknown = await Orders(asks=0).perform(source, here.reach, order, payload)
    assert unknown.result is Result.UNKNOWN
    assert not (here.root / "releases" / release).exists()
    cut.alive, cut.left = True, limit
    outcome = await here.performer.perform(source, here.reach, order, payload)
    assert outcome.done, outcome
    assert (await here.give("verify", target=release)).done


async def test_progress_is_told(here):
    release = await here.build({"a": os.urandom(1_000_000)})
    seen = []
    order = here.order("stage", target=release)
    outcome = await here.performer.perform(
        here.source, here.reach, order, await here.payload(release), progress=lambda *it: seen.append(it)
    )
    assert outcome.done
    size = Path((await here.payload(release)).full).stat().st_size
    assert seen[-1] == (size, size)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert len(seen) == -(-size // (128 * 1024))


@pytest.fixture
async def small_disk(tmp_path):
    """A world whose host has a disk of 4 MB."""
    made = make_world(tmp_path)
    srv = tmp_path / "srv"
    srv.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", srv], check=True)
    yield made
    subprocess.run(["umount", "-l", srv], check=True)


@pytest.mark.needs("root")
class TestFullDisk:
    async def test_it_is_seen_before_the_copy(self, small_disk):
        release = await small_disk.build({"a": os.urandom(6_000_000)})
        outcome = await small_disk.stage(release)
        assert outcome.result is Result.FAILED
        assert "no space left on web1: the payload needs" in outcome.reason
        assert small_disk.leftovers() == []

    async def test_it_is_seen_before_unpacking(self, small_disk):
        release = await small_disk.build({"a": b"0" * 6_000_000})
        outcome = await small_disk.stage(release)
        assert "no space left on web1: the release needs" in outcome.reason
        assert small_disk.leftovers() == []

    async def test_it_fills_up_during_the_copy_and_a_rollback_still_works(self, small_disk):
        first, second = await small_disk.build({"a": "1"}), await small_disk.build({"a": "2"})
        await small_disk.ready(first, second)
        assert (await small_disk.give("switch", target=second, base=first)).done
        filler = f'cat /dev/zero >"{small_disk.folder}/srv/filler" 2>/dev/null; true'
        big = await small_disk.build({"a": os.urandom(1_000_000)})
        outcome = await small_disk.stage(big, hooks={"before_stage": filler})
        assert outcome.result is Result.FAILED
        assert "no space" in outcome.reason.lower()
        assert not [path for path in (small_disk.root / "releases").iterdir() if ".tmp." in path.name]
        restored = await small_disk.give("restore", target=second, base=first, hooks={"reload": "true"})
        assert restored.done, restored
        assert small_disk.current == first


async def test_an_order_without_its_payload_or_whose_archive_is_gone(here):
    release, other = await here.build({"a": "1"}), await here.build({"a": "2"})
    without = await here.give("stage", target=release)
    assert without.result is Result.FAILED
    assert without.reason == "the payload did not come"
    payload = await here.payload(other)
    Path(payload.full).unlink()
    gone = await here.perform(here.order("stage", target=other), payload)
    assert gone.result is Result.FAILED
    assert "No such file" in gone.facts["archive"]
    Path(payload.manifest).unlink()
    assert "cannot be read here" in (await here.perform(here.order("stage", target=other), payload)).reason
    assert here.leftovers() == []
