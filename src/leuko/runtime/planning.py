"""Makes a push: what it will do is fixed here, and nothing is done yet. `leuko plan` shows the same."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from leuko.config.fleet import hold_back, phase_rules, watch_ticks
from leuko.config.freeze import Difference, differences, stricter
from leuko.config.model import Configuration
from leuko.config.quantities import portion, share
from leuko.domain.change import Commit
from leuko.domain.errors import LeukoError
from leuko.domain.fleet import HOLD_BACK, assign_phases
from leuko.domain.plan import Plan, PlannedHost, WatchedHost
from leuko.domain.push import Cause, Origin, Push, Rules, State
from leuko.domain.release import Release, release_name
from leuko.domain.rollout import HostProgress
from leuko.releases.archives import Archives
from leuko.runtime.foresight import Foresight
from leuko.runtime.freezing import frozen_for
from leuko.runtime.ground import Ground
from leuko.statistics.placebo import Placebo
from leuko.statistics.placebo_sentences import noisy
from leuko.store.records import from_json, to_json
from leuko.store.studies import PLACEBO
from leuko.vcs.landings import History

LONGER_WATCH = 2
LONGER = "the verdict rolled this release back once: its canaries are watched twice as long"
SWITCH_SECONDS = 5.0
"""What a phase's switch takes besides its watch: for the expected time only."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A push that could begin: the push itself has no number yet."""

    push: Push
    plan: Plan
    configuration: Configuration
    base_configuration: Configuration


async def stored_plan(ground: Ground, number: int) -> Plan:
    """The plan that a push was made with."""
    return from_json(await ground.store.pushes.plan(ground.line, number), Plan)


def rules_of(configuration: Configuration, total: int, *, held_back: bool) -> Rules:
    """The frozen rules of a push over `total` hosts."""
    section = configuration.push
    return Rules(
        phases=len(section.phases),
        hold_back=held_back,
        unreachable_allowed=share(section.budget.unreachable).of(total),
        failed_allowed=section.budget.failed,
        stage_timeout=section.stage_timeout,
        switch_timeout=section.switch_timeout,
        watch_timeout=section.watch_timeout,
        held_timeout=section.held_timeout,
        restore_timeout=section.restore_timeout,
        observe=section.observe,
    )


