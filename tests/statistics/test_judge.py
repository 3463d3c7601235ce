"""What the verdict says about pushes that are healthy, sick, silent, or too little known."""

import dataclasses

import numpy as np
import pytest
from tests.statistics.world import GAUGES, World, cut

from leuko.domain.gauge import Direction, Gauge, Kind, Limit
from leuko.domain.verdict import Decision
from leuko.statistics.judge import judge
from leuko.statistics.path import path
from leuko.statistics.question import Question, Series

REQUESTS = Gauge("requests", Kind.COUNT, Direction.DOWN)
LEVEL = Gauge("latency", Kind.LEVEL)


def asked(
    gauges=(REQUESTS,),
    *,
    canary=None,
    control=None,
    hosts=4,
    canaries=1,
    history=40,
    watch=12,
    tick=1.0,
    roles=None,
    seed=1,
    **more,
):
    """Poisson requests at 20 a tick and 5 ms latency; `canary` and `control` change the watch's values in place."""
    rng = np.random.default_rng(seed)
    T = history + watch
    known = {
        "requests": rng.poisson(20, (T, hosts)).astype(float),
        "latency": 5 * np.exp(rng.normal(0, 0.1, (T, hosts))),
        "errors": np.zeros((T, hosts)),
        "ok": None,
    }
    known["ok"] = known["requests"] * 1.0
    for change, part in ((canary, slice(0, canaries)), (control, slice(canaries, None))):
        if change:
            change(known, (slice(history, None), part))
    series = {
        g.name: Series(known[g.name], known["requests"] if g.kind is Kind.RATIO else None)
        for g in gauges
        if g.name in known
    }
    times = 1000.0 + tick * np.arange(1, T + 1)
    at = times[history - 1]
    switched = np.full(hosts, np.nan)
    switched[:canaries] = at
    roles = roles or ("www",) * hosts
    fields = {
        "pushed_roles": frozenset(roles[:canaries]),
        "watched": np.isfinite(switched),
        "wanted": watch,
    } | more
    return Question(
        gauges=tuple(gauges), hosts=tuple(f"h{i}" for i in range(hosts)), roles=roles, tick=tick, times=times,
        series=series, switched_at=switched, watch_from=at, **fields,
    )  # fmt: skip


def setting(name, value):
    def change(known, part):
        known[name][part] = value

    return change


def times(name, factor):
    def change(known, part):
        known[name][part] *= factor

    return change


# --- passing and going on ------------------------------------------------------------------------------


def test_a_healthy_push_goes_on_and_then_passes():
    question = asked()
    for ticks in range(1, 12):
        verdict = judge(cut(question, 40 + ticks))
        assert verdict.decision is Decision.CONTINUE
        assert (verdict.ticks, verdict.wanted) == (ticks, 12)
    verdict = judge(question)
    assert verdict.decision is Decision.PASS
    assert "1 host watched for 12 ticks" in verdict.sentence


def test_the_same_readings_have_the_same_verdict():
    question = World(seed=3).question("errors5")
    assert judge(question) == judge(question)


def test_nothing_read_at_all_holds():
    empty = asked(canary=setting("requests", np.nan), control=setting("requests", np.nan))
    verdict = judge(empty)
    assert verdict.decision is Decision.HOLD
    assert "fault of collection" in verdict.sentence


def test_no_gauges_and_no_history_never_pass():
    assert judge(asked(())).decision is Decision.CONTINUE
    for history in (0, 1, 5):
        verdict = judge(
            asked(history=history) if history else dataclasses.replace(asked(history=1), series={})
        )
        assert verdict.decision in {Decision.HOLD, Decision.CONTINUE}


def test_first_ticks_before_any_reading():
    question = asked()
    assert judge(cut(question, 40)).decision is Decision.CONTINUE
    assert judge(cut(question, 0)).decision is Decision.CONTINUE


# --- hard limits ------------------------------------------------------------------------------------------


def limited(**limit):
    return dataclasses.replace(LEVEL, limits=(Limit(**limit),))


def spiked(at, value=100.0):
    def change(known, part):
        known["latency"][part[0].start + np.array(at), part[1]] = value

    return change


