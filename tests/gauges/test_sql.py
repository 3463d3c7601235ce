"""Gauges out of real databases: SQLite, PostgreSQL and MariaDB."""

import asyncio
import itertools
import os
import signal
import sqlite3

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from tests.contract.conftest import Cluster, postgres  # noqa: F401 - a fixture
from tests.gauges.asked import Line
from tests.gauges.servers import free_port

from leuko.config.secrets import Secrets

pytestmark = pytest.mark.timeout(90)
_numbers = itertools.count()

SETUP = (
    "CREATE TABLE orders (host VARCHAR(20), total INTEGER, made VARCHAR(20))",
    "INSERT INTO orders VALUES ('www1', 3, '12:30:00'), ('www2', 4, '12:31:00'), ('elsewhere', 9, 'x')",
)


@pytest.fixture
def sqlite(tmp_path):
    file = tmp_path / "shop.sqlite"
    with sqlite3.connect(file) as database:
        for statement in SETUP:
            database.execute(statement)
    database.close()
    return f"sqlite:///{file}"


@pytest.fixture
async def postgresql(postgres: Cluster):  # noqa: F811 - the fixture above
    name = f"gauges{next(_numbers)}"
    postgres.run("createdb", "-h", str(postgres.folder), name)
    address = postgres.url(name)
    engine = create_async_engine(address.replace("postgresql:", "postgresql+asyncpg:"))
    async with engine.begin() as connection:
        for statement in SETUP:
            await connection.execute(text(statement))
    await engine.dispose()
    return address


@pytest.fixture
def mysql(mariadb):
    for statement in ("DROP TABLE IF EXISTS orders", *SETUP):
        mariadb.run(statement)
    return mariadb.address


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("postgresql", marks=pytest.mark.needs("postgres")),
        pytest.param("mysql", marks=pytest.mark.needs("mariadb")),
    ]
)
def address(request):
    return request.getfixturevalue(request.param)


def gauge(address, query, kind="level", **more):
    required = more.pop("required", True)
    return {
        "kind": kind,
        "required": required,
        "sql": {"address": address, "query": query, "timeout": "20s", **more},
    }


async def test_of_the_whole_by_host_and_as_a_ratio(address):
    gauges = {
        "all": gauge(address, "SELECT sum(total) FROM orders;"),
        "each": gauge(address, "SELECT host, total FROM orders", by="host"),
        "late": gauge(address, "SELECT total FROM orders WHERE made = '12:31:00' AND host LIKE 'www%'"),
        "share": gauge(address, "SELECT 1, count(*) FROM orders", "ratio", counter=False),
        "count": gauge(address, "SELECT count(*) FROM orders", "count"),
        "nothing": gauge(address, "SELECT total FROM orders WHERE host = 'nobody'"),
        "null": gauge(address, "SELECT sum(total) FROM orders WHERE host = 'nobody'"),
        "word": gauge(address, "SELECT host FROM orders WHERE total = 3"),
        "wrong": gauge(address, "SELECT nonsense FROM nowhere"),
        "wide": gauge(address, "SELECT 1, 2"),
        "column": gauge(address, "SELECT host, total FROM orders", by="server"),
    }
    async with Line(gauges) as line:
        for ask in range(2):
            found = await line.look()
            assert found["all"] == {"-": 16}
            assert found["each"] == {"www1": 3, "www2": 4}
            assert found["late"] == {"-": 4}
            assert (found["share"], found["share:of"]) == ({"-": 1}, {"-": 3})
            assert found["count"] == ({"-": 0} if ask else {})
            assert [found[name] for name in ("nothing", "null", "word", "wrong", "wide", "column")] == [
                {}
            ] * 6
        assert (
            "gauges.nothing.sql.query `SELECT total FROM orders WHERE host = 'nobody'`: gives no rows"
            in line.reason
        )
        assert 'gives "www1", which is no number' in line.reason
        assert "nonsense" in line.reason or "nowhere" in line.reason
        assert "gives 2 columns, not 1" in line.reason
        assert 'gives no column "server"; it has host, total' in line.reason


