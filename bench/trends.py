"""False alarms and power of the slow-failure watch, beside what others watch with.

    python bench/trends.py --out trends.jsonl         about half an hour on one core
    python bench/trends.py --quick                    a few minutes

Every cell is one world, seeded, looked at hour after hour as the controller does. An alarm that comes again
within twelve hours is the same alarm.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from _cells import do, parser
from _slow import (
    START,
    Floats,
    World,
    backups,
    busy_days,
    noise,
    pushes,
    restarted,
    times,
    uptime,
    wave,
)
from _slow_rules import (
    block_t,
    daily_minima,
    hamed_rao,
    mann_kendall,
    netdata,
    ols,
    predict_linear,
)

from leuko.domain.trend import Trend
from leuko.statistics.trends import look
from leuko.statistics.trends_question import CELLS, Bar, Landing, Over, Watched
from leuko.statistics.trends_subjects import count

GAUGES = 20
SAME = 12
"""Hours within which an alarm is the same as the one before."""
Rule = Callable[[Floats], bool]
FULL: Mapping[str, Rule] = {
    "predict_linear 1 h": partial(predict_linear, hours=1),
    "predict_linear 6 h, 40 % free": partial(predict_linear, hours=6, free_below=40.0),
    "Netdata fill rate": netdata,
    "Theil-Sen of 7 daily minima": daily_minima,
}
RISING: Mapping[str, Rule] = {
    "least squares 72 h": ols,
    "Mann-Kendall 72 h": mann_kendall,
    "Hamed-Rao 72 h": hamed_rao,
    "24 h differences 72 h": block_t,
}


# -- worlds ---------------------------------------------------------------------------------------------


def rss(seed: int, days: int, hosts: int, leak: float, since: float = 0.0, alone: bool = True) -> World:
    """Memory of a process in MB: wave 10, noise 4 lasting an hour, a leak in MB an hour."""
    rng, hours = np.random.default_rng(seed), days * 24
    cells = 300.0 + wave(rng, hours, hosts, 10.0) + noise(rng, hours, hosts, 4.0, 1.0)
    cells += (leak * np.maximum(0.0, times(hours) - since))[:, None]
    moments = np.arange(10.0, hours, 24.0)
    culprit = int(np.searchsorted(moments, since)) + 1 if leak else None
    roles = tuple(f"role{index}" for index in range(hosts)) if alone else ("www",) * hosts
    landings = pushes(moments)
    return World("rss", Watched("rss", "MB"), cells, roles, landings, {}, since if leak else None, culprit)


def disk(seed: int, days: int, a_day: float, since: float = 168.0) -> World:
    """Per cent of 200 GB, a nightly backup of 25, log files that come and go, growth in per cent a day."""
    rng, hours = np.random.default_rng(seed), days * 24
    cells = 50.0 + backups(rng, hours, 1, 25.0) + noise(rng, hours, 1, 0.3, 6.0)
    cells += np.maximum(0.0, times(hours) - since)[:, None] * a_day / 24.0
    cells = np.clip(cells, 0.0, 100.0)
    plain = 50.0 + np.maximum(0.0, times(hours) - since) * a_day / 24.0
    full = float(times(hours)[np.argmax(plain >= 100.0)]) if plain[-1] >= 100.0 else None
    moments = np.array([40.0, 90.0, 130.0, since, since + 40.0])
    watched = Watched("disk", "%", capacity=100.0)
    return World("disk", watched, cells, ("www",), pushes(moments), {}, since if a_day else None, 4, full)


def fifty(seed: int, days: int, hosts: int, leak: float, since: float = 206.0) -> World:
    """A process that fifty pushes a day restart, whose caches fill in 20 minutes; it leaks from `since`."""
    rng, hours = np.random.default_rng(seed), days * 24
    moments = busy_days(rng, hours)
    first = int(np.searchsorted(moments, since))
    up = uptime(moments, hours)
    sick = times(hours) - up >= moments[first] - 0.01
    course = 300.0 + 30.0 * (1.0 - np.exp(-up / 0.33)) + leak * up * sick
    cells = course[:, None] + wave(rng, hours, hosts, 10.0) + noise(rng, hours, hosts, 4.0, 1.0)
    watched = Watched("memory", "MB", over=Over.UPTIME)
    found = restarted(moments, hosts)
    fault = float(moments[first]) if leak else None
    return World("fifty", watched, cells, ("www",) * hosts, pushes(moments), found, fault, first + 1)


def table(seed: int, days: int, a_day: float, since: float = 202.0) -> World:
    """Query time in ms of a database: customers' wave, six pushes a day; from one on it grows by parts."""
    rng, hours = np.random.default_rng(seed), days * 24
    moments = np.concatenate([day * 24 + np.array([9, 10.5, 12, 14, 15.5, 17.0]) for day in range(days)])
    culprit = int(np.searchsorted(moments, since))
    begin = float(moments[culprit])
    grown = 1.0 + a_day * np.maximum(0.0, times(hours) - begin) / 24.0
    cells = (20.0 + wave(rng, hours, 1, 4.0, 0.1)) * grown[:, None] + noise(rng, hours, 1, 1.0, 1.0)
    fault = begin if a_day else None
    watched = Watched("query", "ms")
    return World("table", watched, cells, ("db",), pushes(moments), {}, fault, culprit + 1)


