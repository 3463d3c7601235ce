from __future__ import annotations

import pytest

from leuko.config.components import components, release_of
from leuko.config.fleet import Reach, addresses, component_root, hold_back, hosts, phase_rules, watch_ticks
from leuko.config.loading import parse
from leuko.config.problems import dotted
from leuko.config.rules import fleet_problems
from leuko.domain.errors import LeukoError
from leuko.domain.fleet import Host, PhaseRule, Share

TEXT = """\
application: shop
repository: /x
tick: 5s
components:
  web: {}
  jobs: {release: {path: jobs}}
release: {build: make, path: dist}
fleet:
  root: /srv
  roles:
    www:
      - www[01:02].example.com
      - {name: big, address: 10.0.0.9, port: 2222, user: ops, root: /data/, vars: {RACK: 3}}
    db: {pushed: false, hosts: [db1]}
  ssh: {user: deploy, port: 22, jump: [j@jump], options: {Compression: 'yes'}, identity: /k, driver: openssh}
push:
  hold_back: 1
  phases: [{hosts: 1, watch: 12}, {names: [big], watch: 61s}, {hosts: 100%, roles: [www], watch: 5m}]
"""


def test_hosts_in_the_order_of_the_file():
    found = hosts(parse(TEXT).configuration)
    assert [(host.name, host.role, host.address, host.pushed) for host in found] == [
        ("www01.example.com", "www", "www01.example.com", True),
        ("www02.example.com", "www", "www02.example.com", True),
        ("big", "www", "10.0.0.9", True),
        ("db1", "db", "db1", False),
    ]
    assert found[2].variables == {"RACK": "3"}


def test_how_each_is_reached():
    reach = addresses(parse(TEXT).configuration)
    common = {
        "identity": "/k",
        "jump": ("j@jump",),
        "options": (("Compression", "yes"),),
        "driver": "openssh",
    }
    assert reach["big"] == Reach("10.0.0.9", 2222, "ops", root="/data", **common)
    assert reach["db1"] == Reach("db1", 22, "deploy", root="/srv", **common)


def test_folders_of_components():
    configuration = parse(TEXT).configuration
    assert component_root(configuration, "big", "web") == "/data/shop/web"
    assert component_root(configuration, Host("www02.example.com", "www"), "jobs") == "/srv/shop/jobs"


def test_local_hosts_are_folders():
    text = "application: shop\nrepository: /x\nfleet: {transport: local, root: '/tmp/{name}/srv', roles: {www: [a, b]}}\n"
    configuration = parse(text).configuration
    assert {name: (reach.driver, reach.root) for name, reach in addresses(configuration).items()} == {
        "a": ("local", "/tmp/a/srv"),
        "b": ("local", "/tmp/b/srv"),
    }
    assert component_root(configuration, "b", "app") == "/tmp/b/srv/shop/app"


def test_phases_and_their_ticks():
    configuration = parse(TEXT).configuration
    assert phase_rules(configuration) == (
        PhaseRule(Share(count=1)),
        PhaseRule(names=("big",)),
        PhaseRule(Share(percent=100.0), roles=("www",)),
    )
    assert watch_ticks(configuration) == (12, 13, 60)
    assert hold_back(configuration) == Share(count=1)


def test_a_component_differs_only_in_what_it_says():
    configuration = parse(TEXT).configuration
    assert list(components(configuration)) == ["web", "jobs"]
    assert [
        (release_of(configuration, name).build, release_of(configuration, name).path)
        for name in ("web", "jobs")
    ] == [
        ("make", "dist"),
        ("make", "jobs"),
    ]
    assert list(
        components(parse("application: a\nrepository: /x\nfleet: {roles: {w: [a, b]}}\n").configuration)
    ) == ["app"]


WITH = """\
application: shop
repository: /x
fleet:
  roles: {cache: {pushed: false}, www: [first]}
  inventory: {file: hosts, groups: {webservers: www, caches: cache}, vars: [rack]}
"""


def test_hosts_of_an_inventory_follow():
    configuration = parse(WITH).configuration
    inventory = "[webservers]\nw[1:2] ansible_host=10.0.0.1 ansible_user=ops rack=r1 password=x\n[caches]\nc1\n[others]\no1\n"
    found = hosts(configuration, inventory)
    assert [(host.name, host.role, host.address, host.pushed, dict(host.variables)) for host in found] == [
        ("first", "www", "first", True, {}),
        ("w1", "www", "10.0.0.1", True, {"rack": "r1"}),
        ("w2", "www", "10.0.0.1", True, {"rack": "r1"}),
        ("c1", "cache", "c1", False, {}),
    ]
    assert addresses(configuration, inventory)["w2"].user == "ops"


@pytest.mark.parametrize(
    ("inventory", "message"),
    [
        (None, "the inventory was not read [C060]"),
        ("[webservers]\na\n", 'the inventory has no host in a group "caches" [C062]'),
        (
            "[webservers]\na\n[caches]\na\n",
            'the host "a" is in caches and webservers, which are different roles [C062]',
        ),
        ("[webservers]\nfirst\n[caches]\nb\n", 'the host "first" is listed twice [C032]'),
    ],
)
def test_an_inventory_that_does_not_fit_is_an_error_and_never_a_smaller_fleet(inventory, message):
    with pytest.raises(LeukoError) as caught:
        hosts(parse(WITH).configuration, inventory)
    assert message in str(caught.value)


def test_two_thousand_hosts_are_quick():

    text = "application: shop\nrepository: /x\nfleet: {roles: {www: ['www[0001:1000]', 'api[0001:1000]']}}\n"
    configuration = parse(text).configuration
    assert len(addresses(configuration)) == len(hosts(configuration)) == 2000


def test_what_only_the_real_hosts_show():
    text = WITH + "push: {phases: [{hosts: 2}, {hosts: 100%}]}\n"
    loaded = parse(text)
    small = hosts(loaded.configuration, "[webservers]\nw1\n[caches]\nc1\n")
    large = hosts(loaded.configuration, "[webservers]\nw[1:9]\n[caches]\nc1\n")

    def said(found):
        return [
            str(problem).split("\n")[0] for problem in fleet_problems(loaded.configuration, found, dotted)
        ]

    assert said(large) == []
    assert said(small) == ["push.phases[1]: takes no host: earlier phases took them all [C034]"]
    assert said(small[:0]) == ["fleet: has no host to push to [C033]"]
