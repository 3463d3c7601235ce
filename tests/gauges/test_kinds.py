"""Kinds of log lines: which are new, what is kept, what is bounded."""

import os
from datetime import UTC, datetime, timedelta

from tests.gauges.conftest import log_gauge, start_here

from leuko.config.model import Gauge
from leuko.gauges import kinds as module
from leuko.gauges.hosts import HostReadings
from leuko.gauges.kinds import FRESH, Kinds, masked_line
from leuko.gauges.reader import LINES, WIDTH
from leuko.gauges.source import Target

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
OLD = "2026-03-02 12:00:01 ERROR www1 user 4711 not found in 0.25 s"
NEW = "2026-03-02 12:00:02 ERROR www1 KeyError: 'cart_total'"


def after(minutes):
    return NOON + timedelta(minutes=minutes)


def test_names_and_numbers_are_taken_out():
    line = (
        "[12:00:01] 10.0.0.7 id=550e8400-e29b-41d4-a716-446655440000 sha 4f2a9c1deadbeef0 at 0x7f took 12ms"
    )
    assert masked_line(line) == "[<*>] <*> id=<*> sha <*> at <*> took <*>ms"
    assert masked_line("\0 \t") == "\0"
    assert masked_line("  ") == "(empty)"


def test_a_kind_is_new_for_a_while_on_whichever_host():
    kinds = Kinds("errors")
    assert kinds.take("a", [OLD, OLD.replace("4711", "12")], 1, NOON) == 2
    late = NOON + FRESH
    assert kinds.take("a", [OLD.replace("user 4711", "user 9")], 2, late) == 0
    assert kinds.take("b", [OLD, NEW, NEW], 2, late) == 2
    assert kinds.take("a", [NEW], 3, late + FRESH - timedelta(seconds=1)) == 1
    assert kinds.take("a", [NEW], 4, late + FRESH) == 0
    seen = {kind.text: (kind.seen, kind.hosts) for kind in kinds.changes()}
    assert seen["<*> <*> ERROR www<*> KeyError: 'cart_total'"] == (4, {"b": 2, "a": 2})
    assert len(seen) == 2


def test_what_was_known_is_known_after_a_restart():
    one = Kinds("errors")
    lines = [OLD, NEW, *(f"ERROR of sort {chr(97 + i) * 3} happened here" for i in range(20))]
    one.take("a", lines, 1, NOON)
    kept = one.changes()
    two = Kinds("errors")
    two.learn(reversed(kept))
    assert two.changes() == []
    assert two.take("a", lines, 9, NOON + 2 * FRESH) == 0
    assert {kind.id for kind in two.changes()} == {kind.id for kind in kept}


def test_the_same_lines_in_the_same_order_give_the_same_kinds():
    def kinds():
        found = Kinds("errors")
        for tick in range(50):
            found.take("a", [f"ERROR {chr(97 + tick % 7)} {chr(97 + i)} b c" for i in range(20)], tick, NOON)
        return [(kind.id, kind.text, kind.seen) for kind in found.changes()]

    assert kinds() == kinds()


def test_state_and_work_are_bounded(monkeypatch):
    monkeypatch.setattr(module, "MOST", 50)
    kinds = Kinds("errors")
    for tick in range(200):
        words = [f"{a}{b}" for a in "abcdefghij" for b in "klmno"]
        kinds.take("a", [f"{word * (tick + 1)} x" for word in words][:20], tick, NOON)
    assert len(kinds) <= 51


def test_a_flood_of_new_words_is_cut_and_hides_no_other_host():
    kinds = Kinds("errors")
    flood = [f"{a}{b}{c} happened" for a in "abcdefghij" for b in "klmnopqrst" for c in "uvwxyz"]
    assert kinds.take("a", flood, 1, NOON) == module.ROOM + module.EACH
    assert kinds.left_out == len(flood) - module.ROOM - module.EACH
    assert kinds.take("canary", [NEW, NEW], 1, NOON) == 2
    assert kinds.take("a", flood[:5], 1, NOON) == 5, "words that came before cost nothing"


def test_many_hosts_are_counted_and_some_named():
    kinds = Kinds("errors")
    for host in range(500):
        kinds.take(f"www{host}", [NEW], 1, NOON)
    (kind,) = kinds.changes()
    assert kind.seen == 500
    assert len(kind.hosts) == module.MOST_HOSTS