def calm_fleet(seed: int, days: int) -> list[World]:
    """Twenty gauges of ten hosts in which nothing goes wrong: waves, noise, backups, restarts."""
    found = []
    rng = np.random.default_rng(seed)
    for index in range(GAUGES):
        hours, hosts = days * 24, 10
        each = np.random.default_rng([seed, index])
        lasting = float(rng.choice([0.2, 1.0, 3.0, 6.0]))
        size, height = float(rng.uniform(0.005, 0.05)), float(rng.uniform(0.0, 0.2))
        base = 100.0 * (
            1.0 + wave(each, hours, hosts, height, 0.1) + noise(each, hours, hosts, size, lasting)
        )
        shared = 100.0 * noise(each, hours, 1, size / 2, lasting)
        moments = busy_days(each, hours)
        watched, restarts = Watched(f"g{index}", "MB"), {}
        if index % 5 == 0:
            base = 45.0 + 0.1 * (base - 100.0) + backups(each, hours, hosts, 25.0)
            watched = Watched(f"g{index}", "%", capacity=100.0)
        if index % 5 == 1:
            base = base + 10.0 * (1.0 - np.exp(-uptime(moments, hours) / 0.33))[:, None]
            watched, restarts = Watched(f"g{index}", "MB", over=Over.UPTIME), restarted(moments, hosts)
        found.append(World(f"g{index}", watched, base + shared, ("www",) * hosts, pushes(moments), restarts))
    return found


# -- looking --------------------------------------------------------------------------------------------


def bar(world: World) -> Bar:
    """As for a fleet of twenty gauges on these hosts."""
    return Bar.of(1.0, GAUGES * count(world.roles))


def ours(world: World, first: int, every: int = 1) -> tuple[list[int], Trend | None]:
    """Hours at which a warning begins, and the first one at or after the fault."""
    begins: list[int] = []
    seen: dict[str, int] = {}
    caught = None
    for hour in range(first, world.hours + 1, every):
        for trend in look(world.at(hour), bar(world)).trends:
            if hour - seen.get(trend.subject, -1000) > SAME + every:
                begins.append(hour)
            seen[trend.subject] = hour
            if caught is None and world.fault is not None and hour >= world.fault:
                caught = trend
    return begins, caught


def theirs(world: World, rule: Rule, first: int, every: int = 1) -> list[int]:
    """The same of a rule, on each host by itself."""
    begins = []
    for host in range(world.cells.shape[1]):
        seen = -1000
        for hour in range(first, world.hours + 1, every):
            if rule(world.cells[: hour * CELLS, host]):
                if hour - seen > SAME + every:
                    begins.append(hour)
                seen = hour
    return begins


def quantiles(values: Sequence[float]) -> list[float]:
    return [round(float(each), 1) for each in np.quantile(values, [0.1, 0.5, 0.9])] if values else []


# -- cells ----------------------------------------------------------------------------------------------


