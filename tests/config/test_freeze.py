from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from leuko.config.freeze import Difference, differences, digest, freeze, frozen_text, stricter, thaw
from leuko.config.loading import parse
from leuko.config.model import Gauge, GaugeLimit
from leuko.config.problems import ConfigurationInvalid
from leuko.config.sources import HostSource

QUICK = settings(deadline=None, max_examples=60)

OWN = """\
application: shop
repository: /git/shop
fleet:
  roles: {www: [a, b, c]}
  hooks: {reload: reload-one, drain: drain-one}
  health: {command: ask, tries: 3}
verify: {setup: [one], tests: {unit: make test}, workers: 4}
release: {build: make, path: dist}
components:
  web: {}
  jobs: {release: {path: jobs}}
gauges:
  errors: {kind: ratio, log: {file: a.log, match: ERR}, limits: [{above: 0.05}]}
  load: {kind: level, host: {figure: load}}
push: {phases: [{hosts: 1, watch: 1m}, {hosts: 100%, watch: 60}]}
secrets: {TOKEN: {env: TOKEN}}
"""
ERRORS = "{kind: ratio, log: {file: a.log, match: ERR}"


@pytest.fixture
def own():
    return parse(OWN).configuration


def test_without_a_file_of_its_own_a_revision_changes_nothing(own):
    assert freeze(own, None).configuration == own
    assert freeze(own, "").configuration == freeze(own, "# nothing yet\n").configuration == own


def test_the_same_file_changes_nothing(own):
    frozen = freeze(own, OWN)
    assert frozen.configuration == own
    assert frozen.ignored == ()
    assert frozen.digest == digest(own) == freeze(own, None).digest


def test_a_revision_says_how_it_is_tested_built_reloaded_and_watched(own):
    frozen = freeze(
        own,
        """\
verify: {tests: {all: ./test}}
release: {path: build}
components: {jobs: {release: {build: make jobs}}, web: {release: {path: web}}}
fleet: {hooks: {reload: reload-two, stop: stop-two}, health: {tries: 9}, running: {command: which}}
gauges: {queue: {kind: level, host: {figure: disk}}}
""",
    ).configuration
    assert (tuple(node.run for node in frozen.verify.setup), frozen.verify.tests, frozen.verify.workers) == (
        ("one",),
        {"all": "./test"},
        4,
    )
    assert (frozen.release.build, frozen.release.path) == ("make", "build")
    assert frozen.components["jobs"].release.model_dump(exclude_unset=True) == {
        "path": "jobs",
        "build": "make jobs",
    }
    assert frozen.components["web"].release.path == "web"
    hooks = frozen.fleet.hooks
    assert (hooks.reload, hooks.drain, hooks.stop) == ("reload-two", "drain-one", "stop-two")
    assert (frozen.fleet.health.command, frozen.fleet.health.tries) == ("ask", 9)
    assert frozen.fleet.running.command == "which"
    assert list(frozen.gauges) == ["errors", "load", "queue"]


def test_the_rest_is_the_installations_and_what_differs_is_told(own):
    frozen = freeze(
        own,
        """\
application: evil
repository: /git/shop
verify_user: root
fleet: {roles: {www: [evil1]}, root: /etc, ssh: {user: root}, hooks: {reload: reload-one}}
push: {phases: [{hosts: 100%, watch: 1}]}
secrets: {OTHER: {file: /etc/shadow}}
components: {more: {release: {path: x}}, web: {roles: [www]}}
notify: {command: [sh, -c, evil]}
""",
    )
    assert frozen.configuration == own
    assert sorted(frozen.ignored) == [
        "application",
        "components.more",
        "components.web.roles",
        "fleet.roles.www.hosts",
        "fleet.root",
        "fleet.ssh.user",
        "notify.command",
        "push.phases",
        "secrets.OTHER",
        "verify_user",
    ]


