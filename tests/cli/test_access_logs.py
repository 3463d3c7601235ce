"""What `check --hosts` says while only figures of the machine are watched."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.conftest import leuko

from leuko.cli.access_logs import NONE, PLACES, access_logs, advice
from leuko.cli.inspection import Found
from leuko.config.loading import parse
from leuko.hosts.port import Address
from leuko.hosts.transport.local import LocalTransport

NGINX = "/var/log/nginx/access.log"
APPLICATION = """\
application: shop
repository: /git/shop
verify: {tests: {all: "true"}}
push: {phases: [{hosts: 100%, watch: 12}]}
"""


def found(host: str, **logs: str) -> Found:
    return Found(host, "www", "", "", "", reachable=True, user="deploy", logs={NGINX: logs[host]})


async def test_logs_are_found_where_they_are(tmp_path: Path) -> None:
    odd = tmp_path / "odd ; echo $name"
    odd.write_text("")
    connection = await LocalTransport().connect(Address("www1"))
    try:
        there = await access_logs(connection, (str(odd), str(tmp_path / "none")))
    finally:
        await connection.close()
    assert there == {str(odd): "readable"}


@pytest.mark.parametrize("path", PLACES)
def test_what_is_advised_can_be_written_as_it_is(path: str) -> None:
    host = Found("www1", "www", "", "", "", reachable=True, user="deploy", logs={path: "readable"})
    first, second, *lines = advice([host, Found("www2", "www", "", "", "")])
    assert first == f"What customers meet is not watched yet. {path} is on 1 of 1 hosts."
    assert second == "Write this into leuko.yml, under `gauges`:"
    text = APPLICATION + "fleet: {roles: {www: [a]}}\ngauges:\n" + "\n".join(lines)
    configuration = parse(text)
    assert list(configuration.configuration.gauges) == ["requests", "errors"]
    assert "W013" not in [warning.code for warning in configuration.warnings]


def test_a_log_that_may_not_be_read_is_told_with_the_way_in() -> None:
    (line,) = advice([found("www1", www1="closed"), found("www2", www2="closed")])
    assert line.startswith(f"{NGINX} is there on 2 of 2 hosts, but deploy may not read it: `sudo usermod")
    assert list(advice([Found("www1", "www", "", "", "", reachable=True)])) == [NONE]
    assert list(advice([Found("www1", "www", "", "", "")])) == [], "nobody could be asked"


def test_check_looks_only_while_nothing_else_tells_of_customers(tmp_path: Path) -> None:
    fleet = f"fleet: {{transport: local, root: '{tmp_path}/{{name}}', roles: {{www: [www1]}}}}\n"
    machine = "gauges: {cpu: {kind: level, host: {figure: cpu}}}\n"
    (tmp_path / "leuko.yml").write_text(APPLICATION + fleet + machine)
    said = leuko(tmp_path, "check", "--hosts").out
    assert "[W013]" in said
    assert "What customers meet is not watched yet" in said
    other = "gauges: {hits: {kind: count, log: {file: shared/hits, match: .}}}\n"
    (tmp_path / "leuko.yml").write_text(APPLICATION + fleet + other)
    assert "customers" not in leuko(tmp_path, "check", "--hosts").out
