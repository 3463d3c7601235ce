"""Exactly one process acts: the lock names who holds it, and dies with the process."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from leuko.domain.errors import Refused
from leuko.store.installation import InstallationLock, holder_of

HOLDER = """
import sys
from pathlib import Path
from leuko.store.installation import InstallationLock
lock = InstallationLock.take(Path(sys.argv[1]), "leuko serve, process 4711 on box")
print("held", flush=True)
sys.stdin.read()
"""


def test_it_is_held_once_and_given_back(tmp_path):
    lock = InstallationLock.take(tmp_path / "state", "one")
    assert lock.held
    assert holder_of(tmp_path / "state") == "one"
    with pytest.raises(Refused, match="another Leuko acts here already: one") as refused:
        InstallationLock.take(tmp_path / "state", "two")
    assert refused.value.code == "S005"
    assert refused.value.way_out
    lock.release()
    lock.release()
    assert not lock.held
    assert holder_of(tmp_path / "state") == ""
    InstallationLock.take(tmp_path / "state", "two").release()


def test_it_dies_with_the_process(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(Refused, match="process 4711 on box"):
            InstallationLock.take(tmp_path, "two")
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    lock = InstallationLock.take(tmp_path, "two")
    assert holder_of(tmp_path) == "two", "the name of the dead is gone"
    child = subprocess.Popen(["sleep", "60"])
    try:
        lock.release()
        InstallationLock.take(tmp_path, "three").release()  # a child that was started keeps nothing
    finally:
        child.kill()
        child.wait()


def test_a_name_of_any_kind(tmp_path):
    InstallationLock.take(tmp_path, "half \ud83d of a pair, \x00, " + "long " * 1000)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "leuko.lock").write_bytes(b"\xff\xfe")
    InstallationLock.take(tmp_path / "other", "x").release()
