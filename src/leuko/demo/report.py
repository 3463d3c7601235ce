"""What the demo has to say at its end: facts, and whether all that was expected came true."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from leuko.demo.story import Demo, facts_of
from leuko.demo.tally import Facts
from leuko.demo.telling import Teller
from leuko.demo.timeline import PushTimes


@dataclass(frozen=True, slots=True)
class Expectation:
    """Something that must come true, and whether it did."""

    text: str
    came_true: bool


async def report(demo: Demo) -> dict[str, Any]:
    """The facts, ready for JSON."""
    pushes = demo.pushes()
    traffic = facts_of(demo)
    by_revision = {push.revision: push for push in pushes.values() if push.committed}
    story = [by_revision[revision] for revision in demo.names if revision in by_revision]
    expectations = await _expectations(demo, story, traffic)
    return {
        "ok": all(one.came_true for one in expectations),
        "expectations": [{"text": one.text, "came_true": one.came_true} for one in expectations],
        "seconds": round((demo.clock.now() - demo.began).total_seconds(), 1),
        "pushes": [_push(push) for push in story],
        "requests": _requests(traffic),
        "bad_push": _bad(demo, story, traffic),
        "verdict": await _verdict(demo, story),
        "controller_peak_memory_mb": round(demo.shop.peak_memory() / 1e6, 1),
        "controller_cpu_seconds": round(demo.shop.cpu_seconds(), 1),
        "console": demo.shop.address,
        "repository": str(demo.repository.clone),
    }


async def _expectations(demo: Demo, story: list[PushTimes], traffic: Facts) -> list[Expectation]:
    states = [push.state for push in story]
    bad = story[1] if len(story) > 1 else PushTimes(0)
    status = await demo.shop.get("/status")
    canaries = _switched_in(demo, bad.number)
    failed = [name for name, figures in traffic.hosts.items() if figures.failed_by_release.get(bad.revision)]
    serving = set(await _serving(demo))
    last = story[-1].revision if story else ""
    reason = _lock_reason(demo, bad.number)
    return [
        Expectation("the good commit went live", states[:1] == ["LIVE"]),
        Expectation("the bad commit was rolled back by a verdict", bad.cause == "verdict"),
        Expectation(
            "its commit and author are named in the locks", bad.revision[:8] in reason and " by " in reason
        ),
        Expectation(
            "only customers of the canaries met it",
            bool(failed) and set(failed) <= set(canaries) and len(canaries) < len(traffic.hosts),
        ),
        Expectation("the fix went through the lock and live", states[2:3] == ["LIVE"]),
        Expectation("the locks were lifted by it", not status["commit_lock"] and not status["push_lock"]),
        Expectation("every host runs the fix", len(serving) == 1 and last[:12] in str(serving)),
    ]


async def _serving(demo: Demo) -> list[str]:
    hosts = await demo.shop.get("/hosts")
    rows = hosts["hosts"] if isinstance(hosts, dict) else hosts
    return [str(row["current"]) for row in rows]


def _switched_in(demo: Demo, push: int) -> list[str]:
    return sorted(
        {
            event["data"]["host"]
            for event in demo.events
            if event["kind"] == "host"
            and event["data"].get("push") == push
            and event["data"].get("state") == "switched"
        }
    )


def _lock_reason(demo: Demo, push: int) -> str:
    reasons = [event["data"]["reason"] for event in demo.events if event["kind"] == "lock"]
    return next((reason for reason in reasons if reason.startswith(f"push {push} ")), "")


def _push(push: PushTimes) -> dict[str, Any]:
    return {
        "push": push.number,
        "revision": push.revision,
        "state": push.state,
        "cause": push.cause,
        "reason": push.reason,
        "stages": push.stages(),
        "commit_to_end_seconds": push.commit_to_end(without_watch=False),
        "commit_to_end_without_watch_seconds": push.commit_to_end(without_watch=True),
    }


def _requests(traffic: Facts) -> dict[str, Any]:
    hosts = traffic.hosts
    return {
        "sent": sum(figures.requests for figures in hosts.values()),
        "failed": sum(figures.failures for figures in hosts.values()),
        "failed_by_host": {name: figures.failures for name, figures in sorted(hosts.items())},
        "failed_by_release": _sums(figures.failed_by_release for figures in hosts.values()),
        "failed_by_kind": _sums(figures.kinds for figures in hosts.values()),
        "not_sent": traffic.unsent,
    }


def _sums(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for each in counts:
        found.update(each)
    return dict(sorted(found.items()))


def _bad(demo: Demo, story: list[PushTimes], traffic: Facts) -> dict[str, Any]:
    """Without a canary the same share of every host's requests would have failed, for as long."""
    if len(story) < 2:
        return {}
    bad = story[1]
    failed = {
        name: figures.failed_by_release.get(bad.revision, 0)
        for name, figures in sorted(traffic.hosts.items())
    }
    asked = sum(figures.by_release.get(bad.revision, 0) for figures in traffic.hosts.values())
    canaries = [name for name, figures in traffic.hosts.items() if figures.by_release.get(bad.revision)]
    total = sum(failed.values())
    return {
        "detected_after_seconds": bad.detection(),
        "rolled_back_in_seconds": bad.stages().get("roll back"),
        "canaries": sorted(canaries),
        "requests": asked,
        "failed": total,
        "failed_by_host": failed,
        "would_have_failed_without_canaries": (
            round(total * len(traffic.hosts) / len(canaries)) if canaries else None
        ),
        "reason": bad.reason,
        "lock_reason": _lock_reason(demo, bad.number),
    }


