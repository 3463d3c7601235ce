"""Rules between fields: a file that is nearly right in, the one thing that is wrong out."""

from __future__ import annotations

import pytest

from leuko.config.loading import parse
from leuko.config.problems import CODES, ConfigurationInvalid

BASE = {
    "application": "application: shop",
    "repository": "repository: /git/shop",
    "verify": "verify: {tests: {unit: make test}}",
    "fleet": (
        "fleet:\n  roles: {www: [w1, w2, w3], db: {pushed: false, hosts: [d1]}}\n"
        "  hooks: {reload: r, stop: s}\n  health: {command: h}"
    ),
    "push": "push: {phases: [{hosts: 1, watch: 12}, {hosts: 100%, watch: 12}]}",
    "gauges": "gauges: {load: {kind: level, host: {figure: load}}, hits: {kind: count, log: {file: a.log, match: .}}}",
    "notify": "notify: {urls: [secret:CHAT]}",
    "secrets": "secrets: {CHAT: {env: CHAT}}",
}


def text(**changes: str) -> str:
    return "\n".join({**BASE, **changes}.values()) + "\n"


def found(source: str) -> list[str]:
    """Errors, else warnings, without file and line."""
    try:
        problems = parse(source).warnings
    except ConfigurationInvalid as error:
        problems = error.problems
    return [str(problem).split(" ", 1)[1].split("\n")[0] for problem in problems]


def gauge(body: str) -> dict[str, str]:
    return {"gauges": f"gauges: {{load: {{kind: level, host: {{figure: load}}}}, g: {body}}}"}


def fleet(body: str) -> dict[str, str]:
    return {"fleet": f"fleet: {{hooks: {{reload: r, stop: s}}, health: {{command: h}}, {body}}}"}


