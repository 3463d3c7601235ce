"""Slow queries out of logs as real servers write them."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.gauges.conftest import start_here
from tests.gauges.servers import wait_for

from leuko.gauges.slow import SlowQuery, grouped, normalised, slow_queries
from leuko.gauges.tails import LogLine, Tail, lines_of, tail_argv

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)

MYSQL = """\
x' WHERE the beginning was cut off;
# Time: 2026-03-02T11:59:00.123456Z
# User@Host: shop[shop] @ web [10.0.0.1]  Id: 12
# Query_time: 2.5  Lock_time: 0.0 Rows_sent: 1  Rows_examined: 5000
use shop;
SET timestamp=1772452740;
SELECT * FROM growing_table
  WHERE name = 'Ann''s' AND id IN (1, 2, 3);
# User@Host: shop[shop] @ web [10.0.0.1]  Id: 12
# Query_time: 1.0  Lock_time: 0.0 Rows_sent: 1  Rows_examined: 5000
SET timestamp=1772452741;
# administrator command: Ping;
SELECT * FROM growing_table WHERE name = 'Bob' AND id IN (7);
# Query_time: nonsense
/usr/sbin/mysqld, Version: 8.0. started with:
"""
POSTGRESQL = """\
	continuation of what was cut off
2026-03-02 11:59:00.123 UTC [71] shop@shop LOG:  duration: 2500.125 ms  statement: SELECT *
	FROM orders WHERE id = 7
2026-03-02 11:59:01.123 UTC [71] shop@shop LOG:  duration: 500.000 ms  execute <unnamed>: SELECT * FROM orders WHERE id = $1
2026-03-02 11:59:01.123 UTC [71] shop@shop DETAIL:  parameters: $1 = '8'
2026-03-02 11:59:02.000 UTC [71] shop@shop ERROR:  relation "x" does not exist at character 15
2026-03-02 11:59:03.000 UTC [71] shop@shop LOG:  duration: 3.000 ms
"""


def lines(text, host="db1"):
    return lines_of(host, [b"+0000", *text.encode().splitlines()], NOW)


def test_mysql():
    found = list(slow_queries("mysql", lines(MYSQL)))
    assert [(one.seconds, one.query.split()[0]) for one in found] == [(2.5, "SELECT"), (1.0, "SELECT")]
    assert found[0].at == datetime(2026, 3, 2, 11, 59, tzinfo=UTC)
    (group,) = grouped(found, NOW - timedelta(hours=1))[:1]
    assert group.query == "SELECT * FROM growing_table WHERE name = ? AND id IN (?, ...)"
    assert (group.count, group.total, group.worst, group.hosts) == (1, 2.5, 2.5, {"db1": 1})


def test_postgresql():
    found = list(slow_queries("postgresql", lines(POSTGRESQL)))
    (group,) = grouped(found, NOW - timedelta(hours=1))
    assert group.query == "SELECT * FROM orders WHERE id = ?"
    assert (group.count, round(group.total, 3), group.worst) == (2, 3.0, 2.500125)
    assert grouped(found, NOW) == []


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("SELECT 1;", "SELECT ?"),
        ("select a1, b_2 from t3 where x=-1.5e3", "select a1, b_2 from t3 where x=?"),
        ("INSERT INTO t VALUES (1,'a'), (2, 'b'),(3,'c')", "INSERT INTO t VALUES (?, ...), ..."),
        ("SELECT /* secret 'x' */ a -- mine\nFROM t # yours", "SELECT a FROM t"),
        ("SELECT 'cut off in the mid", "SELECT ?"),
        ("SELECT $q$it's$q$, $1, :name", "SELECT ?, ?, ?"),
        ('SELECT "a" FROM `t1`', "SELECT ? FROM `t1`"),
        ("SELECT 0xdeadbeef", "SELECT ?"),
    ],
)
def test_no_literal_is_left(query, left):
    assert normalised(query) == left


def test_a_long_query_is_cut_and_garbage_is_none():
    assert len(normalised("SELECT " + "a, " * 9000)) == 500
    for form in ("mysql", "postgresql"):
        assert list(slow_queries(form, [])) == []
        assert list(slow_queries(form, [LogLine("a", None, "\x00\ufffd" * 50)] * 9)) == []
        assert list(slow_queries(form, [LogLine("a", None, "# Query_time: 1")])) == []


def test_groups_are_those_that_took_most_time_first():
    queries = [SlowQuery("a", NOW, 1.0, "SELECT a"), SlowQuery("b", None, 3.0, "SELECT b")]
    queries += [SlowQuery("b", NOW, 0.9, "SELECT a")] * 3
    found = grouped(queries, NOW - timedelta(minutes=1))
    assert [(group.query, group.count, group.hosts) for group in found] == [
        ("SELECT a", 4, {"a": 1, "b": 3}),
        ("SELECT b", 1, {"b": 1}),
    ]


@pytest.mark.needs("mariadb")
async def test_a_real_slow_log_of_mariadb(mariadb):
    log = mariadb.folder / "slow.log"
    mariadb.run("SELECT sleep(0.06) AS 'a secret', 17")
    mariadb.run("SELECT sleep(0.07) AS 'another', 18")
    wait_for(lambda: log.read_text().count("another"), "the slow log")
    program = await start_here("db1", tail_argv(Tail(str(log), lines=4000, width=1000), "/"))
    printed = [line async for line in program.lines()]
    await program.wait()
    found = grouped(slow_queries("mysql", lines_of("db1", printed, NOW)), NOW - timedelta(days=9))
    group = next(group for group in found if "sleep" in group.query)
    assert group.query == "SELECT sleep(?) AS ?, ?"
    assert group.count == 2
    assert group.worst >= 0.06
