"""A push and a change, printed whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from leuko.cli import words
from leuko.cli.show import plain, print_table
from leuko.web.words import cut, short, span, stopped


def print_push(page: Mapping[str, Any]) -> None:
    """States with their times, phases with their verdicts, hosts, commits, locks."""
    push = page["push"]
    click.echo(
        f"{words.headline(push)}: {push['origin']}, by {push['by'] or 'leuko'}"
        + (f" ({plain(push['why'])})" if push["why"] else "")
    )
    click.echo(f"  release {push['release']}, base {push['base'] or 'none'}")
    for sentence in page["why"]:
        click.echo(plain(stopped(sentence)))
    _part("states", ("state", "from (UTC)", "lasted", "by", ""), [_moment(one) for one in page["timeline"]])
    for phase in page["phases"]:
        _print_phase(phase, push["phases"])
    hosts = [_host(host, push["phases"]) for host in page["hosts"]]
    _part("hosts", ("host", "role", "phase", "state", "hook and link", "link", ""), hosts)
    commits = [(short(one["revision"]), one["author"], cut(one["subject"], 70)) for one in page["commits"]]
    _part("commits", ("commit", "author", "subject"), commits)
    locks = [_lock(lock) for lock in page["locks"]]
    _part("locks", ("lock", "kind", "", "held", "reason"), locks)


def print_change(page: Mapping[str, Any]) -> None:
    """Commits, build, and what the failed commands printed (or all of it)."""
    change = page["change"]
    click.echo(
        plain(
            f'{short(change["revision"])} "{change["subject"]}" by {change["author"]}: {change["standing"]}'
        )
    )
    for sentence in page["why"]:
        click.echo(plain(stopped(sentence)))
    if change["commits"] > 1:
        commits = [
            (short(one["revision"]), one["author"], cut(one["subject"], 70)) for one in page["commits"]
        ]
        _part("commits", ("commit", "author", "subject"), commits)
    build = page["build"]
    if build is None:
        return
    reason = f": {plain(build['reason'])}" if build["reason"] else ""
    took = f" in {span(build['seconds'])}" if build["seconds"] is not None else ""
    click.echo(f"\nbuild {build['id']} {build['state']}{took}{reason}")
    for step in build["steps"]:
        click.echo(f"  {step['name']}: {words.step_end(step)}")
        _print_output(step)


def _print_output(step: Mapping[str, Any]) -> None:
    whole = step.get("text")
    lines = whole.splitlines() if whole is not None else ([] if step["passed"] else step["tail"])
    for line in lines:
        click.echo(f"    | {plain(line)}")


def _part(name: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    if rows:
        click.echo(f"\n{name}")
        print_table(columns, rows, indent=2)


def _moment(one: Mapping[str, Any]) -> tuple[str, ...]:
    where = (
        f"{one['state']} {one['phase'] + 1}" if one["state"] in ("SWITCHING", "WATCHING") else one["state"]
    )
    lasted = span(one["seconds"]) if one["seconds"] is not None else ""
    return (where, words.date_time(one["at"]), lasted, one["by"], cut(one["why"], 100))


def _host(host: Mapping[str, Any], phases: int) -> tuple[str, ...]:
    number = "hold-back" if host["phase"] < 0 else f"{host['phase'] + 1}/{phases}"
    took = span(host["seconds"]) if host["seconds"] else ""
    link = f"{host['link_seconds'] * 1000:.1f} ms" if host["link_seconds"] else ""
    return (host["host"], host["role"], number, host["state"], took, link, cut(host["detail"], 80))


def _lock(lock: Mapping[str, Any]) -> tuple[str, ...]:
    held = "held" if lock["held"] else f"released by {lock['released_by'] or 'time'}"
    return (lock["id"], lock["kind"], lock["severity"], held, cut(lock["reason"], 100))


def _print_phase(phase: Mapping[str, Any], phases: int) -> None:
    verdict = phase["verdict"]
    if verdict is None:
        return
    name = words.phase_name(phase["phase"], phases)
    ticks = words.ticks(verdict)
    click.echo(f"\n{name}: {verdict['decision']} after {ticks}. {plain(stopped(verdict['sentence']))}")
    aggregates = [one for one in verdict["findings"] if one["aggregate"] or one["decision"] == "fail"]
    print_table(words.FINDING_COLUMNS, [words.finding_row(one) for one in aggregates], indent=2)
