"""`leuko calibrate`: the verdict on quiet hours of the past, before anybody trusts it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from leuko.cli.group import Command
from leuko.cli.scene import Scene, with_scene

if TYPE_CHECKING:
    from datetime import tzinfo

    from leuko.cli.progress import Progress
    from leuko.gauges.prometheus_range import PrometheusHistory
    from leuko.runtime.deploys import Deploy, LeftOut
    from leuko.runtime.retrospect import Retrospect
    from leuko.runtime.server_gauges import Watched


@click.command(
    "calibrate",
    cls=Command,
    examples=[
        ("leuko calibrate", "on this fleet's own readings"),
        (
            "leuko calibrate --prometheus http://prometheus:9090 --deploys deploys.csv",
            "with nothing installed",
        ),
        (
            "leuko calibrate --prometheus http://prometheus:9090 --query 'errors=http_errors_total'",
            "a gauge of your own",
        ),
    ],
)
@click.option(
    "--pushes", type=click.IntRange(20, 100_000), default=600, show_default=True, help="Pretend pushes."
)
@click.option("--hours", type=click.FloatRange(0.1, 720), default=48, show_default=True, help="Of the past.")
@click.option(
    "--prometheus", "server", metavar="URL", help="Read this Prometheus instead; no controller is needed."
)
@click.option(
    "--deploys",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="CSV or JSON of deployments to judge: time, end, hosts, canaries, revision, bad.",
)
@click.option("--zone", default="", help="Time zone of times in that file that have none: Europe/Berlin.")
@click.option("--query", "queries", multiple=True, metavar="NAME=PROMQL", help="A gauge; may be given often.")
@click.option("--by", default="instance", show_default=True, help="Label that names the host.")
@click.option(
    "--step", metavar="DURATION", help="Between two readings.  [default: 15s, or as the server scrapes]"
)
@click.option("--for", "watch", default="5m", show_default=True, help="How long a deployment is watched.")
@click.option("--canaries", type=click.IntRange(0, 10_000), default=0, help="Hosts of a pretend push.")
@click.option(
    "--budget", default="0.5%", show_default=True, help="Part of healthy pushes that may be rolled back."
)
@click.option("--header", "headers", multiple=True, metavar="NAME:VALUE", help="Sent to the server.")
@with_scene
def calibrate(scene: Scene, pushes: int, hours: float, server: str | None, **more: Any) -> int:
    """Measure how often the verdict would be wrong on your own history.

    Pushes that never were are judged at random times of quiet hours: false rollbacks a month at this team's
    rate, the smallest change that each gauge can show, gauges too noisy to act on, limits that fire by
    themselves. With --prometheus everything comes from a Prometheus, and the deployments of a file are
    judged as well: no ssh, nothing installed. Without --query (or a --config with Prometheus gauges)
    queries are proposed from what the server has.
    """
    from leuko.cli.progress import Progress
    from leuko.cli.show import print_json

    if server is None:
        given = [name for name in ("deploys", "queries", "headers", "step") if more[name]]
        if given:
            raise click.UsageError(f"--{given[0].replace('queries', 'query')} goes with --prometheus")
        from leuko.cli.desk import reading

        with reading(scene) as desk, Progress(scene, "hours looked at") as progress:
            found = desk.study("calibrate", {"pushes": pushes, "hours": hours}, progress.step)
        if scene.as_json:
            print_json(found)
        else:
            _print_calibration(found)
        return 0
    with Progress(scene, "pieces looked at") as progress:
        answer = _from_server(scene, server, pushes, hours, more, progress)
    if scene.as_json:
        print_json(answer)
    else:
        _print_retrospect(answer)
    return 0


def _from_server(
    scene: Scene, url: str, pushes: int, hours: float, more: Mapping[str, Any], progress: Progress
) -> dict[str, Any]:
    import asyncio

    from leuko.cli.limits import part
    from leuko.clock import SystemClock
    from leuko.config.quantities import parse_duration
    from leuko.runtime.retrospect import Manner

    try:
        watch, step = parse_duration(more["watch"]), parse_duration(more["step"]) if more["step"] else None
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    now = SystemClock().now()
    deploys, left_out = _deploys(more["deploys"], now, _zone(more["zone"]))
    manner = Manner(part(more["budget"]), watch, pushes, more["canaries"])
    return asyncio.run(
        _look_back(
            scene, url, deploys, left_out, manner, (now.timestamp(), hours * 3600), step, more, progress
        )
    )


async def _look_back(
    scene: Scene,
    url: str,
    deploys: Sequence[Deploy],
    left_out: Sequence[LeftOut],
    manner: Any,
    span: tuple[float, float],
    step: float | None,
    more: Mapping[str, Any],
    progress: Progress,
) -> dict[str, Any]:
    from leuko.gauges.prometheus_range import PrometheusHistory
    from leuko.runtime.retrospect import look_back
    from leuko.runtime.server_gauges import told
    from leuko.runtime.server_past import Way

    server = PrometheusHistory(url, _headers(more["headers"]))
    try:
        interval = await server.interval()
        step = step or max(15.0, round(interval or 15.0))
        watched = await _watched(scene, server, more["queries"], more["by"])
        way = Way(server, tuple(watched), more["by"], step, step + (interval or step))
        found = await look_back(way, deploys, manner, *span, progress.step)
    finally:
        await server.close()
    return _answer(found, told(watched), left_out, step)


async def _watched(scene: Scene, server: PrometheusHistory, queries: Sequence[str], by: str) -> list[Watched]:
    from leuko.runtime.server_gauges import asked_for, configured, proposed

    if queries:
        return asked_for(queries, by)
    if scene.config_given:
        from leuko.config.loading import load

        return configured(load(scene.config, scene.environment).configuration)
    return await proposed(server, by)


def _deploys(path: Path | None, now: Any, zone: tzinfo | None) -> tuple[Sequence[Deploy], Sequence[LeftOut]]:
    from leuko.domain.errors import LeukoError
    from leuko.runtime.deploys import read_deploys

    if path is None:
        return (), ()
    try:
        with click.open_file(str(path), encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise LeukoError(f"cannot be read: {error}", where=str(path), code="D001") from error
    return read_deploys(text, now, zone)


def _zone(name: str) -> tzinfo | None:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    if not name:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise click.BadParameter(f"there is no time zone {name!r}", param_hint="--zone") from error


def _headers(texts: Sequence[str]) -> dict[str, str]:
    found = {}
    for text in texts:
        name, colon, value = text.partition(":")
        if not colon or not name.strip().isascii():
            raise click.BadParameter("should be NAME:VALUE", param_hint="--header")
        found[name.strip()] = value.strip()
    return found


def _answer(
    found: Retrospect, watched: Sequence[Mapping[str, str]], left_out: Sequence[LeftOut], step: float
) -> dict[str, Any]:
    from leuko.store.records import to_json

    made: dict[str, Any] = to_json(found)
    return {**made, "watched": list(watched), "left_out": to_json(left_out), "step": step}


def _print_calibration(found: Mapping[str, Any]) -> None:
    from leuko.cli.show import print_table

    for sentence in found["sentences"]:
        click.echo(sentence)
    if not found["gauges"]:
        return
    click.echo()
    rows = [
        (
            one["gauge"],
            "" if one["role"] == "-" else one["role"],
            f"x{one['rise']:.3g}" if one["rise"] else "-",
            f"/{one['fall']:.3g}" if one["fall"] else "-",
            f"{one['largest']:.3g}",
            "too noisy to act on" if one["noisy"] else "",
            "; ".join(f"{limit['limit']}: {100 * limit['part']:.1f} %" for limit in one["limits"]),
        )
        for one in found["gauges"]
    ]
    columns = ("gauge", "role", "shows a rise", "a fall", "most evidence in quiet", "", "limits fire in")
    print_table(columns, rows)


def _print_retrospect(found: Mapping[str, Any]) -> None:
    from leuko.cli.show import plain, print_table
    from leuko.web.words import span

    click.echo(f"Looked at, every {found['step']:g} s:")
    for one in found["watched"]:
        of = f" over {one['of']}" if one["of"] else ""
        click.echo(plain(f"  {one['gauge']} ({one['kind']}): {one['query']}{of}"))
    if found["deploys"]:
        click.echo()
        says = {
            "fail": "ROLL BACK",
            "pass": "pass",
            "hold": "hold",
            "unknown": "not judged",
            "continue": "too short",
        }
        rows = []
        for one in found["deploys"]:
            deploy = one["deploy"]
            after = f"after {span(one['seconds'])}" if one["seconds"] is not None else ""
            bad = {True: "was bad", False: "was good", None: ""}[deploy["bad"]]
            because = "; ".join((one["sentence"], *one["remarks"]))
            began = deploy["began"][:19].replace("T", " ")
            rows.append((began, deploy["revision"][:12], says[one["decision"]], after, bad, because))
        print_table(("deployment (UTC)", "revision", "verdict", "", "", "because"), rows)
    for one in found["left_out"]:
        click.echo(plain(f"left out: {one['place']}: {one['why']}"))
    click.echo()
    for sentence in found["sentences"]:
        click.echo(sentence)
    calibration = {**found["calibration"], "sentences": ()}
    _print_calibration(calibration)