async def _verdict(demo: Demo, story: list[PushTimes]) -> dict[str, Any]:
    """What the verdict against the bad commit was based on, and what was known before."""
    if len(story) < 2:
        return {}
    number = story[1].number
    page = await demo.shop.get(f"/pushes/{number}")
    told = [
        float(event["data"]["evidence"])
        for event in demo.events
        if event["kind"] == "watch" and event["data"]["push"] == number
    ]
    status = await demo.shop.get("/status")
    promised = (status.get("tally") or {}).get("promised") or 0.0
    return {
        "evidence": max(told, default=0.0),
        "needed": round(1 / promised) if promised else None,
        "foresight": page["foresight"],
        "history": page["history"],
        "findings": [
            finding["sentence"]
            for phase in page["phases"]
            for finding in (phase["verdict"] or {}).get("findings", [])
            if finding["decision"] == "fail" and finding["aggregate"]
        ],
    }


def _to_one(evidence: float) -> str:
    return f"{evidence:,.0f} to 1" if evidence < 1e9 else "more than a billion to 1"


def _where(requests: dict[str, Any], bad: dict[str, Any]) -> str:
    """Says so where requests failed that the bad commit does not explain."""
    if requests["failed"] == (bad or {}).get("failed"):
        return ""
    hosts = ", ".join(f"{count} on {name}" for name, count in requests["failed_by_host"].items() if count)
    kinds = ", ".join(f"{count} {kind}" for kind, count in requests["failed_by_kind"].items())
    releases = ", ".join(f"{count} of {name}" for name, count in requests["failed_by_release"].items())
    return f" ({hosts}; answers: {kinds}; releases: {releases}, where - is none)"


def _tell_verdict(teller: Teller, found: Mapping[str, Any]) -> None:
    needed = f", where {found['needed']} to 1 is enough" if found["needed"] else ""
    teller.plain(f"  Evidence against it: {_to_one(found['evidence'])}{needed}.")
    for said in found["findings"]:
        teller.plain(f"    {said}")
    teller.plain(
        f"  Before it began: {found['foresight'] or 'history was too short to say what would be seen'}."
    )
    teller.plain(f"  {'; '.join(found['history']) or 'history was too short for pretend pushes'}.")


def tell(teller: Teller, facts: dict[str, Any], *, keep: bool = False) -> None:
    """The end of the demo, for people."""
    teller.heading("What happened")
    for push in facts["pushes"]:
        stages = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in push["stages"].items())
        teller.plain(
            f"  push {push['push']} of {push['revision'][:8]}  {push['state']:<12} "
            f"{push['commit_to_end_seconds'] or 0:5.1f} s after the commit ({stages})"
        )
    bad, requests = facts["bad_push"], facts["requests"]
    if bad:
        teller.plain(
            f"\n  The bad commit: seen {bad['detected_after_seconds']} s after its first switch, back in "
            f"{bad['rolled_back_in_seconds']} s.\n  {bad['failed']} customer requests failed, all on "
            f"{', '.join(bad['canaries'])}; without canaries it would have been about "
            f"{bad['would_have_failed_without_canaries']}."
        )
        teller.plain(f"  Leuko said: {bad['lock_reason']}")
        _tell_verdict(teller, facts["verdict"])
    teller.plain(
        f"  {requests['sent']} requests in all, {requests['failed']} failed{_where(requests, bad)}. The "
        f"controller held {facts['controller_peak_memory_mb']} MB at most. {facts['seconds']} s in all."
    )
    for one in facts["expectations"]:
        if not one["came_true"]:
            teller.plain(f"\n  NOT AS EXPECTED: {one['text']}")
    ended = "" if keep else "  (it ends with the demo; `make demo ARGS=--keep` leaves it all running)"
    teller.plain(f"\n  Console: {facts['console']}{ended}")