def test_two_readings_in_a_row_break_a_limit_and_one_does_not():
    gauge = limited(above=50)
    assert judge(asked((REQUESTS, gauge), canary=spiked([7]))).decision is Decision.PASS
    assert judge(asked((REQUESTS, gauge), canary=spiked([6, 8]))).decision is Decision.PASS
    verdict = judge(asked((REQUESTS, gauge), canary=spiked([7, 8])))
    assert verdict.decision is Decision.FAIL
    assert "latency at h0 reached 100, which breaks the limit >50 for 2 readings in a row" in verdict.sentence
    failed = [f for f in verdict.findings if f.decision is Decision.FAIL]
    assert [(f.subject, f.limit) for f in failed] == [("h0", ">50")]


def test_absent_readings_lie_between_consecutive_ones():
    def change(known, part):
        known["latency"][part[0].start + np.array([6, 8]), part[1]] = 100
        known["latency"][part[0].start + 7, part[1]] = np.nan

    assert judge(asked((REQUESTS, limited(above=50)), canary=change)).decision is Decision.FAIL


def test_a_limit_broken_before_is_not_blamed_on_the_push():
    question = asked((REQUESTS, limited(above=1.0)))
    verdict = judge(question)
    assert verdict.decision is Decision.PASS
    assert any("did so before" in f.sentence for f in verdict.findings)


def test_other_hosts_do_not_fail_the_push():
    assert judge(asked((REQUESTS, limited(above=50)), control=spiked([7, 8]))).decision is Decision.PASS


def test_counts_are_compared_a_minute():
    gauge = dataclasses.replace(REQUESTS, limits=(Limit(above=60 * 45),))
    assert judge(asked((gauge,), canary=setting("requests", 44))).decision is Decision.PASS
    verdict = judge(asked((gauge,), canary=setting("requests", 46)))
    assert verdict.decision is Decision.FAIL
    assert "2760 a minute" in verdict.sentence


def test_an_aggregate_is_over_the_role_and_over_all():
    gauge = limited(above=20, scope="aggregate")
    roles = ("www", "www", "db", "db")
    verdict = judge(asked((REQUESTS, gauge), canary=setting("latency", 60.0), roles=roles))
    assert verdict.decision is Decision.FAIL
    failed = {f.subject for f in verdict.findings if f.decision is Decision.FAIL and f.aggregate}
    assert "www" in failed
    assert "db" not in failed


def test_absence_breaks_no_lower_limit():
    gauge = dataclasses.replace(REQUESTS, limits=(Limit(below=60 * 60, scope="aggregate"),))
    verdict = judge(cut(asked((gauge,), canary=setting("requests", np.nan)), 42))
    assert verdict.decision is Decision.CONTINUE


def test_overridden_limits_are_in_force():
    question = asked(
        (REQUESTS, limited(above=50)), canary=spiked([7, 8]), limits={"latency": (Limit(above=500),)}
    )
    assert judge(question).decision is Decision.PASS


# --- comparison ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "gauge", "ticks"),
    [("errors10", "error", 6), ("slow", "latency", 8), ("leak", "memory", 12), ("stop", "requests", 8)],
)
def test_faults_are_found_and_named(fault, gauge, ticks):
    question = World(seed=7).question(fault)
    verdicts = [judge(cut(question, 40 + k)) for k in range(1, 13)]
    first = next(k for k, v in enumerate(verdicts, 1) if v.decision is Decision.FAIL)
    assert first <= ticks
    assert gauge in verdicts[first - 1].sentence
    assert any(
        f.decision is Decision.FAIL and gauge in f.gauge and f.aggregate for f in verdicts[first - 1].findings
    )


def test_what_happens_to_all_hosts_is_not_the_release():
    def all_slow(known, part):
        known["latency"][part] *= 8
        known["requests"][part] //= 3

    assert (
        judge(asked((REQUESTS, LEVEL), hosts=8, canaries=2, canary=all_slow, control=all_slow)).decision
        is Decision.PASS
    )