LOG = "log: {file: shared/a.log, match: ERR}"
CASES: dict[str, tuple[dict[str, str], list[str]]] = {
    "all is well": ({}, []),
    # gauges
    "no source": (
        gauge("{kind: count}"),
        [
            "gauges.g: should have exactly one source out of host, log, http, prometheus, graphite, sql and command; it has none [C020]"
        ],
    ),
    "two sources": (
        gauge("{kind: level, host: {figure: cpu}, http: {url: 'http://x/', json_path: a}}"),
        [
            "gauges.g: should have exactly one source out of host, log, http, prometheus, graphite, sql and command; it has host and http [C020]"
        ],
    ),
    "a counted figure": (
        gauge("{kind: count, host: {figure: cpu}}"),
        ["gauges.g.kind: a figure of the host is a level, not a count [C021]"],
    ),
    "a level of a log without value": (
        gauge(f"{{kind: level, {LOG}}}"),
        ["gauges.g.log: a level needs `value`: an expression with one group, around the number [C021]"],
    ),
    "a value for a count": (
        gauge("{kind: count, log: {file: a, match: b, value: '(c)'}}"),
        ["gauges.g.log.value: is for levels, and this gauge is a count [C021]"],
    ),
    "a value with two groups": (
        gauge("{kind: level, log: {file: a, match: b, value: '(c)(d)'}}"),
        ["gauges.g.log.value: should have one group, around the number; it has 2 [C022]"],
    ),
    "a value with no group": (
        gauge("{kind: level, log: {file: a, match: b, value: 'c'}}"),
        ["gauges.g.log.value: should have one group, around the number; it has none [C022]"],
    ),
    "a denominator for a count": (
        gauge("{kind: count, log: {file: a, match: b, of: c}}"),
        ["gauges.g.log.of: is for ratios, and this gauge is a count [C021]"],
    ),
    "a ratio of a log over every line": (gauge("{kind: ratio, log: {file: a, match: b}}"), []),
    "an expression of Perl's": (
        gauge(r"{kind: count, log: {file: a, match: '\d+'}}"),
        [r"gauges.g.log.match: uses `\d`, which POSIX extended expressions do not have [C022]"],
    ),
    "an expression with a class": (
        gauge(r"{kind: count, log: {file: a, match: '\\d [[:digit:]]{3} []x]'}}"),
        [],
    ),
    "an expression left open": (
        gauge("{kind: count, log: {file: a, match: '(a'}}"),
        [
            "gauges.g.log.match: is not a regular expression: missing ), unterminated subpattern at position 0 [C022]"
        ],
    ),
    "an empty expression": (
        gauge("{kind: count, log: {file: a, match: ''}}"),
        ["gauges.g.log.match: is empty [C044]"],
    ),
    "a log outside": (
        gauge("{kind: count, log: {file: ../../etc/a.log, match: b}}"),
        [
            'gauges.g.log.file: should be absolute, or below the folder of the application, not "../../etc/a.log" [C040]'
        ],
    ),
    "an address without scheme": (
        gauge("{kind: level, http: {url: 'localhost:80', json_path: a}}"),
        ["gauges.g.http.url: should begin with http:// or https://, without spaces [C036]"],
    ),
    "a placeholder nobody knows": (
        gauge("{kind: level, http: {url: 'http://{address}:{PORT}/', json_path: a}}"),
        ["gauges.g.http.url: {PORT} is not known for w1 and 3 more [C022]"],
    ),
    "half a placeholder": (
        gauge("{kind: level, http: {url: 'http://{address/', json_path: a}}"),
        ["gauges.g.http.url: has a brace without its partner [C022]"],
    ),
    "neither path nor metric": (
        gauge("{kind: level, http: {url: 'http://x/'}}"),
        ["gauges.g.http: should have json_path or metric; it has neither [C021]"],
    ),
    "a metric that is none": (
        gauge("{kind: level, http: {url: 'http://x/', metric: 'a b'}}"),
        ["gauges.g.http.metric: cannot be read as a metric [C022]"],
    ),
    "a path that is none": (
        gauge("{kind: level, http: {url: 'http://x/', json_path: 'a..b'}}"),
        ["gauges.g.http.json_path: cannot be read as a json_path [C022]"],
    ),
    "a ratio without denominator": (
        gauge("{kind: ratio, http: {url: 'http://x/', json_path: a}}"),
        ["gauges.g.http: a ratio needs `of`: the json_path of its denominator [C021]"],
    ),
    "a denominator without ratio": (
        gauge("{kind: level, http: {url: 'http://x/', json_path: a, of: b}}"),
        ["gauges.g.http.of: is for ratios, and this gauge is a level [C021]"],
    ),
    "a role that a gauge misspells": (
        gauge("{kind: level, roles: [ww], host: {figure: cpu}}"),
        ['gauges.g.roles[0]: there is no role "ww" [C030]'],
    ),
    "a name with a space": (
        {
            "gauges": "gauges: {load: {kind: level, host: {figure: load}}, 'my gauge': {kind: level, host: {figure: cpu}}}"
        },
        ['gauges.my gauge: "my gauge" should be at most 63 letters, digits, ., :, - and _ [C017]'],
    ),
    # limits
    "a limit of nothing": (
        gauge("{kind: level, host: {figure: cpu}, limits: [{readings: 3}]}"),
        ["gauges.g.limits[0]: bounds nothing: it has neither above nor below [C023]"],
    ),
    "a limit of everything": (
        gauge("{kind: level, host: {figure: cpu}, limits: [{above: 1, below: 5}]}"),
        ["gauges.g.limits[0]: is broken by every value: above 1 or below 5 [C023]"],
    ),
    "a count below nothing": (
        gauge(f"{{kind: count, {LOG}, limits: [{{below: 0}}]}}"),
        ["gauges.g.limits[0].below: bounds nothing: a count is never below 0 [C024]"],
    ),
    "a limit of another role": (
        gauge(
            "{kind: level, roles: [www], host: {figure: cpu}, limits: [{above: 1, role: db}, {above: 1, role: dbs}]}"
        ),
        [
            'gauges.g.limits[0].role: the gauge is not read on hosts of the role "db" [C030]',
            'gauges.g.limits[1].role: there is no role "dbs" [C030]',
        ],
    ),
    "a limit of a host that is none": (
        gauge("{kind: level, host: {figure: cpu}, limits: [{above: 1, host: www99, role: www}]}"),
        [
            "gauges.g.limits[0].host: names one host: a role, or an aggregate, beside it says something else [C030]",
            'gauges.g.limits[0].host: no host of the fleet is called "www99" [C030]',
        ],
    ),
    "a limit that no watch can break": (
        gauge("{kind: count, log: {file: a.log, match: .}, limits: [{above: 1, readings: 13}]}"),
        [
            "push.phases[0].watch: lasts 12 ticks: too short for a limit of `g` to be broken [W007]",
            "push.phases[1].watch: lasts 12 ticks: too short for a limit of `g` to be broken [W007]",
        ],
    ),
    "no gauge": (
        {"gauges": ""},
        ["gauges: nothing is watched: a push could not be judged, and would be held [W002]"],
    ),
    "a role without gauge": (
        {"gauges": "gauges: {load: {kind: level, roles: [db], log: {file: a.log, match: ., value: (.)}}}"},
        ['gauges: no required gauge is read on hosts of the role "www" [W003]'],
    ),
    # fleet
    "no host": (fleet("root: /srv"), ["fleet: has no host to push to [C033]"]),
    "a role without hosts": (
        fleet("roles: {www: [a, b], jobs: }"),
        ['fleet.roles.jobs: the role "jobs" has no hosts [C033]'],
    ),
    "only watched": (
        fleet("roles: {www: {pushed: false, hosts: [a]}}"),
        ["fleet: has no host to push to [C033]"],
    ),
    "a host twice": (
        fleet("roles: {www: [a, b, 'x[1:3]'], jobs: [x2]}"),
        ['fleet.roles.jobs.hosts[0].name: the host "x2" is listed already, at leuko.yml:4:80 [C032]'],
    ),
    "a name that is none": (
        fleet("roles: {www: [a, 'b c']}"),
        ['fleet.roles.www.hosts[1].name: "b c" is not a host name [C032]'],
    ),
    "an option for ssh as a name": (
        fleet("roles: {www: [a, -oProxyCommand=x]}"),
        ['fleet.roles.www.hosts[1].name: "-oProxyCommand=x" is not a host name [C032]'],
    ),
    "an option for ssh as an address": (
        fleet("roles: {www: [a, {name: b, address: -oProxyCommand=x}]}"),
        ['fleet.roles.www.hosts[1].address: "-oProxyCommand=x" is not an address [C036]'],
    ),
    "a range that runs backwards": (
        fleet("roles: {www: [a, 'w[9:1]']}"),
        ["fleet.roles.www.hosts[1].name: the range [9:1] runs backwards [C032]"],
    ),
    "ranges of two sizes": (
        fleet("roles: {www: [a, {name: 'w[1:3]', address: '10.0.0.[1:2]'}]}"),
        ["fleet.roles.www.hosts[1].name: stands for 3 hosts, but its address for 2 [C032]"],
    ),
    "a login that is none": (
        fleet("roles: {www: [a, {name: b, user: '-x'}]}, ssh: {user: 'a b'}"),
        [
            'fleet.roles.www.hosts[1].user: "-x" is not a login [C036]',
            'fleet.ssh.user: "a b" is not a login [C036]',
        ],
    ),
    "a variable that is none": (
        fleet("roles: {www: [a, {name: b, vars: {A-B: 1, LEUKO_X: 2}}]}"),
        [
            'fleet.roles.www.hosts[1].vars.A-B: "A-B" cannot be the name of an environment variable of yours [C037]',
            'fleet.roles.www.hosts[1].vars.LEUKO_X: "LEUKO_X" cannot be the name of an environment variable of yours [C037]',
        ],
    ),
    "roots": (
        fleet("root: srv, roles: {www: [a, {name: b, root: /data/../x}]}"),
        [
            'fleet.root: should be an absolute folder such as "/srv", not "srv" [C040]',
            'fleet.roles.www.hosts[1].root: should be an absolute folder such as "/srv", not "/data/../x" [C040]',
        ],
    ),
    "the whole disk as root": (
        fleet("root: /, roles: {www: [a, b]}"),
        ['fleet.root: should be an absolute folder such as "/srv", not "/" [C040]'],
    ),
    "two hosts in one folder": (
        fleet("transport: local, roles: {www: [a, b]}"),
        ['fleet.roles.www.hosts[1].name: "b" and "a" would share the folder /srv of this machine [C040]'],
    ),
    "a folder for each host": (fleet("transport: local, root: '/srv/{name}', roles: {www: [a, b]}"), []),
    "an inventory from nowhere": (
        fleet("inventory: {groups: {all: www}}"),
        ["fleet.inventory: should have a file or a command; it has neither [C035]"],
    ),
    "an inventory without groups": (
        fleet("roles: {www: [a, b]}, inventory: {file: hosts}"),
        ["fleet.inventory.groups: names no group: no host would be taken [C062]"],
    ),
    "an inventory's own variables": (
        fleet("inventory: {file: hosts, groups: {all: www}, vars: [ansible_host]}"),
        ['fleet.inventory.vars[0]: "ansible_host" cannot be taken over as a variable [C037]'],
    ),
    "a jump over a shell": (
        fleet("roles: {www: [a, b]}, ssh: {jump: ['a;b', me@jump:22, '[::1]:22']}"),
        ['fleet.ssh.jump[0]: "a;b" is not a jump host [C036]'],
    ),
    "keys of strangers": (
        fleet("roles: {www: [a, b]}, ssh: {options: {StrictHostKeyChecking: 'no', a b: c}}"),
        [
            "fleet.ssh.options.StrictHostKeyChecking: would accept any machine that answers [C036]",
            'fleet.ssh.options.a b: "a b" is not an option of ssh_config [C036]',
        ],
    ),
    "no hooks": (
        {"fleet": "fleet: {roles: {www: [a, b, c]}}"},
        [
            "fleet.hooks: has no reload hook: processes that hold the old release open would go on running it [W004]",
            "fleet.hooks: has no stop hook: when the very first push fails, the application is left running [W012]",
            "fleet.health: has no command: a host counts as healthy as soon as its reload hook ends well [W005]",
        ],
    ),
    # phases
    "no phase": (
        {"push": "push: {phases: []}"},
        ["push.phases: has no phase: nothing would be pushed [C034]"],
    ),
    "phases that stop half way": (
        {"push": "push: {phases: [{hosts: 1, watch: 12}, {hosts: 50%, watch: 12}]}"},
        ["push.phases: never reach w3: they would only come along with the last phase, unannounced [C034]"],
    ),
    "a phase of a role only": (
        fleet("roles: {www: [a, b], jobs: [c]}")
        | {"push": "push: {phases: [{hosts: 1, roles: [www]}, {roles: [www]}]}"},
        ["push.phases: never reach c: they would only come along with the last phase, unannounced [C034]"],
    ),
    "a phase with nobody left": (
        {"push": "push: {phases: [{hosts: 50%}, {hosts: 40%}, {hosts: 100%}]}"},
        ["push.phases[1]: takes no host: earlier phases took them all [C034]"],
    ),
    "nobody left for the last": (
        {"push": "push: {phases: [{hosts: 3}, {hosts: 100%}]}"},
        ["push.phases[1]: takes no host: earlier phases took them all [C034]"],
    ),
    "a phase of none": (
        {"push": "push: {phases: [{hosts: 0}, {hosts: 100%}]}"},
        ["push.phases[0].hosts: takes no host [C034]"],
    ),
    "one host with two phases": (
        fleet("roles: {www: [a]}"),
        ["push.phases[1]: takes no host: earlier phases took them all [C034]"],
    ),
    "shares that fall, hosts unknown": (
        fleet("inventory: {file: hosts, groups: {all: www}}")
        | {"push": "push: {phases: [{hosts: 50%}, {hosts: 20%}, {hosts: 90%}]}"},
        [
            "push.phases[1].hosts: reaches 20%, and 50% are reached before it [C034]",
            "push.phases[2]: may leave hosts to the last phase that it does not name [C034]",
        ],
    ),
    "a role that a phase misspells": (
        {"push": "push: {phases: [{roles: [wwww]}, {roles: [db]}, {hosts: 100%}]}"},
        [
            'push.phases[0].roles[0]: there is no role "wwww" [C030]',
            'push.phases[1].roles[0]: the role "db" is only watched (pushed: false) [C030]',
        ],
    ),
    "a host that a phase misspells": (
        {"push": "push: {phases: [{names: [w4, d1]}, {hosts: 100%}]}"},
        [
            'push.phases[0].names[0]: there is no pushed host "w4" [C031]',
            'push.phases[0].names[1]: there is no pushed host "d1" [C031]',
        ],
    ),
    "names and a share": (
        {"push": "push: {phases: [{names: [w1], hosts: 1}, {hosts: 100%}]}"},
        ["push.phases[0]: names hosts one by one and by share or role [C034]"],
    ),
    "a gate": (
        {"push": "push: {phases: [{hosts: 1, gate: ask}, {hosts: 100%}]}"},
        ["push.phases[0].gate: is kept for a later release, and would do nothing yet [C045]"],
    ),
    "a role that is all canary": (
        fleet("roles: {www: [a, b, c], jobs: [d]}"),
        ['push.phases[0]: takes every host of the role "jobs": there is none left to compare with [W008]'],
    ),
    # times and windows
    "a watch longer than it may be": (
        {"push": "push: {watch_timeout: 30s, phases: [{hosts: 1, watch: 7}, {hosts: 100%, watch: 30s}]}"},
        [
            (
                "push.phases[0].watch: lasts 7 ticks of 5 s, longer than push.watch_timeout (30 s) lets it: "
                "it could only be held [C042]"
            )
        ],
    ),
    "a switch shorter than a hook": (
        {"push": "push: {switch_timeout: 1m, phases: [{hosts: 1}, {hosts: 100%}]}"},
        ["push.switch_timeout: is 60 s, less than one hook may take (fleet.hooks.timeout, 120 s) [C042]"],
    ),
    "a restore shorter than the health check": (
        {
            "fleet": "fleet: {roles: {www: [a, b]}, hooks: {reload: r, stop: s}, health: {command: h, tries: 60}}"
        },
        [
            "push.switch_timeout: is 600 s, less than the health check may take (60 tries, 660 s) [C042]",
            "push.restore_timeout: is 300 s, less than the health check may take (60 tries, 660 s) [C042]",
        ],
    ),
    "a window that is no cron": (
        {"push": "push: {phases: [{hosts: 1}, {hosts: 100%}], windows: [{start: '0 25 * * *', lasts: 1h}]}"},
        ['push.windows[0].start: "0 25 * * *" is not five cron fields: bad hour [C043]'],
    ),
    "a window with six fields": (
        {"push": "push: {phases: [{hosts: 1}, {hosts: 100%}], windows: [{start: '0 0 1 * * *', lasts: 1h}]}"},
        ['push.windows[0].start: "0 0 1 * * *" is not five cron fields: it has 6 fields [C043]'],
    ),
    "a window that never comes": (
        {"push": "push: {phases: [{hosts: 1}, {hosts: 100%}], windows: [{start: '0 0 31 4 *', lasts: 1h}]}"},
        ['push.windows[0].start: "0 0 31 4 *" is not five cron fields: bad day-of-month [C043]'],
    ),
    "a zone that is none": (
        {
            "push": "push: {phases: [{hosts: 1}, {hosts: 100%}], windows: [{start: '0 1 * * *', lasts: 1h, timezone: Mars/Olympus}]}"
        },
        ['push.windows[0].timezone: "Mars/Olympus" is not a time zone [C043]'],
    ),
    "a zone outside": (
        {
            "push": "push: {phases: [{hosts: 1}, {hosts: 100%}], windows: [{start: '0 1 * * *', lasts: 1h, timezone: ../../x}]}"
        },
        ['push.windows[0].timezone: "../../x" is not a time zone [C043]'],
    ),
    "a window without end": (
        {"push": "push: {phases: [{hosts: 1}, {hosts: 100%}], windows: [{start: '0 1 * * *', lasts: 1d}]}"},
        ["push.windows[0].lasts: begins again before it has ended: no push could ever start [W011]"],
    ),
    # release, components, source
    "paths that lead out": (
        {
            "release": "release: {path: ../x, linked_dirs: [/up, up/../../x, ., .git], linked_files: ['~/a'], exclude: ['']}"
        },
        [
            'release.path: should be a folder inside the checkout, not "../x" [C040]',
            "release.exclude[0]: is empty [C044]",
            *(
                f'release.{key}: should be a path inside the release, not "{path}" [C040]'
                for key, path in (
                    ("linked_dirs[0]", "/up"),
                    ("linked_dirs[1]", "up/../../x"),
                    ("linked_dirs[2]", "."),
                    ("linked_dirs[3]", ".git"),
                    ("linked_files[0]", "~/a"),
                )
            ),
        ],
    ),
    "links in links": (
        {"release": "release: {linked_dirs: [up, up/a, log/], linked_files: [up, log/x]}"},
        [
            'release.linked_dirs[1]: "up/a" lies inside "up", which is linked already [C041]',
            'release.linked_files[0]: "up" stands twice [C041]',
            'release.linked_files[0]: "up/a" lies inside "up", which is linked already [C041]',
            'release.linked_files[1]: "log/x" lies inside "log/", which is linked already [C041]',
        ],
    ),
    "components": (
        {"components": "components: {web: {release: {path: /x}}, a b: {roles: [db, dbs]}}"},
        [
            'components.web.release.path: should be a folder inside the checkout, not "/x" [C040]',
            'components.a b: "a b" cannot be a folder name [C017]',
            'components.a b.roles[0]: the role "db" is only watched (pushed: false) [C030]',
            'components.a b.roles[1]: there is no role "dbs" [C030]',
        ],
    ),
    "sources": (
        {
            "repository": "repository: --upload-pack=x",
            "branch": "branch: -x",
            "verify_user": "verify_user: 'a b'",
        },
        [
            "repository: should be a path or an address that git can fetch from [C044]",
            'branch: should be the name of a branch, not "-x" [C017]',
            'verify_user: should be a user name, not "a b" [C017]',
        ],
    ),
    "patterns that lead out": (
        {"paths": "paths: [shop/**, /shop, ../x]\nrevision_file: /etc/x"},
        [
            "revision_file: should be a path inside the repository [C040]",
            "paths[1]: should be a pattern inside the repository, such as shop/** [C040]",
            "paths[2]: should be a pattern inside the repository, such as shop/** [C040]",
        ],
    ),
    "tests that are none": (
        {"verify": "verify: {setup: [''], tests: {a/b: x, c: ' '}}"},
        [
            "verify.setup[0]: is empty [C044]",
            'verify.tests.a/b: has the name "a/b": it should be at most 80 characters, without "/" [C017]',
            "verify.tests.c: is empty [C044]",
        ],
    ),
    "no test": ({"verify": ""}, ["verify: has no tests: every change counts as green [W001]"]),
    # secrets and notify
    "secrets": (
        {"secrets": "secrets: {CHAT: {env: A, file: b}, B: {}, a-b: {env: X}, C: {command: ['']}}"},
        [
            "secrets.CHAT: should have exactly one of env, file and command; it has env and file [C050]",
            "secrets.B: should have exactly one of env, file and command; it has none [C050]",
            'secrets.a-b: "a-b" cannot be the name of an environment variable of yours [C052]',
            "secrets.C.command: names no program [C044]",
        ],
    ),
    "who is told": (
        {"notify": "notify: {urls: [secret:CHATT, chat], command: ['']}\nlocks: {override: ['']}"},
        [
            'notify.urls[0]: there is no secret "CHATT" [C051]',
            "notify.urls[1]: is not an address [C044]",
            "notify.command: names no program [C044]",
            "locks.override[0]: is empty [C044]",
        ],
    ),
    "an address in plain text": (
        {"notify": "notify: {urls: ['slack://a/b/c']}"},
        ["notify.urls[0]: stands in plain text, and such addresses hold a key [W006]"],
    ),
    "customers are not watched": (
        {"gauges": "gauges: {load: {kind: level, host: {figure: load}}}"},
        [
            "gauges: all are figures of the machine: a release that answers every customer with an error would pass [W013]"
        ],
    ),
    "nobody is told": ({"notify": ""}, ["notify: nobody is told when a push is rolled back [W010]"]),
}


@pytest.mark.parametrize("name", CASES)
def test_each_rule(name):
    changes, expected = CASES[name]
    assert sorted(expected) == sorted(found(text(**changes)))


def test_a_rule_names_its_place_and_a_way_out():
    with pytest.raises(ConfigurationInvalid) as caught:
        parse(text(**gauge("{kind: level, roles: [ww], host: {figure: cpu}}")))
    (problem,) = caught.value.problems
    assert (problem.where, problem.way_out) == ("leuko.yml:9:78 gauges.g.roles[0]", "Did you mean `www`?")


def test_every_code_that_rules_use_is_explained():
    import re
    from pathlib import Path

    import leuko.config

    used = set()
    for file in Path(leuko.config.__path__[0]).glob("*.py"):
        if file.name != "problems.py":
            used |= set(re.findall(r'"([CW][0-9]{3})"', file.read_text("utf-8")))
    assert used == set(CODES)