class Planner:
    """Drafts pushes from the store, the history and the archives; changes nothing."""

    def __init__(self, ground: Ground, history: History, archives: Archives) -> None:
        self._ground = ground
        self._history = history
        self._archives = archives
        self.foresight = Foresight(ground)

    async def base(self) -> Push | None:
        """The push whose release is live: what the next one goes back to."""
        return await self._ground.store.pushes.live(self._ground.line)

    async def draft(
        self, release: Release, origin: Origin, by: str, why: str, *, first: bool = False
    ) -> Draft:
        """A push of `release` as it would be made now. Raises LeukoError where it cannot be."""
        ground = self._ground
        base = await self.base()
        if base is None and not first:
            raise LeukoError(
                "nothing is live yet, so there is no release to go back to",
                where=str(ground.line),
                way_out="`leuko adopt` takes over what runs; `leuko push --first` goes without a way back",
                code="P010",
            )
        configuration = await frozen_for(ground.configuration, self._history, release.revision)
        base_configuration = await ground.configuration_of(base) if base else ground.configuration
        commits, straight = await self._commits(base.revision if base else None, release.revision)
        longer = origin is Origin.RETRY and await self._was_rolled_back(release)
        plan = await self._plan(
            release, base, configuration, base_configuration, commits, straight=straight, longer=longer
        )
        now = ground.clock.now()
        held_back = any(host.phase == HOLD_BACK for host in plan.hosts)
        rules = rules_of(ground.configuration, len(plan.hosts), held_back=held_back)
        if longer:
            rules = replace(rules, watch_timeout=LONGER_WATCH * rules.watch_timeout)
        push = Push(
            number=0,
            line=ground.line,
            release=release.name,
            revision=release.revision,
            base=base.release if base else None,
            rules=rules,
            state=State.PENDING,
            since=now,
            created_at=now,
            origin=origin,
            by=by,
            why=why,
        )
        return Draft(push, plan, configuration, base_configuration)

    async def rollback(self, live: Push, target: Push, by: str, why: str) -> Draft:
        """A push back: made as if the live release had just been switched on everywhere; all go back."""
        ground = self._ground
        commits, straight = await self._commits(target.revision, live.revision)
        hosts = tuple(PlannedHost(host.name, host.role, 0) for host in ground.hosts if host.pushed)
        configuration = await ground.configuration_of(live)
        plan = Plan(
            hosts=hosts,
            watches=(1,),
            tick=configuration.tick,
            commits=commits,
            base_is_ancestor=straight,
            min_healthy=ground.configuration.fleet.min_healthy,
        )
        now = ground.clock.now()
        push = Push(
            number=0,
            line=ground.line,
            release=live.release,
            revision=live.revision,
            base=target.release,
            rules=replace(rules_of(ground.configuration, len(hosts), held_back=False), phases=1),
            state=State.PENDING,
            since=now,
            created_at=now,
            origin=Origin.ROLLBACK,
            by=by,
            why=why,
        )
        return Draft(push, plan, configuration, await ground.configuration_of(target))

    async def drill(self, live: Push, by: str, why: str) -> Draft:
        """A push of what is live to the canaries that the next push would have; it always goes back."""
        ground = self._ground
        configuration = await ground.configuration_of(live)
        hosts = [host for host in ground.hosts if host.pushed]
        rotation = (await self._rotation()) if configuration.push.rotate else 0
        phases = assign_phases(hosts, phase_rules(configuration), hold_back(configuration), rotation=rotation)
        canaries = tuple(PlannedHost(host.name, host.role, 0) for host in hosts if phases[host.name] == 0)
        chosen = {host.name for host in canaries}
        others = tuple(WatchedHost(host.name, host.role) for host in ground.hosts if host.name not in chosen)
        watch = watch_ticks(configuration)[0]
        plan = Plan(
            hosts=canaries,
            watches=(watch,),
            tick=configuration.tick,
            hooks=_moments(configuration),
            expected_seconds=watch * configuration.tick + 2 * SWITCH_SECONDS,
            min_healthy=ground.configuration.fleet.min_healthy,
            watched=others,
        )
        now = ground.clock.now()
        rules = rules_of(ground.configuration, len(canaries), held_back=False)
        push = Push(
            number=0,
            line=ground.line,
            release=live.release,
            revision=live.revision,
            base=live.release,
            rules=replace(rules, phases=1, failed_allowed=0, observe=False, drill=True),
            state=State.PENDING,
            since=now,
            created_at=now,
            origin=Origin.DRILL,
            by=by,
            why=why,
        )
        return Draft(push, plan, configuration, configuration)

    async def keep(self, tx: Any, draft: Draft) -> Push:
        """Stores a draft with its frozen configurations; gives it its number."""
        store, now = self._ground.store, draft.push.created_at
        own = await store.configurations.keep(tx, to_text(draft.configuration), now)
        base = await store.configurations.keep(tx, to_text(draft.base_configuration), now)
        push = await store.pushes.create(
            tx, draft.push, plan=to_json(draft.plan), configuration=own, base_configuration=base
        )
        rows = [HostProgress(host.name, host.role, host.phase) for host in draft.plan.hosts]
        await store.hosts.save_progress(tx, push.number, rows)
        tx.event(
            "push",
            push.name,
            {
                "push": push.number,
                "to": State.PENDING.value,
                "release": push.release,
                "revision": push.revision,
            }
            | {"by": push.by, "why": push.why, "origin": push.origin.value}
            | {"foresight": draft.plan.foresight},
            now,
        )
        return push

    async def _commits(self, base: str | None, head: str) -> tuple[tuple[Commit, ...], bool]:
        if base is not None and not await self._history.has(base):
            # adopted from another tool: nobody knows what it was made from; only the newest is surely new
            return (await self._history.landing(head)).commits, True
        found = await self._history.commits_between(base, head)
        return found.commits, found.straight

    async def _plan(
        self,
        release: Release,
        base: Push | None,
        configuration: Configuration,
        base_configuration: Configuration,
        commits: tuple[Commit, ...],
        *,
        straight: bool,
        longer: bool,
    ) -> Plan:
        ground = self._ground
        hosts = [host for host in ground.hosts if host.pushed]
        rotation = (await self._rotation()) if configuration.push.rotate else 0
        phases = assign_phases(hosts, phase_rules(configuration), hold_back(configuration), rotation=rotation)
        watches = watch_ticks(configuration)
        warnings = _warnings(configuration, phases, straight=straight, first=base is None)
        if longer:
            watches = (LONGER_WATCH * watches[0], *watches[1:])
            warnings = (*warnings, LONGER)
        full, sent = await self._bytes(release, base, len(hosts))
        changed = seen_by_an_approver(differences(base_configuration, configuration)) if base else ()
        plan = Plan(
            hosts=tuple(PlannedHost(host.name, host.role, phases[host.name]) for host in hosts),
            watches=watches,
            tick=configuration.tick,
            commits=commits,
            base_is_ancestor=straight,
            differences=tuple(str(difference) for difference in changed),
            warnings=warnings,
            hooks=_moments(configuration),
            bytes_full=full,
            bytes_sent=sent,
            expected_seconds=sum(watches) * configuration.tick + SWITCH_SECONDS * (len(watches) + 1),
            min_healthy=configuration.fleet.min_healthy,
            secrets=tuple(configuration.secrets),
            observe=configuration.push.observe,
            watched=tuple(WatchedHost(host.name, host.role) for host in ground.hosts if not host.pushed),
        )
        return await self._foreseen(plan, stricter(base_configuration, configuration)) if base else plan

    async def _foreseen(self, plan: Plan, configuration: Configuration) -> Plan:
        """The plan with what its watch will be able to see, and with what stands in its way already."""
        seen = await self.foresight.sight(plan, configuration)
        broken = await self.foresight.broken(plan, configuration)
        told = await self._noisy(portion(configuration.push.false_rollbacks))
        told += [f"{clause} already: the push waits until it no longer does" for clause in broken]
        if not seen and configuration.gauges:
            told.append("no readings yet, so nothing can be said of what this push will be able to see")
        return replace(plan, sight=seen, warnings=(*plan.warnings, *told))

    async def _noisy(self, budget: float) -> list[str]:
        """Gauges that pretend pushes before the newest push found to be too noisy to act on."""
        studies = await self._ground.store.studies.recent(self._ground.line, PLACEBO, limit=1)
        return [
            f"{name} is too noisy for automatic rollback, as push {study.push}'s pretend pushes found"
            for study in studies
            for name in noisy(study.read(Placebo), budget)
        ]

    async def _was_rolled_back(self, release: Release) -> bool:
        """By a verdict: what it saw once it is given more time to see, or not to see, again."""
        earlier = await self._ground.store.pushes.of_release(self._ground.line, release.name)
        return any(push.stop is not None and push.stop.cause is Cause.VERDICT for push in earlier)

    async def _rotation(self) -> int:
        latest = await self._ground.store.pushes.latest(self._ground.line)
        return latest.number if latest else 0

    async def _bytes(self, release: Release, base: Push | None, hosts: int) -> tuple[int, int]:
        full = sent = 0
        base_release = (
            await self._ground.store.releases.get(self._ground.line, base.release) if base else None
        )
        for component in release.components:
            name = component_name(release, component.name)
            before = component_name(base_release, component.name) if base_release else ""
            full += await self._archives.size(component, name)
            sent += 0 if before == name else await self._archives.size(component, name, before)
        return full, sent * hosts