def test_an_overlay_of_the_revision_counts_for_its_environment(own):
    base = OWN.replace("reload-one", "reload-base").replace("path: dist", "path: base")
    frozen = freeze(
        own, base, "leuko.yml@abc", "fleet: {hooks: {reload: reload-one}}\nrelease: {path: dist}\n"
    )
    assert frozen.configuration == own
    with pytest.raises(ConfigurationInvalid, match=r"leuko.production.yml@abc:1:1 flet"):
        freeze(own, base, "leuko.yml@abc", "flet: {}\n")


LIMITS = {
    "looser": ("[{above: 0.5}]", "[{above: 0.05}]"),
    "tighter": ("[{above: 0.01}]", "[{above: 0.01}]"),
    "slower": ("[{above: 0.05, readings: 9}]", "[{above: 0.05}]"),
    "tighter but slower": ("[{above: 0.01, readings: 9}]", "[{above: 0.05}, {above: 0.01, readings: 9}]"),
    "none": ("[]", "[{above: 0.05}]"),
    "of another kind": (
        "[{above: 0.01, scope: aggregate}]",
        "[{above: 0.05}, {above: 0.01, scope: aggregate}]",
    ),
    "of one host": (
        "[{above: 0.5, host: a}]",
        "[{above: 0.05}, {above: 0.5, host: a}]",
    ),
    "on the other side": ("[{below: 0.001}]", "[{above: 0.05}, {below: 0.001}]"),
}


@pytest.mark.parametrize("name", LIMITS)
def test_the_installations_limits_are_the_floor(name, own):
    said, expected = LIMITS[name]
    wanted = parse(OWN.replace("[{above: 0.05}]", expected)).configuration.gauges["errors"].limits
    assert (
        freeze(own, f"gauges: {{errors: {ERRORS}, limits: {said}}}}}\n").configuration.gauges["errors"].limits
        == wanted
    )


def test_a_revision_cannot_make_a_gauge_optional_blind_or_narrow(own):
    strict = parse(
        OWN.replace("limits: [{above: 0.05}]", "must_see: 2, limits: [{above: 0.05}]")
    ).configuration
    gauge = freeze(
        strict, f"gauges: {{errors: {ERRORS}, required: false, must_see: 5, roles: [www]}}}}\n"
    ).configuration.gauges["errors"]
    assert (gauge.required, gauge.must_see, gauge.roles) == (True, 2.0, ())


