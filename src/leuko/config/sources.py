"""Where a gauge's numbers come from: one section for each kind of source."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field

from leuko.config.quantities import Duration
from leuko.config.section import Section

SOURCES = ("host", "log", "http", "prometheus", "graphite", "sql", "command")
"""Keys of a gauge that say where it comes from; it has exactly one."""
PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
"""`{name}` in an address or a target. Graphite's own `{a,b}` is none."""


class HostSource(Section):
    """A figure of the host: the machine's, or of the process tree below a pid file."""

    figure: Literal["load", "cpu", "memory", "disk"] = Field(description="Which figure.")
    pid_file: str = Field(
        "",
        description="Only this process and its children; absolute, or below the component's folder.",
    )


class LogSource(Section):
    """Lines of a log file that match; a ratio divides by the lines that match `of`."""

    file: str = Field(description="Path, absolute or below `<root>/<application>/<component>`.")
    match: str = Field(description="POSIX extended regular expression.")
    of: str = Field(
        "", description="For a ratio: the expression of its denominator; empty there: every line."
    )
    value: str = Field(
        "",
        description="For a level: an expression with one group; its mean over a tick's lines is the reading.",
    )
    templates: bool = Field(
        False,
        description="For a count or ratio of errors: matching lines are reduced to templates, and lines of "
        "kinds never seen before are a count of their own, `<gauge>.unseen`.",
    )


class HttpSource(Section):
    """A number from an HTTP endpoint of each host, asked for by the controller."""

    url: str = Field(description="May hold {address}, {name} and the host's variables.")
    json_path: str = Field("", description="Dotted path to a number in a JSON answer: `queue.depth`.")
    metric: str = Field(
        "",
        description='Metric of a Prometheus text answer, labels if wanted: `http_errors_total{code="500"}`. '
        "Series are summed.",
    )
    of: str = Field("", description="For a ratio: path or metric of the denominator.")
    counter: bool = Field(
        True, description="For counts and ratios: the value only ever grows, differences are taken."
    )
    timeout: Duration = Field(3.0, description="Longest time of one answer; then the reading is missing.")


class PrometheusSource(Section):
    """An answer of Prometheus, or of a server that speaks its language: of the whole, or `by` host."""

    url: str = Field(
        description="Address of the server, without `/api/...`; may be or hold `secret:NAME`, then only "
        "addresses that the installation's own file uses."
    )
    query: str = Field(description="PromQL that gives one number, or one for each value of the label `by`.")
    of: str = Field("", description="For a ratio: the query of its denominator.")
    by: str = Field("", description="Label that names the host, such as `instance`; empty: of the whole.")
    host: str = Field(
        "",
        description="Expression with one group, around the host in the label's value; empty: the whole "
        "value, with or without a port.",
    )
    counter: bool = Field(
        True, description="For counts and ratios: the value only ever grows, differences are taken."
    )
    every: Duration = Field(
        15.0, description="How often the server scrapes: what is older than this and a tick is absent."
    )
    headers: dict[str, str] = Field(
        {}, description='Sent along, for example `Authorization: "Bearer secret:NAME"`.'
    )
    timeout: Duration = Field(3.0, description="Longest time of one answer; then the reading is missing.")


class GraphiteSource(Section):
    """Series of Graphite's render API: of the whole, or of each host where `target` names it."""

    url: str = Field(
        description="Address of the server, without `/render`; may be or hold `secret:NAME`, then only "
        "addresses that the installation's own file uses."
    )
    target: str = Field(
        description="Target that gives one series. With {name}, {address}, {role}, a host's variable or "
        "{node} (its name with `_` for dots) it is asked for each host."
    )
    of: str = Field("", description="For a ratio: the target of its denominator.")
    counter: bool = Field(
        False,
        description="For counts and ratios: the value only ever grows, differences are taken. Otherwise a "
        "value is the events of one interval.",
    )
    every: Duration = Field(
        10.0, description="Graphite's interval: what is older than this and a tick is absent."
    )
    headers: dict[str, str] = Field(
        {}, description='Sent along, for example `Authorization: "Basic secret:NAME"`.'
    )
    timeout: Duration = Field(3.0, description="Longest time of one answer; then the reading is missing.")


class SqlSource(Section):
    """Rows of a database, read by the controller in a read-only transaction: of the whole, or `by` host."""

    address: str = Field(
        description="`postgresql://...`, `mysql://...` or `sqlite:///file`; better `secret:NAME`. A commit "
        "may only use addresses that the installation's own file uses."
    )
    query: str = Field(
        description="One SELECT. It gives one row with one number; a ratio two, the second its denominator."
    )
    by: str = Field("", description="Column that names the host, one row each; empty: of the whole.")
    counter: bool = Field(
        True, description="For counts and ratios: the value only ever grows, differences are taken."
    )
    timeout: Duration = Field(3.0, description="Longest time of the query, also in the database.")


class CommandSource(Section):
    """What a program prints: on each host, or on the controller for the whole or `by` host."""

    argv: tuple[str, ...] = Field(
        description="Program and arguments. On a host it starts in the folder of the live release."
    )
    on: Literal["controller", "host"] = Field(
        "host", description="`controller` only from the installation's own file."
    )
    by: Literal["", "host"] = Field(
        "", description="On the controller: `host` where it prints lines of a host's name and its number."
    )
    counter: bool = Field(
        False, description="For counts and ratios: the value only ever grows, differences are taken."
    )
    timeout: Duration = Field(3.0, description="Longest time; then its processes are killed.")


class SlowLog(Section):
    """A database's log of slow queries, on hosts of the fleet. Only from the installation's own file."""

    file: str = Field(description="Path, absolute or below `<root>/<application>/<component>`.")
    format: Literal["mysql", "postgresql"] = Field(
        description="`mysql`: the slow query log of MySQL and MariaDB; `postgresql`: the server's log with "
        "`log_min_duration_statement`."
    )
    roles: tuple[str, ...] = Field((), description="Only hosts of these roles; empty: all.")
