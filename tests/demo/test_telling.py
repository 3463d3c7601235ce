"""What the demo says while it happens."""

from __future__ import annotations

from datetime import UTC, datetime
from io import StringIO

from leuko.demo.telling import Teller


def test_tests_of_a_build_are_told_once_when_all_have_ended():
    began = datetime(2026, 3, 1, tzinfo=UTC)
    stream = StringIO()
    teller = Teller(began, stream=stream)

    def tell(**counts):
        filled = {"all": 43, "waiting": 0, "running": 0, "passed": 0, "failed": 0} | counts
        teller.event({"kind": "build.tests", "at": began.isoformat(), "data": {"build": 4, "counts": filled}})

    tell(all=8, waiting=8)
    tell(waiting=3, running=2, passed=38)
    tell(passed=43)
    tell(passed=43)
    assert stream.getvalue() == "  0:00.0  tests: 43 passed\n"