REFUSED = {
    "a slip": ("verfy: {}\n", "leuko.yml@abc:1:1 verfy: is not a key that Leuko knows [C009]"),
    "a role of nobody": (
        "gauges: {q: {kind: level, roles: [jobs], host: {figure: cpu}}}\n",
        'leuko.yml@abc:1:35 gauges.q.roles[0]: there is no role "jobs" [C030]',
    ),
    "a path out of the tree": (
        "release: {linked_dirs: [../../etc]}\n",
        'leuko.yml@abc:1:25 release.linked_dirs[0]: should be a path inside the release, not "../../etc" [C040]',
    ),
    "a list": (
        "- a\n",
        "leuko.yml@abc:1:1: holds a list at its top level, and should hold keys and values [C006]",
    ),
    "garbage": (b"\xff\xff", "leuko.yml@abc:1:1: is not UTF-8 text: byte 0xFF does not belong here [C002]"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_revisions_file_that_is_wrong_is_refused_with_its_place(name, own):
    text, expected = REFUSED[name]
    with pytest.raises(ConfigurationInvalid) as caught:
        freeze(own, text, "leuko.yml@abc")
    assert [str(problem).split("\n")[0] for problem in caught.value.problems] == [expected]


def test_a_frozen_text_comes_back_as_it_was(own):
    assert thaw(frozen_text(own)) == own
    assert frozen_text(thaw(frozen_text(own))) == frozen_text(own)
    assert type(thaw(frozen_text(own)).push.phases[0].watch) is float
    assert type(thaw(frozen_text(own)).push.phases[1].watch) is int


def changed(**replaced: str):
    text = OWN
    for old, new in replaced.items():
        assert old in text
        text = text.replace(old, new)
    return parse(text).configuration


def test_differences_have_a_kind(own):
    text = (
        OWN.replace("reload-one", "reload-two")
        .replace("tries: 3", "tries: 4")
        .replace("above: 0.05", "above: 0.5")
        .replace("match: ERR", "match: BAD")
        .replace(
            "  load: {kind: level, host: {figure: load}}\n", "  cpu: {kind: level, host: {figure: cpu}}\n"
        )
        .replace("[a, b, c]", "[a, b, d]")
        .replace("path: dist", "path: out")
    )
    load = '{"kind": "level", "direction": "up", "required": true, "host": {"figure": "load"}}'
    assert set(differences(own, parse(text).configuration)) == {
        Difference("fleet.hooks.reload", '"reload-one"', '"reload-two"', "hooks"),
        Difference("fleet.health.tries", "3", "4", "hooks"),
        Difference("fleet.roles.www.hosts[2].name", '"c"', '"d"', "fleet"),
        Difference("gauges.errors.limits[0].above", "0.05", "0.5", "limits"),
        Difference("gauges.errors.log.match", '"ERR"', '"BAD"', "gauges"),
        Difference("gauges.load", load, None, "gauges"),
        Difference("gauges.cpu", None, load.replace('"load"', '"cpu"'), "gauges"),
        Difference("release.path", '"dist"', '"out"', "other"),
    }
    assert differences(own, own) == ()


def test_a_difference_reads_as_a_line():
    assert str(Difference("a.b", "1", "2", "other")) == "a.b: 1 -> 2"
    assert str(Difference("a.b", None, "2", "other")) == "a.b: 2 (new)"
    assert str(Difference("a.b", "1", None, "other")) == "a.b: 1 (taken out)"


def test_a_gauge_taken_out_still_judges_the_push_that_takes_it_out(own):
    new = parse(OWN.replace("  load: {kind: level, host: {figure: load}}\n", "")).configuration
    assert set(stricter(own, new).gauges) == {"errors", "load"}


def test_a_gauge_that_reads_something_else_is_read_both_ways(own):
    new = parse(OWN.replace("match: ERR", "match: NOTHING")).configuration
    both = stricter(own, new).gauges
    assert both["errors"] == own.gauges["errors"]
    assert both["errors.new"] == new.gauges["errors"]


def test_the_rest_of_the_push_is_the_new_ones(own):
    new = parse(OWN.replace("reload-one", "reload-two")).configuration
    assert stricter(own, new) == new


ANY = parse(OWN).configuration
LIMIT = some.builds(
    GaugeLimit,
    above=some.one_of(some.none(), some.integers(0, 5).map(float)),
    below=some.one_of(some.none(), some.integers(0, 5).map(float)),
    scope=some.sampled_from(["host", "aggregate"]),
    readings=some.integers(1, 4),
)
GAUGE = some.builds(
    Gauge,
    kind=some.just("level"),
    limits=some.lists(LIMIT, max_size=4).map(tuple),
    required=some.booleans(),
    host=some.just(HostSource(figure="cpu")),
)


def breaks(limits, value: float, readings: int, scope: str) -> bool:
    return any(
        limit.scope == scope
        and readings >= limit.readings
        and (
            (limit.above is not None and value > limit.above)
            or (limit.below is not None and value < limit.below)
        )
        for limit in limits
    )


@QUICK
@given(GAUGE, GAUGE, some.floats(-1, 6), some.integers(1, 5), some.sampled_from(["host", "aggregate"]))
def test_whatever_either_would_stop_both_together_stop(old, new, value, readings, scope):
    own = ANY
    combined = stricter(
        own.model_copy(update={"gauges": {"g": old}}), own.model_copy(update={"gauges": {"g": new}})
    )
    gauge = combined.gauges["g"]
    assert breaks(gauge.limits, value, readings, scope) == (
        breaks(old.limits, value, readings, scope) or breaks(new.limits, value, readings, scope)
    )
    assert gauge.required == (old.required or new.required)
