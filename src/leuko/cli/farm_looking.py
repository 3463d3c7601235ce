"""What there is to see of a farm: for `leuko farm check` and `leuko farm status`."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from leuko.cli.farm_files import read
from leuko.cli.scene import Scene
from leuko.clock import SystemClock
from leuko.domain.errors import LeukoError
from leuko.verify.buildbot.errand import pending
from leuko.verify.buildbot.errors import FarmError
from leuko.verify.buildbot.farm import Farm, Worker, workers_of
from leuko.verify.buildbot.layout import VERSION
from leuko.verify.buildbot.lines import Relayed, Said
from leuko.verify.buildbot.master import Master
from leuko.verify.buildbot.order import Order, programs

CLOCK_SECONDS = 5.0
"""A clock that is this far off confuses whoever compares times of logs."""
LIVE_SECONDS = 0.5
"""Of the second that the program pauses; less: its log came in one piece."""
AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Place:
    """A farm, and what its workers fetch."""

    url: str
    user: str
    password: str = field(repr=False)
    builder: str
    repository: str
    branch: str


@dataclass(slots=True)
class Told:
    """What a command prints, and its exit code."""

    facts: dict[str, Any]
    code: int = 0
    lines: list[str] = field(default_factory=list)
    columns: Sequence[str] = ()
    rows: Sequence[tuple[str, ...]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Tried:
    """What came of trying one worker."""

    worker: Worker
    state: str = "ok"
    latency: float | None = None
    live: bool | None = None
    skew: float | None = None
    python: str = ""
    git: str = ""
    host: str = ""
    problems: list[str] = field(default_factory=list)


def find(scene: Scene, folder: Path | None) -> Place:
    """The farm of a folder that `leuko farm init` wrote, or that of leuko.yml."""
    if folder is not None:
        there = read(folder)
        return Place(there.url, there.user, there.password, there.builder, there.repository, "HEAD")
    from leuko.config.loading import load
    from leuko.config.secrets import REFERENCE, resolve

    loaded = load(scene.config, scene.environment)
    configuration = loaded.configuration
    if configuration.farm.engine != "buildbot":
        raise LeukoError(
            "there is no farm: tests run on this machine",
            where=str(scene.config),
            way_out="`farm: {engine: buildbot, url: ...}`, or name a folder that `leuko farm init` wrote",
            code="F027",
        )
    named = REFERENCE.findall(configuration.farm.password)
    wanted = {name: source for name, source in configuration.secrets.items() if name in named}
    reduced = configuration.model_copy(update={"secrets": wanted})
    values = asyncio.run(resolve(reduced, scene.config.resolve().parent))
    farm = configuration.farm
    return Place(
        farm.url,
        farm.user,
        values.fill_in(farm.password),
        farm.builder,
        farm.repository or configuration.repository,
        configuration.branch,
    )


# -- status ----------------------------------------------------------------------------------------------


def seen(scene: Scene, place: Place) -> Told:  # noqa: ARG001 - as `tried`
    """Workers, what they do, and what waits."""
    return asyncio.run(_seen(place))


async def _seen(place: Place) -> Told:
    master = Master(place.url, place.user, place.password)
    try:
        workers = await workers_of(master, place.builder)
        number = await master.builder(place.builder)
        running = await master.get(
            f"builders/{number}/builds",
            ("complete", "false"),
            ("property", "workername"),
            ("property", "reason"),
        )
        waiting = len(await pending(master, place.builder))
    finally:
        await master.close()
    does = {
        str(row["properties"]["workername"][0]): str(row["properties"].get("reason", [""])[0])
        for row in (running or {"builds": []})["builds"]
        if "workername" in row["properties"]
    }
    waiting = max(0, waiting - len(does))
    rows = [
        (name, _state(one, name in does), does.get(name, ""), one.version) for name, one in workers.items()
    ]
    facts = {
        "url": place.url,
        "builder": place.builder,
        "waiting": waiting,
        "workers": [
            {"name": name, "state": state, "doing": doing, "version": version}
            for name, state, doing, version in rows
        ],
    }
    connected = sum(one.connected for one in workers.values())
    there = f"{connected} of {len(workers)} workers connected"
    line = f"{place.url}: {there}, {len(does)} busy, {waiting} batches wait"
    return Told(facts, 0 if connected else 1, [line], ("worker", "state", "does", "version"), rows)


def _state(worker: Worker, busy: bool) -> str:
    if not worker.connected:
        return "AWAY"
    return "busy" if busy else "paused" if worker.paused else "idle"


# -- check -----------------------------------------------------------------------------------------------


def tried(scene: Scene, place: Place) -> Told:
    """The master asked, and every worker given a small order."""
    return asyncio.run(_tried(scene, place))


async def _tried(scene: Scene, place: Place) -> Told:
    from leuko.cli.progress import Progress

    master = Master(place.url, place.user, place.password)
    farm = Farm(master, place.builder, f"check-{secrets.token_hex(4)}")
    try:
        versions = await master.versions()
        workers = await workers_of(master, place.builder)
        await farm.start()
        busy = {key for _, key in await pending(master, place.builder)}
        places = asyncio.Semaphore(AT_ONCE)
        with Progress(scene, "workers answered") as progress:
            done = 0

            async def one(worker: Worker) -> Tried:
                nonlocal done
                async with places:
                    found = await _try(farm, place, worker)
                done += 1
                progress.step(done, len(workers))
                return found

            found = await asyncio.gather(*(one(worker) for worker in workers.values()))
    finally:
        await farm.close()
    return _told(place, versions.get("Buildbot", ""), found, len(busy))


async def _try(farm: Farm, place: Place, worker: Worker) -> Tried:
    tried = Tried(worker)
    if not worker.connected:
        tried.state, tried.problems = "AWAY", ["is not connected to the master"]
        return tried
    if worker.paused:
        tried.state = "paused"
        return tried
    loop, clock = asyncio.get_running_loop(), SystemClock()
    begun, sent = loop.time(), clock.now()
    heard: dict[str, float] = {}

    def take(message: Said | Relayed) -> None:
        if isinstance(message, Relayed):
            return
        heard[message.what] = loop.time()
        facts = message.facts
        if message.what == "hello":
            tried.latency = loop.time() - begun
            tried.skew = _outside(facts["at"], sent.timestamp(), clock.now().timestamp())
            tried.python, tried.host = str(facts["python"]), str(facts["host"])
        elif message.what == "trouble":
            tried.problems.append(f"cannot fetch: {facts['why']}")
        elif message.what == "looked":
            tried.git = str(facts["git"])
            tried.live = heard["looked"] - heard.get("hello", 0.0) > LIVE_SECONDS
            if not facts["revisions"]:
                tried.problems.append(f"the repository has no branch {place.branch}")

    order = Order(
        farm.key(worker.name), place.repository, place.branch, "check", "leuko farm check", look=True
    )
    try:
        await farm.carry_out(order, worker.name, programs(""), take)
    except LeukoError as error:
        tried.problems.append(error.rule)
    _judge(tried)
    return tried


def _outside(at: float, begin: float, end: float) -> float:
    """Seconds by which a clock must be wrong: it told the time between the two."""
    return at - begin if at < begin else max(0.0, at - end)


def _judge(tried: Tried) -> None:
    if tried.latency is None and not tried.problems:
        tried.problems.append("answered nothing: is python3 (3.8 or newer) on its PATH?")
    if tried.skew is not None and abs(tried.skew) > CLOCK_SECONDS:
        tried.problems.append(f"its clock is {tried.skew:+.0f} s off")
    if tried.live is False:
        tried.problems.append(
            "holds its log back for seconds: set `bot.buffer_timeout` as in our worker's buildbot.tac"
        )
    if tried.problems:
        tried.state = (
            "warning" if tried.git and not any("branch" in one for one in tried.problems) else "error"
        )


def _told(place: Place, version: str, found: Sequence[Tried], waiting: int) -> Told:
    good = sum(one.state in ("ok", "warning") for one in found)
    problems = [
        f"{'warning' if one.state == 'warning' else 'error'}: {one.worker.name}: {text}"
        for one in found
        for text in one.problems
    ]
    other = version.partition(".")[0] != VERSION.partition(".")[0]
    if other:
        problems.insert(
            0, f"warning: the master is Buildbot {version or '?'}; this was tested with {VERSION}"
        )
    lines = [
        f"{place.url}: Buildbot {version or '?'}, builder {place.builder}, {len(found)} workers"
        + (f", {waiting} batches on their way" if waiting else "")
    ]
    facts = {
        "url": place.url,
        "version": version,
        "builder": place.builder,
        "repository": place.repository,
        "good": good,
        "workers": [_facts(one) for one in found],
        "problems": problems,
    }
    columns = ("worker", "state", "host", "answers in", "live", "clock", "python", "git")
    bad = any(one.state in ("error", "AWAY") for one in found)
    return Told(facts, 1 if bad or not good else 0, lines, columns, [_row(one) for one in found], problems)


def _facts(one: Tried) -> dict[str, Any]:
    return {
        "name": one.worker.name,
        "state": one.state,
        "host": one.host,
        "latency": one.latency,
        "live": one.live,
        "clock_skew": one.skew,
        "python": one.python,
        "git": one.git,
        "version": one.worker.version,
        "problems": one.problems,
    }


def _row(one: Tried) -> tuple[str, ...]:
    return (
        one.worker.name,
        one.state,
        one.host,
        "" if one.latency is None else f"{one.latency:.1f} s",
        {True: "yes", False: "no", None: ""}[one.live],
        "" if one.skew is None else f"{one.skew:+.0f} s",
        one.python,
        one.git,
    )


__all__ = ["FarmError", "Place", "Told", "find", "seen", "tried"]
