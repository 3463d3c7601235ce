"""Gauges that are asked elsewhere: what their sections refuse, and what a commit may not bring."""

from __future__ import annotations

import pytest
from tests.config.test_rules import BASE, found, gauge, text

from leuko.config.freeze import freeze
from leuko.config.loading import parse
from leuko.config.problems import ConfigurationInvalid

PROMETHEUS = "prometheus: {url: 'http://p:9090', query: up"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            "{kind: level, prometheus: {url: p:9090, query: up}}",
            "gauges.g.prometheus.url: should begin with http:// or https://, without spaces [C036]",
        ),
        (
            "{kind: level, prometheus: {url: 'http://p', query: ' '}}",
            "gauges.g.prometheus.query: is empty [C044]",
        ),
        (
            f"{{kind: level, {PROMETHEUS}, host: '(.+)'}}}}",
            "gauges.g.prometheus.host: finds the host in a label, but `by` names no label [C021]",
        ),
        (
            f"{{kind: level, {PROMETHEUS}, by: instance, host: '.+'}}}}",
            "gauges.g.prometheus.host: should have one group, around the host's name; it has none [C022]",
        ),
        (
            f"{{kind: level, {PROMETHEUS}, by: instance, host: '('}}}}",
            "gauges.g.prometheus.host: is not a regular expression: missing ), unterminated subpattern at position 0 [C022]",
        ),
        (
            f"{{kind: ratio, {PROMETHEUS}}}}}",
            "gauges.g.prometheus: a ratio needs `of`: the query of its denominator [C021]",
        ),
        (
            f"{{kind: level, {PROMETHEUS}, of: up}}}}",
            "gauges.g.prometheus.of: is for ratios, and this gauge is a level [C021]",
        ),
        (
            f"{{kind: level, roles: [www], {PROMETHEUS}}}}}",
            "gauges.g.roles: is of the whole and belongs to no host, so it has no roles [C030]",
        ),
        (
            f"{{kind: level, limits: [{{above: 1, role: www}}], {PROMETHEUS}}}}}",
            "gauges.g.limits[0].role: is of the whole and belongs to no host, so its limits have no role [C030]",
        ),
        (
            f"{{kind: level, {PROMETHEUS}, headers: {{Authorization: 'Bearer secret:NONE'}}}}}}",
            'gauges.g.prometheus.headers.Authorization: there is no secret "NONE" [C051]',
        ),
        (
            f"{{kind: level, {PROMETHEUS}, headers: {{'a b': c}}}}}}",
            "gauges.g.prometheus.headers.a b: cannot be sent as a header [C036]",
        ),
        (
            "{kind: level, graphite: {url: 'http://g', target: 'a.{rack}.b'}}",
            "gauges.g.graphite.target: {rack} is not known for w1 and 3 more [C022]",
        ),
        (
            "{kind: ratio, graphite: {url: 'http://g', target: 'a.{name}', of: b}}",
            "gauges.g.graphite.of: is not of the same hosts as `target` [C021]",
        ),
        (
            "{kind: level, sql: {address: shop.db, query: select 1}}",
            "gauges.g.sql.address: is not the address of a database [C036]",
        ),
        (
            "{kind: level, sql: {address: 'oracle://x', query: select 1}}",
            "gauges.g.sql.address: is not the address of a database [C036]",
        ),
        (
            "{kind: level, sql: {address: 'sqlite:///a', query: 'select 1; drop table a'}}",
            "gauges.g.sql.query: holds more than one statement [C022]",
        ),
        (
            "{kind: level, sql: {address: secret:NONE, query: select 1}}",
            'gauges.g.sql.address: there is no secret "NONE" [C051]',
        ),
        ("{kind: level, command: {argv: []}}", "gauges.g.command.argv: names no program [C044]"),
        (
            "{kind: level, command: {argv: [a], by: host}}",
            "gauges.g.command.by: is for a command on the controller; on a host it prints that host's number [C021]",
        ),
        (
            "{kind: level, log: {file: a, match: b, value: '(c)', templates: true}}",
            "gauges.g.log.templates: is for counts and ratios of lines, and this is a level [C021]",
        ),
    ],
)
def test_what_is_refused(body, said):
    assert said in found(text(**gauge(body)))


