"""`leuko trends`: what slowly goes wrong after a push is live."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from leuko.cli.group import Command
from leuko.cli.scene import Scene, with_scene

HOSTLESS = "-"


@click.command(
    "trends",
    cls=Command,
    examples=[
        ("leuko trends", "warnings, and what was said of each gauge last"),
        ("leuko trends --all", "and warnings that are over"),
        ("leuko trends --json", "the same as one JSON object"),
    ],
)
@click.option("-a", "--all", "everything", is_flag=True, help="Also warnings that are over.")
@with_scene
def trends(scene: Scene, everything: bool) -> int:
    """Show slow failures: what rises, the time left, the suspects.

    A day's change is of the same hours of days, along the chain of releases; its range is what chance leaves
    open. Too little data is said, with how much is missing.
    """
    from leuko.cli.desk import reading
    from leuko.cli.show import plain, print_json

    with reading(scene) as desk:
        found = desk.get("trends")
    if scene.as_json:
        print_json(found)
        return 0
    for line in _warnings(found):
        click.echo(plain(line))
    _table(found)
    if everything:
        for line in _ended(found):
            click.echo(plain(line))
    return 0


def _warnings(found: Mapping[str, Any]) -> Iterator[str]:
    from leuko.cli.words import date_time

    if not found["open"]:
        yield "No warning is open."
    for one in found["open"]:
        yield f"{one['id']}, since {date_time(one['found_at'])} UTC: {one['sentence']}"


def _ended(found: Mapping[str, Any]) -> Iterator[str]:
    from leuko.cli.words import date_time

    yield ""
    if not found["ended"]:
        yield "No warning is over."
    for one in found["ended"]:
        until = f"{date_time(one['found_at'])} to {date_time(one['ended_at'])} UTC"
        yield f"{one['id']}, {until}, {one['ended_why']}: {one['sentence']}"


def _table(found: Mapping[str, Any]) -> None:
    from leuko.cli.show import print_table

    rows = [_row(gauge["gauge"], one) for gauge in found["gauges"] for one in gauge["subjects"]]
    click.echo()
    if rows:
        print_table(("gauge", "where", "now", "a day", "range", "says"), rows)
    else:
        click.echo(
            "No gauge has been looked at yet. Memory and disk are watched once a push is live, others with "
            "`trend: true` in leuko.yml."
        )


def _row(gauge: str, one: Mapping[str, Any]) -> tuple[str, ...]:
    from leuko.statistics.trends_sentences import amount, between

    unit = one["unit"]
    where = "the whole" if one["subject"] == HOSTLESS else one["subject"]
    says = one["sentence"]
    if one["warned"]:
        says = "warning"
    elif one["suspects"]:
        says = "rises surely, not enough to matter yet"
    return (
        gauge,
        f"{where} (role)" if one["aggregate"] else where,
        "" if one["level"] is None else amount(one["level"], unit),
        "" if one["a_day"] is None else amount(one["a_day"], unit),
        "" if one["low"] is None else between(one["low"], one["high"], unit),
        says,
    )
