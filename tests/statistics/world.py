"""A small fleet that never was: readings of healthy and sick pushes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from leuko.domain.gauge import Direction, Gauge, Kind
from leuko.statistics.question import Question, Series

GAUGES = (
    Gauge("errors", Kind.COUNT),
    Gauge("error_ratio", Kind.RATIO),
    Gauge("requests", Kind.COUNT, Direction.DOWN),
    Gauge("latency", Kind.LEVEL),
    Gauge("cpu", Kind.LEVEL),
    Gauge("memory", Kind.LEVEL),
    Gauge("load", Kind.LEVEL),
    Gauge("warnings", Kind.COUNT),
    Gauge("queue", Kind.LEVEL, required=False),
    Gauge("crashes", Kind.COUNT),
)


@dataclass
class World:
    """`rough` 0 is Poisson calm, 1 is a busy shared machine with drifts, bursts and hiccups."""

    hosts: int = 8
    canaries: int = 2
    tick: float = 1.0
    history: int = 40
    watch: int = 12
    rough: float = 1.0
    base_errors: float = 0.0005
    seed: int = 0
    last: bool = False
    held: int = 0
    rng: np.random.Generator = field(init=False)

    def __post_init__(self):
        self.rng = np.random.default_rng(self.seed)

    def ar(self, shape, sd, seconds):
        rho = np.exp(-self.tick / seconds)
        out = np.empty(shape)
        out[0] = self.rng.normal(0, sd, shape[1:])
        noise = self.rng.normal(0, sd * np.sqrt(1 - rho**2), shape)
        for t in range(1, shape[0]):
            out[t] = rho * out[t - 1] + noise[t]
        return out

    def series(self):
        rng, r = self.rng, self.rough
        T, H, C = (
            self.history + self.watch,
            self.hosts,
            self.canaries if not self.last else self.hosts - self.held,
        )
        new = np.zeros((T, H), bool)
        new[self.history :, :C] = True
        age = np.clip(np.arange(T) - self.history, 0, None)[:, None] * self.tick
        # what a healthy restart does: a transient, and a little something for good
        warm = np.where(new, rng.lognormal(-1.0, 0.5, (1, H)) * np.exp(-age / 3.0), 0) * r
        lasting = np.where(new, rng.normal(0, 0.03, (1, H)), 0) * r
        common = self.ar((T, 1), 0.15 * r, 15)
        traffic = rng.poisson(20 * self.tick * np.exp(0.3 * common + self.ar((T, H), 0.05 * r, 10)))
        if r:
            traffic[self.history : self.history + max(1, round(1 / self.tick)), :C] //= 2
        factor = np.exp(rng.normal(0, 0.3 * r, (1, H)))
        hiccup = np.ones((T, 1))
        if r and rng.random() < T * self.tick / 1800:
            start = rng.integers(0, T)
            hiccup[start : start + round(30 / self.tick)] = 3
        rate = self.base_errors * factor * hiccup * np.exp(common) * (1 + 0.5 * warm)
        errors = rng.poisson(
            np.minimum(traffic * rate * rng.gamma(2.5, 1 / 2.5, (T, H)) if r else traffic * rate, traffic)
        )
        bursts = rng.random((T, H)) < r * self.tick / 3600
        errors = np.minimum(errors + bursts * rng.poisson(10, (T, H)), traffic)

        def wander(sd, sec, white):
            return self.ar((T, H), sd * r, sec) + rng.normal(0, white, (T, H)) + common + np.log(factor)

        spikes = np.where(rng.random((T, H)) < 0.01 * r, rng.lognormal(1.0, 0.6, (T, H)), 1)
        latency = 5 * np.exp(wander(0.12, 10, 0.2)) * (1 + 2 * warm) * np.exp(lasting) * spikes
        cpu = 20 * np.exp(wander(0.12, 30, 0.1)) * (1 + warm) * np.exp(lasting)
        memory = (
            6e7
            * np.exp(0.2 * np.log(factor) + self.ar((T, H), 0.004, 60))
            * np.where(new, 0.9, 1)
            * np.exp(lasting)
        )
        running = rng.poisson(0.4 * np.exp(0.5 * common), (T, H)).astype(float)
        warnings = rng.poisson(0.3 * self.tick * factor * np.exp(common), (T, H))
        queue = rng.poisson(3 * np.exp(wander(0.2, 20, 0.1))).astype(float)
        crashes = (rng.random((T, H)) < r * self.tick / 7200).astype(float)
        known = {
            "errors": errors,
            "requests": traffic,
            "latency": latency,
            "cpu": cpu,
            "memory": memory,
            "load": running,
            "warnings": warnings,
            "queue": queue,
            "crashes": crashes,
        }
        return {name: np.asarray(value, float) for name, value in known.items()} | {
            "error_ratio": np.asarray(errors, float)
        }, C

    def sick(self, known, fault, C):
        """Makes the canaries ill from their switch on."""
        h, rng = self.history, self.rng
        part = (slice(h, None), slice(0, C))
        n = self.watch
        if fault.startswith("errors"):
            known["errors"][part] += rng.binomial(known["requests"][part].astype(int), float(fault[6:]) / 100)
            known["error_ratio"] = known["errors"].copy()
        elif fault == "slow":
            known["latency"][part] += 150
        elif fault == "leak":
            known["memory"][part] *= 1 + 0.15 * self.tick * np.arange(1, n + 1)[:, None]
        elif fault == "stop":
            known["requests"][part] = 0
            known["errors"][part] = 0
            known["error_ratio"][part] = 0
            known["latency"][part] = np.nan
        elif fault == "silent":
            for name in known:
                known[name][part] = np.nan
        elif fault.startswith("latency"):
            known["latency"][part] *= float(fault[7:])
        return known

    def question(self, fault="", upto=None, gauges=GAUGES, **more):
        known, C = self.series()
        known = self.sick(known, fault, C)
        T = self.history + self.watch
        times = 1_000_000.0 + self.tick * np.arange(1, T + 1)
        at = float(times[self.history - 1])
        series = {name: Series(value) for name, value in known.items()}
        series["error_ratio"] = Series(known["error_ratio"], known["requests"])
        switched = np.full(self.hosts, np.nan)
        switched[:C] = at
        held = np.zeros(self.hosts, bool)
        if self.last and self.held:
            held[C:] = True
        whole = Question(
            gauges=gauges,
            hosts=tuple(f"h{i:04}" for i in range(self.hosts)),
            roles=("www",) * self.hosts,
            pushed_roles=frozenset({"www"}),
            tick=self.tick,
            times=times,
            series=series,
            switched_at=switched,
            watched=np.isfinite(switched),
            watch_from=at,
            wanted=self.watch,
            held_back=held,
            **more,
        )
        return whole if upto is None else cut(whole, self.history + upto)


def cut(question: Question, ticks: int) -> Question:
    """The same question when only so many ticks had closed."""
    import dataclasses

    series = {
        name: Series(one.values[:ticks], None if one.denominators is None else one.denominators[:ticks])
        for name, one in question.series.items()
    }
    return dataclasses.replace(question, times=question.times[:ticks], series=series)
