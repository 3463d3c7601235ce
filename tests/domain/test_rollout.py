"""Which hosts may move: capacity, phases, budgets, and what answers mean."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders import NOON, commit, revision

from leuko.domain.errors import LeukoError
from leuko.domain.fleet import HOLD_BACK, Host, PhaseRule, Share, assign_phases, room_to_take_out
from leuko.domain.order import OrderKind, Outcome, Result
from leuko.domain.rollout import (
    HostProgress,
    HostState,
    answered,
    belongs,
    ordered,
    to_restore,
    to_switch,
)

SHARES = st.one_of(
    st.integers(0, 30).map(lambda count: Share(count=count)),
    st.floats(0, 100).map(lambda percent: Share(percent=percent)),
)
ROLES = st.lists(st.sampled_from(["www", "chat", "worker"]), min_size=1, max_size=25)
NONE = frozenset[str]()


def fleet(roles: list[str]) -> list[Host]:
    return [Host(f"{role}{number}", role) for number, role in enumerate(roles)]


@given(ROLES, st.lists(st.integers(1, 100), min_size=1, max_size=4), SHARES | st.none(), st.integers(0, 9))
def test_every_host_gets_exactly_one_phase_and_percentages_are_reached(roles, shares, held, rotation) -> None:
    hosts = fleet(roles)
    percents = [*sorted(shares), 100]
    rules = [PhaseRule(Share(percent=float(percent))) for percent in percents]
    try:
        phases = assign_phases(hosts, rules, held, rotation=rotation)
    except LeukoError:
        return  # a phase would be empty: it is refused, not run
    assert set(phases) == {host.name for host in hosts}
    for role in set(roles):
        mine = [phases[host.name] for host in hosts if host.role == role]
        spared = sum(phase == HOLD_BACK for phase in mine)
        assert spared == 0 or len(mine) - spared >= 2, "a role keeps two that are judged"
        for index, percent in enumerate(percents):
            by_then = sum(0 <= phase <= index for phase in mine)
            assert by_then >= min(Share(percent=float(percent)).of(len(mine)), len(mine) - spared)


@given(st.integers(0, 300), st.integers(0, 300), SHARES)
def test_something_may_always_move_and_never_too_much(serving, out, healthy) -> None:
    room = room_to_take_out(serving, out, healthy)
    assert room >= 0
    if out == 0:
        assert room >= 1
    stay = healthy.of(serving) if healthy.percent is not None else min(healthy.count or 0, serving)
    assert room + out <= max(1, out, serving - stay)


ROWS = st.lists(
    st.builds(
        HostProgress,
        host=st.uuids().map(str),
        role=st.sampled_from(["www", "chat"]),
        phase=st.integers(-1, 2),
        state=st.sampled_from(HostState),
        attempts=st.integers(0, 3),
        at=st.sampled_from([NOON, NOON - timedelta(minutes=5)]),
    ),
    max_size=20,
    unique_by=lambda row: row.host,
)


@settings(max_examples=200)
@given(ROWS, SHARES, st.booleans(), st.integers(-1, 2))
def test_no_host_is_moved_twice_and_a_way_back_always_goes_on(rows, healthy, at_once, phase) -> None:
    flying = frozenset(row.host for row in rows[::3])
    back = to_restore(rows, NOON, healthy, in_flight=flying, at_once=at_once)
    names = [row.host for row in back]
    assert len(set(names)) == len(names)
    assert not flying & set(names)
    for role in ("www", "chat"):
        mine = [row for row in rows if row.role == role]
        wanted = [row for row in mine if row.state is HostState.SWITCHED and row.host not in flying]
        young = [row for row in mine if row.state is HostState.RESTORING and row.at == NOON]
        if wanted and not young:
            assert any(row in back for row in wanted), "nothing that hangs or failed stops the rest"
    on = to_switch(rows, phase, NOON, healthy, in_flight=flying)
    assert all(belongs(row.phase, phase) and row.host not in flying for row in on)


def test_after_a_crash_in_mid_switch_all_of_them_go_back_at_once() -> None:
    rows = [HostProgress(f"www{n}", "www", 0, HostState.SWITCHING) for n in range(8)]
    assert to_restore(rows, NOON, Share(percent=75.0), in_flight=NONE) == rows


@pytest.mark.parametrize("result", [Result.REFUSED, Result.TIMED_OUT])
def test_a_refused_or_timed_out_order_is_like_a_failed_one(result) -> None:
    for kind, state in ((OrderKind.SWITCH, HostState.SWITCHING), (OrderKind.RESTORE, HostState.RESTORING)):
        row = ordered(HostProgress("www1", "www", 0, HostState.STAGED), state, f"p1-{kind}-www1-1", NOON)
        one = answered(row, kind, Outcome(result, "no"), NOON)
        other = answered(row, kind, Outcome(Result.FAILED, "no"), NOON)
        assert replace(one, detail="") == replace(other, detail="")


@given(st.text(alphabet="abc -:\n", max_size=60))
def test_trailers_are_only_what_stands_below_the_subject(noise) -> None:
    found = commit("f", f"Subject Leuko-Fix: L1\n{noise}\nleuko-FIX:  L2 \nLeuko-Fix:\n").fixes
    assert "L2" in found
    assert "L1" not in found
    assert "" not in found


def test_a_revert_names_what_it_takes_back() -> None:
    message = f'Revert "x"\n\nThis reverts commit {revision("a")}.\nNot: This reverts commit {revision("b")}.'
    assert commit("c", message).reverts == (revision("a"),)
