"""The files that the controller and the hook leave for each other."""

from __future__ import annotations

import json

from leuko.clock import SystemClock
from leuko.domain.lock import Lock, LockKind, Severity
from leuko.vcs.hook import LOCK_FILE, read_overrides, write_lock_file

NOW = SystemClock().now()
LOCK = Lock("L7", LockKind.COMMIT, Severity.HARD, "leuko", "5 % errors on www", NOW, blocks=("ab" * 20,))


def test_reading_overrides_survives_garbage_and_half_a_line(tmp_path):
    path = tmp_path / LOCK_FILE
    assert read_overrides(path).entries == ()
    log = tmp_path / "leuko-overrides.jsonl"
    good = json.dumps(
        {
            "id": "1",
            "at": NOW.isoformat(),
            "identity": "ann",
            "known_by": "x",
            "reason": "r",
            "locks": ["L"],
            "branch": "main",
            "old": "0",
            "new": "1",
        }
    )
    log.write_bytes(b"garbage\x1b\n[]\n" + good.encode() + b"\n" + good.encode()[:20])
    found = read_overrides(path)
    assert [one.id for one in found.entries] == ["1"]
    assert len(found.damaged) == 2
    assert "\x1b" not in "".join(found.damaged)
    with log.open("ab") as file:
        file.write(good.encode()[20:] + b"\n")
    assert len(read_overrides(path, found.next).entries) == 1
    log.write_bytes(good.encode() + b"\n")
    assert len(read_overrides(path, 10_000).entries) == 1, "a new file is read from its start"


def test_the_lock_file_is_never_half_written_and_never_follows_a_link(tmp_path):
    path = tmp_path / LOCK_FILE
    victim = tmp_path / "victim"
    victim.write_text("mine")
    path.symlink_to(victim)
    write_lock_file(path, [LOCK], NOW)
    assert victim.read_text() == "mine"
    assert json.loads(path.read_text())["locks"][0]["id"] == "L7"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [LOCK_FILE, "victim"]
