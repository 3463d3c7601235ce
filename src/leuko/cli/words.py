"""What a terminal says of a push: pure text, from the API's values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from leuko.cli.failures import BAD_END, DONE, REFUSED
from leuko.cli.failures import HELD as HELD_CODE
from leuko.cli.story import HELD, HOLD_BACK, Story
from leuko.web.words import count, cut, figure, names, short, span, stopped

DOING = {
    "PENDING": "waits to start",
    "STAGING": "is being copied",
    "SWITCHING": "is being switched on",
    "WATCHING": "is watched",
    "COMPLETING": "is being switched on at the held-back hosts",
    "HELD": "is held",
    "ROLLING_BACK": "goes back",
    "LIVE": "is LIVE",
    "ROLLED_BACK": "was rolled back",
    "CANCELLED": "was cancelled",
    "STUCK": "is STUCK",
}
REACHED = {
    "STAGING": ("staged", "switching", "switched"),
    "ROLLING_BACK": ("restored",),
    "ROLLED_BACK": ("restored",),
}
BAD = ("failed", "left out")


def moment(text: str | None) -> datetime | None:
    """A time of the API."""
    return datetime.fromisoformat(text) if text else None


def clock_time(text: str | None) -> str:
    """`14:36:40`; empty where there is none."""
    at = moment(text)
    return f"{at:%H:%M:%S}" if at else ""


def date_time(text: str | None) -> str:
    """`2026-11-23 14:36:40`."""
    at = moment(text)
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else ""


def phase_name(phase: int, phases: int) -> str:
    """`phase 1 of 2`, or the hold-back."""
    return "the hold-back" if phase == HOLD_BACK else f"phase {phase + 1} of {phases}"


def headline(push: Mapping[str, Any]) -> str:
    """`push 12 of 3f1a2b4c5d6e is watched in phase 1 of 2`."""
    state = push["state"]
    where = f" in {phase_name(push['phase'], push['phases'])}" if state in ("SWITCHING", "WATCHING") else ""
    return f"push {push['number']} of {short(push['revision'])} {DOING.get(state, state)}{where}"


def ticks(watch: Mapping[str, Any]) -> str:
    """`7 of 12 ticks`."""
    return f"{watch['ticks']} of {count(watch['wanted'], 'tick')}" if watch else "no readings judged yet"


def hosts_done(story: Story, phase: int) -> str:
    """`3 of 4 switched`, with what went wrong."""
    counts = story.counts(phase)
    reached = REACHED.get(story.state, ("switched",))
    done = sum(counts[state] for state in reached)
    word = "copied" if story.state == "STAGING" else reached[-1]
    wrong = "".join(f", {counts[state]} {state}" for state in BAD if counts[state])
    return f"{done} of {sum(counts.values())} {word}{wrong}"


def exit_code(story: Story, *, back: bool = False) -> int:
    """Of following. `back`: going back is what was asked for."""
    if story.push is None:
        return REFUSED if story.refused and not story.build_broken else BAD_END
    if story.state == HELD:
        return HELD_CODE
    good = ("ROLLED_BACK", "CANCELLED") if back else ("LIVE",)
    return DONE if story.state in good else BAD_END


def ending(story: Story) -> list[str]:
    """The last words: what came of it, by which numbers, which locks, what to do."""
    page = story.page
    if page is None:
        return _no_push(story)
    push = page["push"]
    match push["state"]:
        case "LIVE":
            return [_live(story)]
        case "HELD":
            return _held(push)
        case _:
            told = [*_stopped(push), *_culprits(page), *_runs(push), *_locks(page["locks"])]
            return [*told, *_next(push, page["locks"])]


def _live(story: Story) -> str:
    assert story.push is not None
    push, switched = story.push, sum(host.state == "switched" for host in story.hosts.values())
    took = f" after {span(push['seconds'])}" if push["seconds"] is not None else ""
    left = sum(host.state in BAD for host in story.hosts.values())
    rest = f"; {count(left, 'host')} left out, and will follow when they are back" if left else ""
    return (
        f"Push {push['number']} is LIVE: {short(push['revision'])} on {count(switched, 'host')}{took}{rest}. "
        f"{stopped(push['sentence'])}{_observed(push)}"
    ).rstrip()


def _observed(push: Mapping[str, Any]) -> str:
    return "".join(f" Only observed: {stopped(said)}" for said in push["spared"])


def _held(push: Mapping[str, Any]) -> list[str]:
    by = push["held_by"] or "leuko"
    until = clock_time(push["deadline"])
    end = f" Without a word it ends by itself at {until} UTC." if until else ""
    ways = "`leuko resume` watches again, `leuko promote` lets it pass, `leuko abort` takes it back."
    return [f"Push {push['number']} is held by {by}: {stopped(push['held_why'])}", ways + end]


def _stopped(push: Mapping[str, Any]) -> list[str]:
    head = f"Push {push['number']} of {short(push['revision'])} {DOING[push['state']]}"
    why = f" ({push['cause']})" if push["cause"] else ""
    by = f" by {push['stopped_by']}" if push["stopped_by"] not in ("", "leuko") else ""
    took = f" after {span(push['seconds'])}" if push["seconds"] is not None else ""
    reason = push["reason"] or push["sentence"] or "no reason was given"
    return [f"{head}{by}{took}{why}: {stopped(reason)}"]


def _culprits(page: Mapping[str, Any]) -> list[str]:
    commits = page["commits"]
    if not commits or page["push"]["cause"] not in ("verdict", "switch failed"):
        return []
    shown = [
        f'  {short(one["revision"])} "{cut(one["subject"], 60)}" by {one["author"]}' for one in commits[:8]
    ]
    more = [f"  and {len(commits) - 8} more"] if len(commits) > 8 else []
    word = "The commit in it:" if len(commits) == 1 else f"It is one of these {len(commits)} commits:"
    return [word, *shown, *more]


def _runs(push: Mapping[str, Any]) -> list[str]:
    back = push["hosts"].get("restored", 0)
    if push["state"] != "ROLLED_BACK" or not back:
        return []
    return [f"{count(back, 'host')} went back to {push['base'] or 'nothing: it was the first push'}."]


def _locks(locks: Sequence[Mapping[str, Any]]) -> list[str]:
    held = [lock for lock in locks if lock["held"]]
    if not held:
        return []
    shown = names([f"{lock['kind']} lock {lock['id']} ({lock['severity']})" for lock in held])
    return [f"Locks taken: {shown}."]


def _next(push: Mapping[str, Any], locks: Sequence[Mapping[str, Any]]) -> list[str]:
    number = push["number"]
    if push["state"] == "STUCK":
        way = "`.leuko/rollback` on a host restores it without any controller, and Leuko goes on trying."
        return [f"Next: `leuko log {number}` names the hosts, `leuko hosts` says what each runs; {way}"]
    if push["cause"] == "superseded":
        return ["Next: `leuko status --follow` follows the newer one."]
    held = [lock for lock in locks if lock["held"]]
    again = "" if push["origin"] == "rollback" else f", `leuko retry {number}` pushes it once more as it is"
    if held:
        fixes = " or ".join(f"`Leuko-Fix: {lock['id']}`" for lock in held)
        more = f"`leuko why {number}` says more{again}."
        return [f"Next: revert it, or fix it in a commit with the line {fixes}; {more}"]
    return [f"Next: `leuko why {number}` says more{again}."]


def _no_push(story: Story) -> list[str]:
    if story.refused:
        return [f"{short(story.revision)} is not pushed: {story.refused}"]
    build = story.build
    if build is None:
        return []
    lines = [
        f"Build {build['id']} of {short(build['revision'])} {build['state']}: {stopped(build['reason'])}"
    ]
    for step in build["steps"]:
        if not step["passed"]:
            lines += [
                f"  {step['name']}: {step_end(step)}",
                *(f"    | {line}" for line in step["tail"][-12:]),
            ]
    lines.append(f"`leuko log {short(build['revision'])} --output` prints all of it.")
    return lines


def step_end(step: Mapping[str, Any]) -> str:
    """`passed in 3.2 s`, `exit 1 after 3.2 s`."""
    if step["passed"]:
        return f"passed in {span(step['seconds'])}"
    what = step["reason"] or ("no exit status" if step["exit_code"] is None else f"exit {step['exit_code']}")
    return f"{what} after {span(step['seconds'])}"


def failing(page: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Findings that a stop was made for, those of aggregates first."""
    found = [
        finding
        for phase in page["phases"]
        for finding in (phase["verdict"] or {}).get("findings", ())
        if finding["decision"] == "fail"
    ]
    return sorted(found, key=lambda finding: not finding["aggregate"])


FINDING_COLUMNS = ("gauge", "where", "before", "after", "delta", "limit", "evidence")


def finding_row(finding: Mapping[str, Any]) -> tuple[str, ...]:
    """One line of the gauges' table."""
    unit = f" {finding['unit']}" if finding["unit"] else ""
    percent = "" if finding["percent"] is None else f"{finding['percent']:+.0f}%"
    return (
        finding["gauge"],
        "the whole" if finding["subject"] == "-" else finding["subject"],
        figure(finding["before"]) + (unit if finding["before"] is not None else ""),
        figure(finding["after"]) + (unit if finding["after"] is not None else ""),
        percent,
        finding["limit"],
        f"{finding['evidence']:,.3g}",
    )