def test_a_ratio_near_one_is_judged_by_what_is_missing():
    def fewer(known, part):
        known["ok"][part] = np.floor(known["requests"][part] * 0.85)

    gauge = Gauge("ok", Kind.RATIO, Direction.DOWN)
    verdict = judge(asked((REQUESTS, gauge), hosts=8, canaries=2, canary=fewer))
    assert verdict.decision is Decision.FAIL
    assert verdict.sentence.startswith("ok ")


def test_both_directions():
    for factor in (20, 1 / 20):
        gauge = dataclasses.replace(LEVEL, direction=Direction.BOTH)
        assert (
            judge(asked((REQUESTS, gauge), hosts=8, canaries=2, canary=times("latency", factor))).decision
            is Decision.FAIL
        )
    assert (
        judge(asked((REQUESTS, LEVEL), hosts=8, canaries=2, canary=times("latency", 1 / 20))).decision
        is Decision.PASS
    )


def test_a_sentence_for_a_tired_engineer():
    verdict = judge(World(seed=7, base_errors=0.005).question("errors10"))
    assert "on the 2 switched hosts " in verdict.sentence
    assert "A change this strong appears by chance in fewer than 1 of " in verdict.sentence
    assert "what the 6 old hosts and their own last 40 s predict" in verdict.sentence
    assert " seen, " in verdict.sentence


@pytest.mark.parametrize(("hosts", "canaries"), [(1, 1), (2, 1), (2, 2)])
def test_small_fleets(hosts, canaries):
    """One or two hosts: held against their own history."""
    gauges = (REQUESTS, LEVEL)
    assert judge(asked(gauges, hosts=hosts, canaries=canaries)).decision is Decision.PASS
    assert (
        judge(asked(gauges, hosts=hosts, canaries=canaries, canary=times("latency", 30))).decision
        is Decision.FAIL
    )
    assert (
        judge(asked(gauges, hosts=hosts, canaries=canaries, canary=setting("requests", 0))).decision
        is Decision.FAIL
    )


def test_last_phase_with_a_hold_back():
    held = np.zeros(8, bool)
    held[7] = True
    fields = {"hosts": 8, "canaries": 7, "held_back": held}
    assert judge(asked((REQUESTS, LEVEL), **fields)).decision is Decision.PASS
    assert judge(asked((REQUESTS, LEVEL), canary=times("latency", 30), **fields)).decision is Decision.FAIL
    both = times("latency", 30)
    assert judge(asked((REQUESTS, LEVEL), canary=both, control=both, **fields)).decision is Decision.PASS


def test_hosts_switched_earlier_count_in_later_phases():
    question = asked((REQUESTS, LEVEL), hosts=8, canaries=4, canary=times("latency", 30))
    at = question.switched_at.copy()
    at[:2] -= 20
    watched = np.zeros(8, bool)
    watched[2:4] = True
    later = dataclasses.replace(question, switched_at=at, watched=watched)
    verdict = judge(later)
    assert verdict.decision is Decision.FAIL
    assert "the 4 switched hosts" in verdict.sentence


@pytest.mark.parametrize(("factor", "decision"), [(1, Decision.PASS), (8, Decision.FAIL)])
def test_more_customers_are_no_errors(factor, decision):
    """Traffic on the canaries grows fourfold, and what a hundredth of it always did with it."""
    errors = Gauge("errors", Kind.COUNT, per="requests")
    question = asked((REQUESTS, errors), hosts=8, canaries=2, watch=20)
    random = np.random.default_rng(3)
    requests = random.poisson(100, (60, 8)).astype(float)
    requests[40:, :2] = random.poisson(400, (20, 2))
    share = np.full((60, 8), 0.02)
    share[40:, :2] *= factor
    series = {
        "requests": Series(requests),
        "errors": Series(random.binomial(requests.astype(int), share).astype(float)),
    }
    assert judge(dataclasses.replace(question, series=series)).decision is decision
    blind_to_it = dataclasses.replace(question, series=series, gauges=(REQUESTS, Gauge("errors", Kind.COUNT)))
    assert judge(blind_to_it).decision is Decision.FAIL


# --- absence -------------------------------------------------------------------------------------------------