def one_look(leak: float, hours: int, series: int) -> dict[str, Any]:
    """One look at single processes after some days: how often each says that it leaks."""
    world = rss(11, hours // 24, series, leak)
    found = look(world.at(hours), Bar.of(1.0, GAUGES)).trends
    rates = {"leuko": len({trend.role for trend in found}) / series}
    for name, rule in RISING.items():
        rates[name] = sum(rule(world.cells[:, each]) for each in range(series)) / series
    return {"leak": leak, "hours": hours, "series": series, "says": rates}


def nightly(seeds: int) -> dict[str, Any]:
    """A disk with a backup each night that does not grow: false alarms a week."""
    weeks, counts = 0.0, dict.fromkeys(("leuko", *FULL), 0)
    for seed in range(seeds):
        world = disk(100 + seed, 28, 0.0)
        weeks += 3.0
        counts["leuko"] += len(ours(world, 168)[0])
        for name, rule in FULL.items():
            counts[name] += len(theirs(world, rule, 168))
    return {"weeks": weeks, "false_a_week": {name: round(n / weeks, 2) for name, n in counts.items()}}


def first_sure(world: World, every: int = 6) -> int | None:
    """The first suspect of the look that first is sure of a slope, long before it matters."""
    for hour in range(168, world.hours + 1, every):
        for each in look(world.at(hour), bar(world)).outlooks:
            if each.suspects and world.fault is not None and hour > world.fault:
                return each.suspects[0].push
    return None


def filling_up(seeds: int) -> dict[str, Any]:
    """4 GB a day on 200 GB from a push on: hours before it is full, and alarms before anything was wrong."""
    ahead: dict[str, list[float]] = {name: [] for name in ("leuko", *FULL)}
    early = dict.fromkeys(ahead, 0)
    right = 0
    for seed in range(seeds):
        world = disk(200 + seed, 35, 2.0)
        assert world.full is not None
        assert world.fault is not None
        begins, _ = ours(world, 168)
        right += first_sure(world) == world.culprit
        for name, found in {"leuko": begins, **{n: theirs(world, r, 168) for n, r in FULL.items()}}.items():
            true = [hour for hour in found if world.fault < hour <= world.full]
            early[name] += len([hour for hour in found if hour <= world.fault + 1])
            if true:
                ahead[name].append(world.full - true[0])
    return {
        "runs": seeds,
        "hours_before_full": {name: quantiles(values) for name, values in ahead.items()},
        "found": {name: len(values) for name, values in ahead.items()},
        "right_push_first": right,
    }


def restarts(leak: float, seeds: int) -> dict[str, Any]:
    """Fifty restarts a day, ten hosts: hours until a leak is found, by night where there is one."""
    waits: list[float] = []
    false, named, width = 0, 0, []
    rivals = dict.fromkeys(RISING, 0)
    for seed in range(seeds):
        world = fifty(300 + seed, 15, 10, leak)
        begins, caught = ours(world, 168, 2)
        fault = world.fault if world.fault is not None else float("inf")
        false += len([hour for hour in begins if hour < fault])
        true = [hour - fault for hour in begins if hour >= fault]
        if true and caught is not None:
            waits.append(true[0])
            named += world.culprit in [each.push for each in caught.suspects]
            width.append(len(caught.suspects))
        for name, rule in RISING.items():
            rivals[name] += len([hour for hour in theirs(world, rule, 168, 6) if hour < fault])
    weeks = seeds * ((206 - 168) / 168.0 if leak else 8.0 / 7.0)
    return {
        "leak": leak,
        "runs": seeds,
        "found": len(waits),
        "hours": quantiles(waits),
        "culprit_among_named": named,
        "named": quantiles(width),
        "false_a_week": {"leuko": round(false / weeks, 2)}
        | {name: round(n / weeks, 2) for name, n in rivals.items()},
    }


def growing(a_day: float, seeds: int) -> dict[str, Any]:
    """A table that a query reads whole, six pushes a day: hours until it is found, and the push's place."""
    waits, places, false = [], [], 0
    for seed in range(seeds):
        world = table(400 + seed, 21, a_day)
        begins, caught = ours(world, 168, 2)
        fault = world.fault if world.fault is not None else float("inf")
        false += len([hour for hour in begins if hour < fault])
        true = [hour - fault for hour in begins if hour >= fault]
        if true and caught is not None:
            waits.append(true[0])
            order = [each.push for each in caught.suspects]
            places.append(order.index(world.culprit) + 1 if world.culprit in order else 99)
    return {
        "a_day": a_day,
        "runs": seeds,
        "found": len(waits),
        "hours": quantiles(waits),
        "first": places.count(1),
        "among_named": sum(place < 99 for place in places),
        "place": quantiles(places),
        "false": false,
    }


def one_of_ten(leak: float, seeds: int) -> dict[str, Any]:
    """One host of ten leaks from the eighth day on: hours until it, and it alone, is named."""
    waits, others = [], 0
    for seed in range(seeds):
        world = rss(500 + seed, 18, 10, 0.0, alone=False)
        world.cells[:, 3] += leak * np.maximum(0.0, times(world.hours) - 178.0)
        for hour in range(168, world.hours, 2):
            found = look(world.at(hour), bar(world)).trends
            others += any(trend.subject != "h003" for trend in found)
            if hour > 178 and any(trend.subject == "h003" for trend in found):
                waits.append(hour - 178.0)
                break
    return {"leak": leak, "runs": seeds, "found": len(waits), "hours": quantiles(waits), "others": others}


def calm(seed: int) -> dict[str, Any]:
    """Four weeks of a fleet of twenty gauges and ten hosts: false warnings, all gauges together."""
    gauges: list[str] = []
    for world in calm_fleet(seed, 35):
        gauges += [world.name] * len(ours(world, 168, 3)[0])
    return {"weeks": 4, "warnings": len(gauges), "at": gauges}


def calm_others(seeds: int) -> dict[str, Any]:
    """The same fleets under the others' rules: on one host of ten, and times ten."""
    counts = dict.fromkeys((*RISING, *FULL), 0)
    months = 0.0
    for seed in range(seeds):
        for world in calm_fleet(600 + seed, 35):
            rules = {**RISING, **(FULL if world.watched.capacity is not None else {})}
            one = World(world.name, world.watched, world.cells[:, :1], ("www",))
            for name, rule in rules.items():
                counts[name] += 10 * len(theirs(one, rule, 168, 3))
        months += 28.0 / 30.0
    return {"months": round(months, 1), "a_month": {name: round(n / months) for name, n in counts.items()}}


def size(hosts: int, gauges: int) -> dict[str, Any]:
    """Time and memory of a look at a large fleet."""
    rng = np.random.default_rng(7)
    hours = 168
    cells = 300.0 + wave(rng, hours, hosts, 10.0) + noise(rng, hours, hosts, 4.0, 1.0)
    cells = cells.astype(np.float32)
    world = World("size", Watched("rss", "MB"), cells.astype(np.float64), ("www",) * hosts)
    landings = tuple(Landing(number, START + 0.4 * number) for number in range(1, 350))
    world = World(world.name, world.watched, world.cells, world.roles, landings)
    history, needed = world.at(hours), Bar.of(1.0, gauges * (hosts + 1))
    tracemalloc.start()
    look(history, needed)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    took = []
    for _ in range(3):
        began = time.process_time()  # of the processor: the machine is shared
        look(history, needed)
        took.append(time.process_time() - began)
    return {
        "hosts": hosts,
        "cpu_seconds_a_gauge": round(min(took), 3),
        "cpu_seconds_a_look": round(min(took) * gauges, 1),
        "peak_mb": round(peak / 1e6),
        "kept_mb": round(cells.nbytes * gauges / 1e6),
    }


def main() -> None:
    chosen = parser(__doc__).parse_args()
    few = 4 if chosen.quick else 1
    cells: dict[str, Callable[[], Mapping[str, Any]]] = {"size": partial(size, 1000, GAUGES)}
    for hours in (72, 120, 168):
        for leak in (0.0, 0.25, 0.5):
            cells[f"rss {leak:g} {hours} h"] = partial(one_look, leak, hours, 240 // few)
    cells["disk nightly"] = partial(nightly, 8 // few)
    cells["disk 4 GB a day"] = partial(filling_up, 4 // min(2, few))
    for leak in (0.0, 2.0, 5.0, 20.0):
        cells[f"fifty restarts {leak:g}"] = partial(restarts, leak, 4 // min(2, few))
    for a_day in (0.03, 0.1):
        cells[f"growing table {a_day:g}"] = partial(growing, a_day, 8 // few)
    for leak in (0.5, 2.0):
        cells[f"one of ten {leak:g}"] = partial(one_of_ten, leak, 4 // min(2, few))
    cells["calm fleet, others"] = partial(calm_others, 1)
    for seed in range(600, 600 + 8 // few):
        cells[f"calm fleet {seed}"] = partial(calm, seed)
    do(cells, chosen)


if __name__ == "__main__":
    main()
