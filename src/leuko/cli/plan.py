"""`leuko plan`: what a push would do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import click

from leuko.cli.group import Command
from leuko.cli.scene import Scene, with_scene

PLANNING_SECONDS = 60.0
MOST_COMMITS = 10
MOST_HOSTS = 8


@click.command(
    "plan",
    cls=Command,
    examples=[
        ("leuko plan", "of the newest change"),
        ("leuko plan 3f1a2b4 --json", "of that revision, for scripts"),
    ],
)
@click.argument("revision", default="")
@with_scene
def plan(scene: Scene, revision: str) -> int:
    """Show what a push would do, and change nothing.

    Hosts by phase, commits by author, what is sent, hooks, configuration differences, warnings and the
    expected time. The revision has to be verified already.
    """
    from leuko.cli.desk import acting
    from leuko.cli.show import plain, print_json

    with acting(scene) as desk:
        answer = desk.wish("plan", {"revision": revision} if revision else {}, wait=PLANNING_SECONDS)
    if scene.as_json:
        print_json(answer)
    else:
        click.echo("\n".join(plain(line) for line in page(answer)))
    return 0


def page(answer: Mapping[str, Any]) -> Iterator[str]:
    """For people."""
    from leuko.web.words import count, short, span

    found = answer["plan"]
    base = answer.get("base")
    yield f"{answer['release']} over {base or 'nothing: this would be the first push'}"
    yield ""
    yield from _phases(found)
    yield ""
    yield from _commits(found)
    sent, full = found["bytes_sent"], found["bytes_full"]
    yield f"{size(sent or full)} to send in all; the whole release is {size(full)}"
    yield f"hooks: {', '.join(found['hooks']) or 'none'}"
    yield f"kept in service of each role: {found['min_healthy']}"
    if found["secrets"]:
        yield f"secrets that hooks get: {', '.join(found['secrets'])}"
    if found["observe"]:
        yield "observed only: a verdict is told, and the push goes on"
    for difference in found["differences"]:
        yield f"changes: {difference}"
    yield from _sight(found)
    for warning in found["warnings"]:
        yield f"warning: {warning}"
    yield f"expected: about {span(found['expected_seconds'])}, for {count(len(found['hosts']), 'host')}"
    if not found["base_is_ancestor"] and base:
        yield f"not a descendant of what is live: {short(base)}"


def _phases(found: Mapping[str, Any]) -> Iterator[str]:
    from leuko.web.words import count, names, span

    watches, tick = found["watches"], found["tick"]
    held_back = [host for host in found["hosts"] if host["phase"] < 0]
    for index, watch in enumerate(watches):
        hosts = [host for host in found["hosts"] if host["phase"] == index]
        yield (
            f"phase {index + 1}: {count(len(hosts), 'host')}{_roles(hosts)}, "
            f"watched for {count(watch, 'tick')} ({span(watch * tick)})"
        )
        yield f"  {names([host['name'] for host in hosts], MOST_HOSTS)}"
    if held_back:
        yield f"held back until all have passed: {names([host['name'] for host in held_back], MOST_HOSTS)}"


def _sight(found: Mapping[str, Any]) -> Iterator[str]:
    from leuko.domain.plan import Foreseen, sight_advice, sight_sentence

    seen = [Foreseen(**one) for one in found["sight"]]
    if seen:
        yield f"{sight_sentence(seen)}, on its canaries in {found['watches'][0]} ticks"
    yield from (f"  {line}" for line in sight_advice(seen))


def _roles(hosts: list[Mapping[str, Any]]) -> str:
    roles = Counter(host["role"] for host in hosts)
    return f" ({', '.join(f'{role} {number}' for role, number in roles.items())})" if roles else ""


def _commits(found: Mapping[str, Any]) -> Iterator[str]:
    from leuko.web.words import count, cut, short

    by_author: dict[str, list[Mapping[str, Any]]] = {}
    for commit in found["commits"]:
        by_author.setdefault(commit["author"], []).append(commit)
    if not by_author:
        yield "no commits: what it would push is what is live"
    for author, commits in by_author.items():
        yield f"{author}: {count(len(commits), 'commit')}"
        for commit in commits[:MOST_COMMITS]:
            subject = commit["message"].partition("\n")[0]
            yield f"  {short(commit['revision'])} {cut(subject, 80)}"
        if len(commits) > MOST_COMMITS:
            yield f"  and {len(commits) - MOST_COMMITS} more"


def size(number: float) -> str:
    """`8.4 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"