def test_a_silent_canary_holds_after_five_seconds_and_fails_after_ten():
    question = asked(
        (REQUESTS, LEVEL), canary=lambda k, p: [k[n].__setitem__(p, np.nan) for n in ("requests", "latency")]
    )
    said = {k: judge(cut(question, 40 + k)).decision for k in range(1, 13)}
    assert said[4] is Decision.CONTINUE
    assert said[5] is Decision.HOLD
    assert said[9] is Decision.HOLD
    assert said[10] is Decision.FAIL
    assert (
        "h0 gave no requests, latency for 10 s while the other hosts still report"
        in judge(cut(question, 50)).sentence
    )


def test_silence_with_long_ticks():
    question = asked(tick=5.0, canary=setting("requests", np.nan))
    said = [judge(cut(question, 40 + k)).decision for k in range(1, 7)]
    assert said == [Decision.CONTINUE] * 2 + [Decision.HOLD] * 3 + [Decision.FAIL]


def test_all_silent_is_a_fault_of_collection_and_never_fails():
    question = asked(canary=setting("requests", np.nan), control=setting("requests", np.nan))
    for k in range(5, 13):
        assert judge(cut(question, 40 + k)).decision is Decision.HOLD


def test_silence_of_a_gauge_that_is_not_required_is_only_shown():
    gauge = dataclasses.replace(LEVEL, required=False)
    assert judge(asked((REQUESTS, gauge), canary=setting("latency", np.nan))).decision is Decision.PASS


def test_ticks_missed_by_the_controller_are_neither_health_nor_silence():
    def gap(known, part):
        known["requests"][part[0].start + 3 : part[0].start + 11, :] = np.nan

    verdict = judge(asked(canary=gap))
    assert verdict.decision is Decision.CONTINUE
    assert verdict.ticks == 4


def test_too_few_readings_hold():
    def holes(known, part):
        known["latency"][part[0].start + np.array([6, 7, 9, 10]), part[1]] = np.nan

    verdict = judge(asked((REQUESTS, LEVEL), canary=holes))
    assert verdict.decision is Decision.CONTINUE  # they may still come
    verdict = judge(asked((REQUESTS, LEVEL), canary=holes, longest=12))
    assert verdict.decision is Decision.HOLD
    assert "80 % are needed" in verdict.sentence


# --- blindness -------------------------------------------------------------------------------------------------


def test_a_role_that_only_blind_gauges_cover_holds():
    gauge = Gauge("errors", Kind.COUNT)
    verdict = judge(asked((gauge,)))
    assert verdict.decision is Decision.HOLD
    assert "blind for role www" in verdict.sentence
    assert "errors or more where none are usual" in verdict.sentence
    assert verdict.sentence.endswith("shows more: `leuko plan` says how much")
    assert verdict.blind == (), "a handful of errors would have shown, but not that nothing works"


def test_a_pushed_role_without_hosts_or_gauges_holds():
    question = asked((dataclasses.replace(REQUESTS, roles=("www",)),), pushed_roles=frozenset({"www", "db"}))
    verdict = judge(question)
    assert verdict.decision is Decision.HOLD
    assert "db" in verdict.sentence
    assert verdict.sentence.endswith("under `gauges`, with `roles: [db]` or without `roles`")


def test_a_watch_without_history_says_that_time_mends_it():
    verdict = judge(asked((LEVEL,), history=5))
    assert verdict.decision is Decision.HOLD
    assert verdict.sentence.endswith("`leuko abort`, wait for them, and push again")


def test_an_idle_server_is_judged_by_what_is_never_nothing():
    """Its load is 0 all day long: a watch of it shows nothing, and must not pass."""

    def machine(*gauges):
        question = asked(tuple(Gauge(name, Kind.LEVEL) for name in gauges), hosts=3)
        rng = np.random.default_rng(1)
        shape = question.series.get("load", Series(np.zeros((52, 3)))).values.shape
        known = {
            "load": np.zeros(shape),
            "cpu": np.abs(1 + rng.normal(0, 0.4, shape)),
            "memory": 8e8 * np.exp(rng.normal(0, 0.004, shape)),
        }
        return judge(dataclasses.replace(question, series={name: Series(known[name]) for name in gauges}))

    blind = machine("load")
    assert blind.decision is Decision.HOLD
    assert "its history holds only zeros or nothing" in blind.sentence
    assert blind.sentence.endswith("count requests and errors in leuko.yml, under `gauges`")
    assert machine("cpu", "memory").decision is Decision.PASS


