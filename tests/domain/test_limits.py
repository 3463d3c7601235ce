"""Which limits count: the file's, a revision's, and in place of those what people set."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leuko.domain.gauge import Limit
from leuko.domain.limits import Origin, about, gauge_limits, in_force

SIX = Limit(above=6.0)
WWW = Limit(above=9.0, role="www")
WWW3 = Limit(above=12.0, host="www3")
OVER_WWW = Limit(above=40.0, role="www", scope="aggregate")


def test_what_nobody_touched_is_as_configured() -> None:
    found = in_force((SIX, WWW), (), (SIX,))
    assert [(one.limit, one.origin) for one in found] == [(SIX, Origin.INSTALLATION), (WWW, Origin.REVISION)]


def test_a_person_s_limit_stands_in_place_of_the_file_s_about_the_same_place() -> None:
    (found,) = in_force((SIX,), (replace(SIX, above=4.0, readings=3),))
    assert (found.limit.above, found.origin, found.instead_of) == (4.0, Origin.PERSON, (SIX,))


@pytest.mark.parametrize(
    ("host", "role", "held_to"),
    [("www3", "www", [12.0]), ("www1", "www", [9.0]), ("chat1", "chat", [6.0]), ("www", "chat", [6.0])],
)
def test_the_narrowest_that_a_person_set_counts(host: str, role: str, held_to: list[float]) -> None:
    limits = [one for one in gauge_limits((SIX, OVER_WWW), (WWW, WWW3)) if one.scope == "host"]
    assert [one.above for one in limits if one.concerns(host, role)] == held_to


def test_a_file_s_narrower_limit_takes_nothing_away_from_a_wider_one() -> None:
    """Or a commit could loosen the installation's floor by naming a role."""
    loose = Limit(above=1e9, role="www")
    assert [one.above for one in gauge_limits((SIX, loose), ()) if one.concerns("www1", "www")] == [6.0, 1e9]


def test_aggregates_and_hosts_are_different_places() -> None:
    found = gauge_limits((OVER_WWW,), (WWW,))
    assert {one.scope: one.besides for one in found} == {"aggregate": (), "host": ()}


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        (SIX, "on each host"),
        (WWW, "on each www host"),
        (WWW3, "on www3"),
        (OVER_WWW, "over www"),
        (Limit(above=1.0, scope="aggregate"), "over all hosts"),
    ],
)
def test_in_words(limit: Limit, said: str) -> None:
    assert about(limit) == said


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        (Limit(above=0.05), ">0.05"),
        (Limit(above=1000), ">1000"),
        (Limit(above=4e8), ">400,000,000"),
        (Limit(above=1234567.0, below=0.1 + 0.2), ">1,234,567 or <0.3"),
    ],
)
def test_a_limit_is_said_as_it_was_written(limit, said):
    assert str(limit) == said