async def test_it_only_ever_reads(address):
    writes = {
        "insert": gauge(address, "INSERT INTO orders VALUES ('x', 1, 'x')"),
        "update": gauge(address, "UPDATE orders SET total = 0"),
        "table": gauge(address, "CREATE TABLE more (a INTEGER)"),
        "total": gauge(address, "SELECT sum(total) FROM orders"),
    }
    async with Line(writes) as line:
        for _ in range(2):
            found = await line.look()
            assert found == {"insert": {}, "update": {}, "table": {}, "total": {"-": 16}}


SLOW = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
    "postgresql": "SELECT pg_sleep(60)",
    "mysql": "SELECT count(*) FROM seq_1_to_10000000 a, seq_1_to_10000000 b",
}


async def test_a_slow_query_is_ended_and_holds_nobody_up(address):
    slow = SLOW[address.partition(":")[0]]
    gauges = {
        "slow": gauge(address, slow, timeout="300ms"),
        "quick": gauge(address, "SELECT sum(total) FROM orders"),
    }
    async with Line(gauges) as line:
        looks, moved = 0, 0

        async def moves():
            nonlocal moved
            while True:
                await asyncio.sleep(0.01)
                moved += 1

        mover = asyncio.create_task(moves())
        async with asyncio.timeout(20):
            while looks < 2:
                found = await line.look()
                assert found["slow"] == {}
                looks += 1
        mover.cancel()
        assert moved > 10, "the loop went on meanwhile"
        assert line.reason


async def test_a_result_of_a_million_rows_is_not_read(sqlite):
    query = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000000) SELECT i FROM n"
    async with Line({"g": gauge(sqlite, query, timeout="20s")}) as line:
        assert await line.look() == {"g": {}}
        assert "gives more than 10000 rows" in line.reason


async def test_a_database_that_is_not_there_is_not_made(tmp_path):
    file = tmp_path / "none.sqlite"
    async with Line({"g": gauge(f"sqlite:///{file}", "SELECT 1")}) as line:
        assert await line.look() == {"g": {}}
        assert f"there is no file {file}" in line.reason
    assert not file.exists()


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
async def test_a_server_that_is_not_there_or_says_nothing(scheme, monkeypatch):
    async def mute(reader, writer):
        await reader.read()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    monkeypatch.setattr("leuko.gauges.sql.CONNECT", 1)
    for port, said in (
        (free_port(), "Connect call failed|Can't connect"),
        (server.sockets[0].getsockname()[1], "no connection within"),
    ):
        address = f"{scheme}://u:very-hidden@127.0.0.1:{port}/shop"
        async with Line({"g": gauge(address, "SELECT 1")}) as line:
            assert await line.look() == {"g": {}}
            assert any(part in line.reason for part in said.split("|")), line.reason
            assert "very-hidden" not in line.reason + line.askings.asked[0].question.source
    server.close()


@pytest.mark.needs("mariadb")
async def test_a_database_that_drops_us_or_hangs_is_absent_and_comes_back_on_its_own(mysql, mariadb):
    secrets = Secrets({"SHOP": mysql})
    gauges = {"total": gauge("secret:SHOP", "SELECT sum(total) FROM orders", timeout="1500ms")}
    async with Line(gauges, secrets=secrets) as line:
        assert await line.look() == {"total": {"-": 16}}
        assert line.askings.asked[0].question.source == "sql secret:SHOP"
        others = "user = 'leuko' AND id != connection_id()"
        for number in mariadb.run(f"SELECT id FROM information_schema.processlist WHERE {others}").split():
            mariadb.run(f"KILL {number}")
        assert await line.look() == {"total": {}}
        assert line.reason
        assert await line.look() == {"total": {"-": 16}}
        assert line.reason == ""
        os.killpg(mariadb.process.pid, signal.SIGSTOP)
        try:
            async with asyncio.timeout(20):
                assert await line.look() == {"total": {}}
                assert "no answer within 1.5 s" in line.reason
                assert await line.look() == {"total": {}}
                assert "secret" not in line.reason
        finally:
            os.killpg(mariadb.process.pid, signal.SIGCONT)
        assert await line.look() == {"total": {"-": 16}}