def test_a_blind_gauge_beside_a_seeing_one_passes_and_says_so():
    verdict = judge(asked((REQUESTS, Gauge("errors", Kind.COUNT))))
    assert verdict.decision is Decision.PASS
    assert verdict.blind == ()
    assert any("errors or more where none are usual" in f.sentence for f in verdict.findings)
    verdict = judge(asked((REQUESTS, Gauge("nothing", Kind.LEVEL, required=False))))
    assert verdict.decision is Decision.PASS
    assert verdict.blind == ("nothing",)
    assert "blind: nothing" in verdict.sentence


def test_must_see_extends_the_watch_and_then_holds():
    gauge = dataclasses.replace(LEVEL, must_see=1.01)
    verdict = judge(asked((REQUESTS, gauge), longest=15))
    assert verdict.decision is Decision.CONTINUE
    assert "watching on, up to 15 ticks" in verdict.sentence
    verdict = judge(asked((REQUESTS, gauge), watch=15, wanted=12, longest=15))
    assert verdict.decision is Decision.HOLD
    assert "latency must be able to show 1.0x" in verdict.sentence
    seen = dataclasses.replace(LEVEL, must_see=8.0)
    assert judge(asked((REQUESTS, seen), hosts=8, canaries=2)).decision is Decision.PASS


# --- findings of hosts that nothing was pushed to --------------------------------------------------------------


def test_a_shard_that_is_only_watched_has_figures_of_its_own_and_its_hosts():
    roles = ("www", "www", "www", "shard", "shard")

    def slower(known, part):
        known["latency"][part[0], 3:] *= 6

    verdict = judge(asked((REQUESTS, LEVEL), hosts=5, roles=roles, watch=20, control=slower))
    assert verdict.decision is Decision.FAIL
    assert "role shard" in verdict.sentence
    rows = {f.subject: f for f in verdict.findings if f.gauge == "latency" and f.role == "shard"}
    assert set(rows) == {"shard", "h3", "h4"}
    assert rows["shard"].percent == pytest.approx(500, rel=0.2)
    assert all(rows[host].percent > 300 for host in ("h3", "h4"))


def test_a_host_of_a_culprit_is_not_called_healthy_and_counts_say_that_they_are_a_minute():
    def fewer(known, part):
        known["requests"][part] = 1

    verdict = judge(asked((REQUESTS, LEVEL), canary=fewer))
    assert verdict.decision is Decision.FAIL
    rows = {f.subject: f for f in verdict.findings if f.gauge == "requests"}
    assert rows["h0"].sentence == "counted in the finding above"
    assert {f.unit for f in rows.values()} == {"a minute"}
    other = next(f for f in verdict.findings if f.gauge == "latency" and f.subject == "h0")
    assert other.sentence == "shown for comparison"


# --- garbage, and size -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.inf, -np.inf, -1e30, 3e38, 0.0, 1e-40])
def test_garbage_readings_raise_nothing(bad):
    for name in ("requests", "latency"):
        for who in ("canary", "control"):
            judge(asked((REQUESTS, LEVEL, Gauge("ok", Kind.RATIO)), **{who: setting(name, bad)}))


@pytest.mark.parametrize("seed", range(5))
def test_one_garbage_reading_does_not_make_a_small_change_look_sure(seed):
    def garbage(known, part):
        begin = part[0].start
        known["latency"][begin + 5, 0] = 1e6
        known["latency"][begin + 6 :, 0] *= 1.15

    found = path(
        asked((REQUESTS, LEVEL), canary=garbage, hosts=10, history=120, watch=40, tick=5.0, seed=seed)
    )
    assert found.fails_at is None
    assert found.total.max() < np.log(4)


def test_findings_are_bounded_for_a_thousand_hosts():
    verdict = judge(World(hosts=1000, canaries=100, tick=5).question("errors5"))
    assert verdict.decision is Decision.FAIL
    assert len(verdict.findings) < 60 * len(GAUGES)
    assert [f.aggregate for f in verdict.findings] == sorted(
        (f.aggregate for f in verdict.findings), reverse=True
    )
