"""Every gauge of a configuration tried from here, without a controller: `check --hosts`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING

import click

from leuko.clock import SystemClock
from leuko.config.fleet import addresses
from leuko.config.fleet import hosts as hosts_of
from leuko.config.inventory import read_inventory
from leuko.config.secrets import resolve
from leuko.gauges.source import Program
from leuko.gauges.trial import Given, trial
from leuko.hosts.pool import HostPool
from leuko.hosts.transport.choice import every_transport
from leuko.runtime.fleet import address_of
from leuko.runtime.gauging import targets_of

if TYPE_CHECKING:
    from leuko.config.loading import Loaded


async def try_gauges(loaded: Loaded, path: Path, state: Path) -> tuple[Given, ...]:
    """What each gauge gives now."""
    configuration, folder = loaded.configuration, path.resolve().parent
    if not configuration.gauges:
        return ()
    inventory = await read_inventory(configuration, folder)
    hosts = hosts_of(configuration, inventory)
    reach = addresses(configuration, inventory)
    clock = SystemClock()
    pool = HostPool(every_transport(state / "ssh"), clock, SystemRandom())

    async def start(host: str, argv: Sequence[str]) -> Program:
        return await pool.start(address_of(reach[host]), argv, lane="readings")

    try:
        return await trial(
            targets_of(configuration, hosts),
            configuration.gauges,
            clock=clock,
            start=start,
            secrets=await resolve(configuration, folder),
            folder=folder,
        )
    finally:
        await pool.close()


def print_gauges(found: Sequence[Given], loaded: Loaded) -> None:
    """A table, and what is wrong with file and line."""
    from leuko.cli.show import plain, print_table

    if not found:
        return
    click.echo()
    print_table(("gauge", "from", "read on", "gives", ""), map(_row, found))
    for one in found:
        if one.reason:
            where = loaded.at(f"gauges.{one.gauge}.{one.source}")
            click.echo(plain(f"warning: {where} {one.gauge}: {one.reason}"))


def _row(one: Given) -> tuple[str, ...]:
    whole = "" if one.given == one.hosts else ("nothing" if not one.given else "in part")
    example = "" if one.example is None else f"{one.example:g}"
    return (one.gauge, one.source, f"{one.given} of {one.hosts}", example, whole)
