"""leuko.yml in, messages out: the words and places that a person reads."""

from __future__ import annotations

import pytest

from leuko.config.loading import load, parse
from leuko.config.problems import ConfigurationInvalid, Problem

START = "application: shop\nrepository: /git/shop\n"
FLEET = "fleet:\n  roles:\n    www: [a, b, c]\n"


def problems(text: str | bytes) -> tuple[Problem, ...]:
    with pytest.raises(ConfigurationInvalid) as caught:
        parse(text)
    return caught.value.problems


def refused(text: str | bytes) -> list[str]:
    return [str(problem).split("\n")[0] for problem in problems(text)]


CASES = {
    "a duration with a space and a word": (
        START + FLEET + "push:\n  held_timeout: 5 minutes\n",
        [
            'leuko.yml:7:17 push.held_timeout: should be a duration such as "30s", "5m" or "1h", not "5 minutes" [C012]'
        ],
    ),
    "a share over everything": (
        START + FLEET + "push:\n  phases:\n    - hosts: 120%\n",
        [
            (
                "leuko.yml:8:14 push.phases[0].hosts: should be a count such as 2 or a percentage such as "
                '"10%", not "120%" [C013]'
            )
        ],
    ),
    "ticks that are none": (
        START + FLEET + "push:\n  phases:\n    - {hosts: 100%, watch: 0}\n",
        [
            (
                "leuko.yml:8:28 push.phases[0].watch: should be a number of ticks such as 12 or "
                '"12 ticks", or a duration such as "1m", not 0 [C014]'
            )
        ],
    ),
    "an unknown key": (
        START + FLEET + "gagues: {}\n",
        ["leuko.yml:6:1 gagues: is not a key that Leuko knows [C009]"],
    ),
    "a key twice": (
        START + "branch: a\nbranch: b\n" + FLEET,
        ["leuko.yml:4:1 branch: stands twice: first at leuko.yml:3:1 [C005]"],
    ),
    "a missing key": ("application: shop\n" + FLEET, ["leuko.yml:1:1 repository: is missing [C010]"]),
    "a required key with nothing": (
        "application:\nrepository: /x\n" + FLEET,
        ["leuko.yml:1:1 application: is empty, and has to be given [C010]"],
    ),
    "a gauge with nothing": (
        START + FLEET + "gauges:\n  errors:\n",
        ["leuko.yml:7:3 gauges.errors.kind: is missing [C010]"],
    ),
    "a word that is not known": (
        START + FLEET + "notify:\n  on: [live, dead]\n",
        [
            (
                'leuko.yml:7:14 notify.on[1]: should be "live", "rolled_back", "held", "stuck", '
                '"build_failed", "observed", "detector", "trend" or "culprit", '
                'not "dead" [C016]'
            )
        ],
    ),
    "text where a number belongs": (
        START + FLEET + "verify: {workers: many}\n",
        ['leuko.yml:6:19 verify.workers: should be a whole number, not "many" [C011]'],
    ),
    "true where a number belongs": (
        START + FLEET + "verify: {workers: true}\n",
        ["leuko.yml:6:19 verify.workers: should be a number, not true [C011]"],
    ),
    "too small a number": (
        START + FLEET + "verify: {workers: 0}\n",
        ["leuko.yml:6:19 verify.workers: should be at least 1, not 0 [C015]"],
    ),
    "no end": (
        START + FLEET + "gauges: {e: {kind: level, host: {figure: cpu}, limits: [{above: .inf}]}}\n",
        ["leuko.yml:6:65 gauges.e.limits[0].above: should be a number with an end, not inf [C015]"],
    ),
    "a list where keys belong": (
        START + "fleet:\n  roles:\n    - www\n",
        ["leuko.yml:4:3 fleet.roles: should be keys and values, not a list [C011]"],
    ),
    "one value where a list belongs": (
        START + FLEET + "paths: shop/**\n",
        ['leuko.yml:6:8 paths: should be a list, not "shop/**" [C011]'],
    ),
    "a name with capitals": (
        "application: My Shop\nrepository: /x\n" + FLEET,
        [
            (
                "leuko.yml:1:14 application: should be at most 63 lower-case letters, digits and hyphens, "
                'not "My Shop" [C017]'
            )
        ],
    ),
    "several at once, in the order of the file": (
        "application: shop\nbrnch: a\nfleet:\n  roles: {www: [a, b]}\n  keep: 1\ntick: soon\n",
        [
            "leuko.yml:1:1 repository: is missing [C010]",
            "leuko.yml:2:1 brnch: is not a key that Leuko knows [C009]",
            "leuko.yml:5:9 fleet.keep: should be at least 2, not 1 [C015]",
            'leuko.yml:6:7 tick: should be a duration such as "30s", "5m" or "1h", not "soon" [C012]',
        ],
    ),
    "nothing": ("", ["leuko.yml:1:1: is empty [C006]"]),
    "only a comment": ("# to do\n", ["leuko.yml:1:1: is empty [C006]"]),
    "a list": (
        "- application: shop\n",
        ["leuko.yml:1:1: holds a list at its top level, and should hold keys and values [C006]"],
    ),
    "a word": (
        "shop\n",
        ["leuko.yml:1:1: holds a single value at its top level, and should hold keys and values [C006]"],
    ),
    "a tab": (
        START + "fleet:\n\troles: {}\n",
        ["leuko.yml:4:1: is indented with a tab, which YAML does not allow [C004]"],
    ),
    "a bracket left open": (
        START + "paths: [a\nbranch: b\n",
        [
            "leuko.yml:4:7: is not valid YAML: expected ',' or ']', but got ':' (while parsing a flow sequence) [C004]"
        ],
    ),
    "a quote left open": (START + "branch: 'a\n", ["leuko.yml:4:1: ends inside a quoted text [C004]"]),
    "a colon in text": (
        START + "branch: a: b\n",
        ["leuko.yml:3:10: has a colon where no value may begin [C004]"],
    ),
    "an at sign": (
        START + "branch: @a\n",
        ["leuko.yml:3:9: has a character here that no plain text may begin with [C004]"],
    ),
    "an alias of nothing": (
        START + "branch: *a\n",
        ["leuko.yml:3:9: uses an alias that is not defined [C004]"],
    ),
    "two documents": (START + "---\na: b\n", ["leuko.yml:3:1: holds more than one YAML document [C008]"]),
    "a template": (
        START + FLEET + "branch: {{ branch }}\n",
        [
            "leuko.yml:6:1 branch: should be text, not keys and values [C011]",
            "leuko.yml:6:10 branch: has a key that is not text [C008]",
        ],
    ),
    "a Python object": (
        START + FLEET + 'branch: !!python/object/apply:os.system ["true"]\n',
        [
            "leuko.yml:6:9 branch: has the tag !!python/object/apply:os.system, which Leuko does not read [C008]"
        ],
    ),
    "a tag of another tool": (
        START + FLEET + "branch: !vault abc\n",
        ["leuko.yml:6:9 branch: has the tag !vault, which Leuko does not read [C008]"],
    ),
    "UTF-16": ((START + FLEET).encode("utf-16"), ["leuko.yml:1:1: is UTF-16 text [C002]"]),
    "Latin-1": (
        (START + "branch: für\n").encode("latin-1"),
        ["leuko.yml:3:10: is not UTF-8 text: byte 0xFC does not belong here [C002]"],
    ),
    "a zero byte": (
        START + "branch: a\0b\n",
        ["leuko.yml:3:10: holds a character that no text file should (U+0000) [C002]"],
    ),
    "a bell": (
        START + "branch: \x07\n",
        ["leuko.yml:3:9: holds a character that no text file should (U+0007) [C002]"],
    ),
    "half a character": (
        START + FLEET + 'branch: "\\ud800"\n',
        ["leuko.yml:6:9 branch: holds half of a character (a surrogate) [C002]"],
    ),
    "an alias in itself": (
        START + "paths: &a [*a]\n",
        ["leuko.yml:3:8: is nested more than 40 levels deep [C007]"],
    ),
    "brackets without end": (
        START + "paths: " + "[" * 5000,
        ["leuko.yml:1:1: is nested too deeply to be a configuration [C007]"],
    ),
    "ten megabytes": (
        "#" * (10 << 20),
        ["leuko.yml:1:1: is 10.0 MiB large; a configuration may have 1 MiB [C003]"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_refused_says_where_and_why(name):
    text, expected = CASES[name]
    assert expected == refused(text)


def test_an_alias_bomb_is_stopped_before_it_is_unfolded():
    lines = ["x-0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"x-{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert refused("\n".join([*lines, START, "paths: *a9", ""])) == [
        "leuko.yml:1:26: unfolds to more than 100000 values [C007]"
    ]


@pytest.mark.parametrize("seed", range(40))
def test_binary_garbage_is_refused_and_never_crashes(seed):
    import random

    with pytest.raises(ConfigurationInvalid):
        parse(random.Random(seed).randbytes(1 + seed * 97))


WAYS_OUT = {
    "minHealthy": ("fleet:\n  minHealthy: 5\n", "Write `min_healthy`."),
    "min-healthy": ("fleet:\n  min-healthy: 5\n", "Write `min_healthy`."),
    "a slip": ("fleet:\n  hoks: {}\n", "Did you mean `hooks`?"),
    "a key of another section": ("release:\n  keep: 3\n", "`keep` is known as `fleet.keep`."),
    "a word of another tool's": ("keep_releases: 3\n", "Here it is `fleet.keep`."),
    "the user of the tests": ("verify: {user: tests}\n", "Here it is `verify_user`."),
    "a wild guess": (
        "locks:\n  zzzz: 3\n",
        "Known here: override, expire.",
    ),
}


@pytest.mark.parametrize("name", WAYS_OUT)
def test_an_unknown_key_names_the_nearest_known_one(name):
    text, expected = WAYS_OUT[name]
    assert [expected] == [problem.way_out for problem in problems(START + text)]


def test_what_is_yours_is_left_alone():
    text = (
        "x-reload: &reload {reload: systemctl reload shop}\n" + START + "fleet:\n"
        "  x-note: {any: thing, tags: !too yes}\n  roles: {www: [a, b], x-old: 5}\n"
        "  hooks: {<<: *reload, stop: s}\n"
    )
    configuration = parse(text).configuration
    assert configuration.fleet.hooks.reload == "systemctl reload shop"
    assert list(configuration.fleet.roles) == ["www"]


def test_a_merge_key_gives_way_to_what_is_written_beside_it():
    text = START + "x-a: &a {reload: one, stop: one}\nx-b: &b {stop: two, drain: two}\n" + FLEET
    hooks = parse(text + "  hooks:\n    <<: [*a, *b]\n    reload: three\n").configuration.fleet.hooks
    assert (hooks.reload, hooks.stop, hooks.drain) == ("three", "one", "two")


def test_numbers_where_text_belongs_keep_the_letters_that_were_written():
    text = (
        START + "fleet:\n  roles:\n    www:\n      - {name: a, vars: {PORT: 08080, RATE: 1.10}}\n      - b\n"
    )
    assert parse(text).configuration.fleet.roles["www"].hosts[0].vars == {"PORT": "08080", "RATE": "1.10"}


@pytest.mark.parametrize("change", ["\ufeff{}", "crlf", "cr"])
def test_marks_and_line_ends_of_other_systems_are_read(change):
    text = START + FLEET
    text = "\ufeff" + text if "{}" in change else text.replace("\n", "\r\n" if change == "crlf" else "\r")
    loaded = parse(text.encode())
    assert loaded.configuration.application == "shop"
    assert loaded.at("repository") == "leuko.yml:2:13"


def test_places_of_short_forms_and_of_what_was_not_written():
    loaded = parse(START + FLEET + "push:\n  phases:\n    - hosts: 100%\n      watch: 5m\n")
    assert {
        path: loaded.at(path)
        for path in (
            "push.phases[0].watch",
            "push.phases[0].gate",
            "push.windows",
            "fleet.roles.www.hosts[1].name",
            "tick",
        )
    } == {
        "push.phases[0].watch": "leuko.yml:9:14",
        "push.phases[0].gate": "leuko.yml:8:7",
        "push.windows": "leuko.yml:6:1",
        "fleet.roles.www.hosts[1].name": "leuko.yml:5:14",
        "tick": "leuko.yml:1:1",
    }


def test_a_key_with_nothing_has_its_default():
    loaded = parse(START + FLEET + "verify:\npush:\n  phases:\n  hold_back: ~\n")
    assert [phase.hosts for phase in loaded.configuration.push.phases] == ["10%", "100%"]


def test_an_environment_is_laid_over(tmp_path):
    base, over = tmp_path / "leuko.yml", tmp_path / "leuko.staging.yml"
    base.write_text(START + FLEET + "  hooks: {reload: r, stop: s}\nverify:\n  tests: {unit: u, web: w}\n")
    over.write_text(
        "fleet:\n  roles: {www: [s1, s2]}\n  hooks: {stop: null}\nverify:\n  tests:\n    web: null\n    more: m\n"
    )
    loaded = load(base, "staging")
    assert loaded.configuration.environment == "staging"
    assert loaded.files == (base, over)
    assert [host.name for host in loaded.configuration.fleet.roles["www"].hosts] == ["s1", "s2"]
    assert (loaded.configuration.fleet.hooks.reload, loaded.configuration.fleet.hooks.stop) == ("r", "")
    assert loaded.configuration.verify.tests == {"unit": "u", "more": "m"}
    assert loaded.at("fleet.roles.www.hosts[0].name") == f"{over}:2:17"
    assert loaded.at("fleet.hooks.reload") == f"{base}:6:19"
    assert loaded.digest != load(base, "production").digest


def test_an_error_names_the_file_that_it_is_in(tmp_path):
    base, over = tmp_path / "leuko.yml", tmp_path / "leuko.production.yml"
    base.write_text(START + FLEET + "tick: soon\n")
    over.write_text("fleet:\n  kep: 3\n")
    with pytest.raises(ConfigurationInvalid) as caught:
        load(base)
    assert [problem.where for problem in caught.value.problems] == [
        f"{over}:2:3 fleet.kep",
        f"{base}:6:7 tick",
    ]


def test_an_environment_that_nothing_describes_is_refused(tmp_path):
    base = tmp_path / "leuko.yml"
    base.write_text(START + FLEET)
    with pytest.raises(
        ConfigurationInvalid, match=r'is "production", and there is no leuko.staging.yml .*C018'
    ):
        load(base, "staging")
    (tmp_path / "leuko.staging.yml").write_text("environment: production\n")
    with pytest.raises(ConfigurationInvalid, match=r'should be "staging", as the file is called \[C018\]'):
        load(base, "staging")


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigurationInvalid, match=r"is not there \[C001\]\n  Run `leuko init`"):
        load(tmp_path / "leuko.yml")
    (tmp_path / "folder.yml").mkdir()
    with pytest.raises(ConfigurationInvalid, match=r"cannot be read: Is a directory \[C001\]"):
        load(tmp_path / "folder.yml")
    large = tmp_path / "large.yml"
    with large.open("wb") as file:
        file.truncate(10 << 20)
    with pytest.raises(
        ConfigurationInvalid, match=r"is 10.0 MiB large; a configuration may have 1 MiB \[C003\]"
    ):
        load(large)