def component_name(release: Release, component: str) -> str:
    """Name on a host of one component of a release; empty where the release has no such component."""
    found = next((part for part in release.components if part.name == component), None)
    return release_name(release.revision, found.digest) if found else ""


def to_text(configuration: Configuration) -> dict[str, Any]:
    """As it is stored and digested: secrets are references in it."""
    return configuration.model_dump(mode="json")


def seen_by_an_approver(found: tuple[Difference, ...]) -> tuple[Difference, ...]:
    """What changes in hooks, gauges, limits or fleet."""
    return tuple(difference for difference in found if difference.kind != "other")


def _moments(configuration: Configuration) -> tuple[str, ...]:
    hooks = configuration.fleet.hooks.model_dump(exclude={"timeout"})
    return tuple(moment for moment, command in hooks.items() if command)


def _warnings(
    configuration: Configuration, phases: dict[str, int], *, straight: bool, first: bool
) -> tuple[str, ...]:
    found = []
    if not straight:
        found.append("the live release has commits that this one lacks: pushing it takes them away")
    if first:
        found.append(
            "this is the first push: going back means stopping the application and removing the link"
        )
    if not configuration.gauges:
        found.append(
            "no gauge is configured: every phase will be held, for nothing can show that it is healthy"
        )
    canaries = sum(phase == 0 for phase in phases.values())
    if canaries == len(phases):
        found.append("every host is a canary: nothing stays on the old release to compare with")
    return tuple(found)
