"""The configuration that the demo writes, and the gauges of the shop against what it really logs."""

import re
import subprocess

import pytest

from leuko.config.loading import load
from leuko.demo.fleet import EmbeddedFleet
from leuko.demo.installation import write_installation
from leuko.demo.places import shop_folder
from leuko.demo.traffic import Traffic
from leuko.domain.errors import LeukoError


def test_the_shops_own_file_is_valid():
    loaded = load(shop_folder() / "leuko.yml")
    assert loaded.configuration.application == "shop"
    assert [warning.code for warning in loaded.warnings] == ["W010"]  # nobody is told: a shop of two people


async def test_the_installations_file_names_the_hosts(pair, tmp_path):
    path = write_installation(tmp_path / "installation", pair.fleet, tmp_path / "shop.git")
    configuration = load(path).configuration
    hosts = configuration.fleet.roles["www"].hosts
    assert [host.name for host in hosts] == ["www1", "www2"]
    assert [host.vars["PORT"] for host in hosts] == [str(host.port) for host in pair.fleet.hosts]
    assert configuration.tick == 1.0
    assert [phase.watch for phase in configuration.push.phases] == [8, 6]
    assert configuration.fleet.transport == "local"
    assert configuration.fleet.hooks.reload == "bin/reload"


def test_more_is_merged_section_by_section(tmp_path):
    more = {"continuous": False, "fleet": {"min_healthy": "50%"}, "push": {"held_timeout": "30s"}}
    path = write_installation(
        tmp_path, EmbeddedFleet(tmp_path / "hosts"), tmp_path / "x", watches=(12, 14), more=more
    )
    configuration = load(path).configuration
    assert configuration.fleet.min_healthy == "50%"
    assert len(configuration.fleet.roles["www"].hosts) == 8
    assert [phase.hosts for phase in configuration.push.phases] == ["2", "100%"]
    assert configuration.push.held_timeout == 30.0
    assert not configuration.continuous


async def test_the_gauges_read_what_the_shop_writes(rig, tmp_path):
    assert (await rig.switch("r1")).code == 0
    traffic = Traffic(rig.fleet.addresses(), tmp_path / "traffic")
    traffic.start(rate=100, requests=200)
    await traffic.wait()
    assert (await rig.tell("bin/stop")).code == 0
    traffic.start(rate=100, requests=10)
    await traffic.wait()
    gauges = load(shop_folder() / "leuko.yml").configuration.gauges

    def matches(name: str) -> int:
        log = gauges[name].log
        done = subprocess.run(
            ["grep", "-E", "-c", "-e", log.match, str(rig.host.home / log.file)],
            capture_output=True,
            check=False,
        )
        assert done.returncode in (0, 1), done.stderr
        return int(done.stdout)

    assert matches("requests") == 210
    assert matches("errors") == matches("error_ratio") == 10
    assert matches("orders") == rig.log("access.log").count("POST /order 200")
    assert matches("crashes") == 0
    assert matches("latency") == 210
    values = re.findall(gauges["latency"].log.value, rig.log("access.log"), re.MULTILINE)
    assert len(values) == 210
    pid_file = rig.host.home / gauges["memory"].host.pid_file
    assert int(pid_file.read_text()) == rig.host.pid


async def test_ports_that_are_taken_are_passed_over(pair, tmp_path):
    another = EmbeddedFleet(tmp_path / "more", hosts=2, first_port=pair.fleet.hosts[0].port)
    await another.start()
    ports = [host.port for host in (*pair.fleet.hosts, *another.hosts)]
    assert len(set(ports)) == 4
    await another.stop()


async def test_a_host_that_cannot_start_says_where_to_look(tmp_path):
    (tmp_path / "www1" / "srv" / "shop" / "app").mkdir(parents=True)
    (tmp_path / "www1" / "srv" / "shop" / "app" / "shared").touch()
    with pytest.raises((LeukoError, FileExistsError, NotADirectoryError)):
        await EmbeddedFleet(tmp_path, hosts=1).start()