class Host:
    """A log, and the reader of it, tick by tick."""

    def __init__(self, folder, clock, gauges, tick=0.3):
        self.tick = tick
        self.log = folder / "app.log"
        self.log.write_bytes(b"")
        self.clock = clock
        targets = [Target("www1", "www", str(folder))]
        self.readings = HostReadings(targets, gauges, tick=tick, clock=clock, start=start_here)

    async def ticks(self, *chunks):
        """Writes each chunk after a tick was read; the readings of the ticks after each."""
        reader, readings = self.readings.readers[0], []
        from leuko.gauges.reader import reader_argv

        gauges = [self.readings._gauges[i] for i in reader.gauges]
        program = await start_here("www1", reader_argv(gauges, root=reader.target.root, tick=self.tick))
        waiting = list(chunks)
        try:
            number = 0
            async for line in program.lines():
                # a tick that this machine was late for is a tick all the same
                kind, _, rest = line.split(b" ", 2)
                last = kind == b"E"
                told = b"E %d 1" % number if last else b"%b %d %b" % (kind, number, rest)
                self.readings.accept(reader, told, self.clock.now())
                if not last:
                    continue
                number += 1
                self.clock.at += self.tick
                slot = self.readings.slots
                newest = max(slot._open, default=None)
                if newest is not None:
                    found = {name: float(array[0]) for name, array in slot.close(newest).items()}
                    readings.append(found)
                if not waiting:
                    break
                chunk = waiting.pop(0)
                if callable(chunk):
                    chunk()
                    continue
                with self.log.open("ab") as log:
                    log.write(chunk)
        finally:
            await program.close()
        return readings[1:]


def templated(match="ERROR", kind="count"):
    section = log_gauge(kind, match).model_dump()
    section["log"]["templates"] = True
    return Gauge.model_validate(section)


async def test_lines_come_along_with_their_tick(tmp_path, still_clock):
    host = Host(tmp_path, still_clock, {"errors": templated(), "share": templated(kind="ratio")})
    found = await host.ticks(f"{OLD}\nfine\n{NEW}\n".encode(), b"fine\n", f"{OLD}\n".encode())
    assert [(one["errors"], one["errors.unseen"]) for one in found] == [(2, 2), (0, 0), (1, 1)]
    assert [(one["share"], one["share:of"], one["share.unseen"]) for one in found] == [
        (2, 3, 2),
        (0, 1, 0),
        (1, 1, 1),
    ]
    assert host.readings.readers[0].garbage == 0
    said = {kind.example for kind in host.readings.kinds["errors"].changes()}
    assert said == {OLD, NEW}


async def test_garbage_floods_and_long_lines_break_no_reading(tmp_path, still_clock):
    # a second, so that what is written in one tick is read in the next, however large it is
    host = Host(tmp_path, still_clock, {"errors": templated(), "all": log_gauge("count", ".")}, tick=1.0)
    binary = b"ERROR " + os.urandom(200_000).replace(b"\n", b"x") + b"\n"
    rude = (
        b"ERROR\nE 99 1\nERROR \x1b[31m red \x00 R 0 0 77 - -\nERROR $(touch /tmp/never) `id` %s %d \\n *\n"
    )
    flood = b"".join(b"ERROR number %d of many\n" % i for i in range(20_000))
    long = b"ERROR " + b"y" * 6_000_000 + b"\n"
    found = await host.ticks(binary, rude, flood, long, b"ERROR last\n")
    assert [one["errors"] for one in found] == [1, 3, 20_000, 1, 1]
    assert [one["errors.unseen"] for one in found] == [1, 3, LINES, 1, 1]
    assert found[1]["all"] == 4
    kinds = host.readings.kinds["errors"].changes()
    assert all(len(kind.example.encode("utf-8", "replace")) <= 3 * WIDTH for kind in kinds)
    assert not any("\x1b" in kind.example or "\n" in kind.example for kind in kinds)


async def test_a_rotated_log_still_tells_its_lines(tmp_path, still_clock):
    def rotate():
        host.log.rename(tmp_path / "app.log.1")
        with (tmp_path / "app.log.1").open("a") as old:
            old.write(f"{NEW}\n")
        host.log.write_text(f"{OLD}\n")

    host = Host(tmp_path, still_clock, {"errors": templated()})
    found = await host.ticks(f"{OLD}\n".encode(), rotate, b"fine\n")
    assert [(one["errors"], one["errors.unseen"]) for one in found] == [(1, 1), (2, 2), (0, 0)]


def test_lines_of_nobody_are_garbage(tmp_path, still_clock):
    host = Host(tmp_path, still_clock, {"errors": templated(), "all": log_gauge("count", ".")})
    reader = host.readings.readers[0]
    for line in (b"L 0 7 x", b"L 0 1 x", b"L 0 -1 x", b"L 0 x y", b"L 0 0"):
        host.readings.accept(reader, line, still_clock.now())
    assert reader.garbage == 5
    assert reader.told == {}