@pytest.mark.parametrize(
    "body",
    [
        f"{{kind: level, required: false, {PROMETHEUS}, by: instance}}}}",
        "{kind: count, required: false, graphite: {url: 'https://g', target: 'a.{node}.b', every: 60s}}",
        "{kind: count, required: false, graphite: {url: 'https://g', target: 'sum(a.{x,y}.b)'}}",
        "{kind: count, required: false, sql: {address: secret:CHAT, query: 'select count(*) from a;'}}",
        "{kind: level, required: false, command: {argv: [a, b], on: controller, by: host}}",
    ],
)
def test_what_is_taken(body):
    assert found(text(**gauge(body))) == []


def test_what_belongs_to_no_host_covers_no_role():
    alone = text(gauges=f"gauges: {{g: {{kind: level, {PROMETHEUS}}}}}}}")
    assert found(alone) == ['gauges: no required gauge is read on hosts of the role "www" [W003]']


def test_graphite_s_own_braces_are_no_placeholders():
    def hostless(target):
        asked = f"{{kind: count, graphite: {{url: 'http://g', target: '{target}'}}}}"
        return parse(text(**gauge(asked))).configuration.gauges["g"].hostless

    assert hostless("sum(a.{x,y}.b)")
    assert not hostless("a.{node}.b")


def test_an_unseen_gauge_has_its_name_to_itself():
    gauges = (
        "gauges: {e: {kind: count, log: {file: a, match: b, templates: true}}, "
        "e.unseen: {kind: count, log: {file: a, match: c}}}"
    )
    assert any("counts unseen kinds of lines as e.unseen" in said for said in found(text(gauges=gauges)))


OWN = {
    "sql": "{kind: level, required: false, sql: {address: secret:CHAT, query: select 1}}",
    "command": "{kind: level, required: false, command: {argv: [a, b], on: controller}}",
    "prometheus": "{kind: level, required: false, prometheus: {url: secret:CHAT, query: up}}",
}
ELSEWHERE = {
    "sql": "{kind: level, required: false, sql: {address: 'sqlite:////var/lib/leuko/leuko.sqlite', query: select 1}}",
    "command": "{kind: level, required: false, command: {argv: [a, c], on: controller}}",
    "prometheus": "{kind: level, required: false, prometheus: {url: 'http://evil/?secret:CHAT', query: up}}",
}
FREE = {
    "command": "{kind: level, required: false, command: {argv: [anything], on: host}}",
    "prometheus": "{kind: level, required: false, prometheus: {url: 'http://any', query: up}}",
}


def of_commit(body):
    return f"secrets: {{CHAT: {{env: CHAT}}}}\n{BASE['fleet']}\ngauges: {{mine: {body}}}\n"


@pytest.mark.parametrize("kind", list(ELSEWHERE))
def test_a_commit_brings_no_controller_command_no_database_and_no_secret(kind):
    installation = parse(text(**gauge(OWN[kind]))).configuration
    with pytest.raises(ConfigurationInvalid) as refused:
        freeze(installation, of_commit(ELSEWHERE[kind]), "leuko.yml@4f2a9c1")
    assert "a commit cannot bring it [C025]" in str(refused.value)
    assert "leuko.yml@4f2a9c1:" in str(refused.value)


@pytest.mark.parametrize("kind", list(OWN))
def test_a_commit_may_use_what_the_installation_uses(kind):
    installation = parse(text(**gauge(OWN[kind]))).configuration
    mine = OWN[kind].replace("select 1", "select 2").replace("query: up", "query: down")
    assert "mine" in freeze(installation, of_commit(mine)).configuration.gauges


@pytest.mark.parametrize("kind", list(FREE))
def test_a_commit_may_bring_what_runs_on_hosts_and_what_holds_no_secret(kind):
    installation = parse(text()).configuration
    assert "mine" in freeze(installation, of_commit(FREE[kind])).configuration.gauges


@pytest.mark.parametrize(
    ("slow", "said"),
    [
        ("{file: ../x, format: mysql}", "slow_queries[0].file"),
        ("{file: /x, format: oracle}", "slow_queries[0].format"),
        ("{file: /x, format: mysql, roles: [ww]}", 'slow_queries[0].roles[0]: there is no role "ww"'),
    ],
)
def test_slow_logs(slow, said):
    assert any(one.startswith(said) for one in found(text(slow=f"slow_queries: [{slow}]")))
