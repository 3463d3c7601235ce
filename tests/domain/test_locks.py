"""Which revisions a lock blocks, and what lifts it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.builders import NOON, commit, revision

from leuko.domain.lock import Lock, LockKind, Severity, blocked, lifted_by

PUSH_LOCK = Lock("L1", LockKind.PUSH, Severity.HARD, "leuko", "bad", NOON, push=3, blocks=(revision("b"),))
COMMIT_LOCK = replace(PUSH_LOCK, id="L2", kind=LockKind.COMMIT)
BY_HAND = Lock("L3", LockKind.PUSH, Severity.HARD, "ann", "fair", NOON)
LOCKS = (PUSH_LOCK, COMMIT_LOCK, BY_HAND)

BAD = commit("b", "Break it")
OTHER = commit("c", "Something else")
FIX_PUSH_LOCK = commit("d", "Mend it\n\nLeuko-Fix: L1")
FIX_COMMIT_LOCK = commit("d", "Mend it\n\nleuko-fix: L2")
FIX_OTHER = commit("d", "Mend it\n\nLeuko-Fix: L9")
REVERT = commit("e", f'Revert "Break it"\n\nThis reverts commit {revision("b")}.')
SHORT_REVERT = commit("e", f"Out\n\nThis reverts commit {revision('b')[:10]}.")
IN_SUBJECT = commit("f", "Leuko-Fix: L1")


@pytest.mark.parametrize(
    ("commits", "is_blocked"),
    [
        pytest.param((), False, id="nothing new"),
        pytest.param((OTHER,), False, id="without the bad commit"),
        pytest.param((BAD,), True, id="the bad commit"),
        pytest.param((OTHER, BAD), True, id="another on top does not help"),
        pytest.param((FIX_PUSH_LOCK, BAD), False, id="a fix of the push lock"),
        pytest.param((FIX_COMMIT_LOCK, OTHER, BAD), False, id="a fix of the commit lock means both"),
        pytest.param((FIX_OTHER, BAD), True, id="a fix of another lock"),
        pytest.param((IN_SUBJECT, BAD), True, id="a subject is no trailer"),
        pytest.param((BAD, FIX_PUSH_LOCK), True, id="a fix before the bad commit"),
        pytest.param((REVERT, BAD), False, id="its revert"),
        pytest.param((SHORT_REVERT, BAD), False, id="its revert by a short name"),
        pytest.param((BAD, REVERT), True, id="brought back after the revert"),
    ],
)
def test_blocked(commits, is_blocked) -> None:
    found = blocked(commits, LOCKS)
    assert (found is not None) == is_blocked
    if found:
        assert found.revision == revision("b")
        assert "Leuko-Fix: L1" in found.sentence


@pytest.mark.parametrize(
    ("commits", "ids"),
    [
        ((OTHER,), set()),
        ((FIX_PUSH_LOCK, BAD), {"L1", "L2"}),
        ((FIX_COMMIT_LOCK, BAD), {"L1", "L2"}),
        ((REVERT, BAD), {"L1", "L2"}),
        ((commit("d", "x\n\nLeuko-Fix: L3"),), {"L3"}),
    ],
)
def test_lifted(commits, ids) -> None:
    assert {lock.id for lock in lifted_by(commits, LOCKS)} == ids
