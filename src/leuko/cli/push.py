"""`leuko push`, `retry` and `rollback`: what starts something that is then followed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from leuko.cli.asking import push_number, reason, why_option
from leuko.cli.group import Command
from leuko.cli.scene import Scene, with_scene

if TYPE_CHECKING:
    from leuko.cli.desk import Desk

STARTING_SECONDS = 60.0
follow_option = click.option(
    "--follow/--no-follow", default=True, help="Follow it to its end (the default), or return at once."
)


@click.command(
    "push",
    cls=Command,
    examples=[
        ("leuko push", "the newest change, verified first when it was not"),
        ("leuko push 3f1a2b4", "this very revision"),
        ("leuko push --first", "the first push of all, which has nothing to go back to"),
        ("leuko push --hotfix 9c2d11e", "what is live plus that one commit"),
        ("leuko push --override 'L7 is about chat only'", "in spite of locks and blocked commits"),
        ("leuko push --observe", "judged, but nothing is rolled back or held for it"),
        ("leuko push --no-follow --json", "for scripts: the push's number, at once"),
    ],
)
@click.argument("revision", default="")
@click.option(
    "--hotfix",
    metavar="COMMIT",
    help="Push what is live plus this one commit, verified and watched.",
)
@click.option("--first", is_flag=True, help="Push although there is no release to go back to yet.")
@click.option(
    "--override", metavar="WHY", help="Push in spite of locks and blocked commits; the reason is kept."
)
@click.option("--override-window", is_flag=True, help="Push inside a window in which no push starts.")
@click.option(
    "--override-limits", metavar="WHY", help="Push although a limit is broken already; the reason is kept."
)
@click.option("--observe", is_flag=True, help="Judge it without acting: what would have stopped it is told.")
@click.option(
    "--approve", is_flag=True, help="Let it start although it changes hooks, gauges, limits or fleet."
)
@why_option
@follow_option
@with_scene
def push(
    scene: Scene,
    revision: str,
    hotfix: str | None,
    first: bool,
    override: str | None,
    override_window: bool,
    override_limits: str | None,
    observe: bool,
    approve: bool,
    why: str,
    follow: bool,
) -> int:
    """Push a revision, and follow it until it is live or back.

    Without REVISION the newest change of the branch is pushed. It is verified and built first where that
    was not done yet. With no controller running, one is started in the background.
    """
    from leuko.cli.desk import acting

    if hotfix and revision:
        raise click.UsageError("--hotfix takes its own commit: leave REVISION out")
    if hotfix and first:
        raise click.UsageError("--hotfix is put on what is live, so --first does not fit")
    flags = {"first": first, "override_window": override_window, "approve": approve, "observe": observe}
    arguments: dict[str, Any] = {name: True for name, given in flags.items() if given}
    reasons = {"override_blocks": ("--override", override)}
    reasons["override_limits"] = ("--override-limits", override_limits)
    for name, (option, given) in reasons.items():
        if given is None:
            continue
        if not given.strip():
            raise click.BadParameter("needs a reason: it is kept and shown", param_hint=option)
        arguments[name] = given
    with acting(scene) as desk:
        if hotfix:
            return _begin(scene, desk, "hotfix", {"commit": hotfix, **arguments}, why, follow=follow)
        if revision:
            arguments["revision"] = revision
        return _begin(scene, desk, "push", arguments, why, follow=follow)


@click.command(
    "retry",
    cls=Command,
    examples=[
        ("leuko retry", "the newest push that did not become live, once more"),
        ("leuko retry 12 --why 'the database was down'", "push 12's release, with the reason"),
    ],
)
@click.argument("which", metavar="[PUSH]", default="")
@why_option
@follow_option
@with_scene
def retry(scene: Scene, which: str, why: str, follow: bool) -> int:
    """Push the release of a failed push once more, from the start.

    Where the verdict rolled it back, its canaries are watched twice as long this time. Who retries overrides
    the block that its rollback made, so the reason is kept.
    """
    from leuko.cli.desk import acting

    number = push_number(which) if which else None
    why = reason(scene, why, "Why will it go well this time")
    with acting(scene) as desk:
        return _begin(scene, desk, "retry", {}, why, follow=follow, number=number)


@click.command(
    "rollback",
    cls=Command,
    examples=[
        ("leuko rollback --why 'customers cannot pay'", "the push that runs, or else what is live"),
        ("leuko rollback 3f1a2b4", "back to that release"),
        ("leuko rollback --now", "all hosts at once, giving up capacity"),
    ],
)
@click.argument("revision", default="")
@click.option("--now", is_flag=True, help="All hosts at once: fleet.min_healthy does not hold.")
@why_option
@follow_option
@with_scene
def rollback(scene: Scene, revision: str, now: bool, why: str, follow: bool) -> int:
    """Go back to the last good release or to REVISION, and lock.

    What was there is convicted. A push that runs is rolled back. Else the fleet goes from what is live to
    the last good release before it, the push lock is taken, and continuous delivery stays where it was put.
    """
    from leuko.cli.desk import acting

    why = reason(scene, why, "Why does it have to go")
    arguments: dict[str, Any] = {"now": True} if now else {}
    if revision:
        arguments["revision"] = revision
    with acting(scene) as desk:
        return _begin(scene, desk, "rollback", arguments, why, follow=follow)


def _begin(
    scene: Scene,
    desk: Desk,
    kind: str,
    arguments: dict[str, Any],
    why: str,
    *,
    follow: bool,
    number: int | None = None,
) -> int:
    from leuko.cli import following
    from leuko.cli.show import print_json
    from leuko.cli.story import Story

    after = desk.get("status")["event"]
    meant = {"number": number, "state": "", "version": None} if number else None
    answer = desk.wish(kind, arguments, why=why, push=meant, wait=STARTING_SECONDS)
    if answer.get("warning"):
        scene.say(f"warning: {answer['warning']}")
    if not follow:
        if scene.as_json:
            print_json(answer)
        else:
            click.echo(_begun(answer))
        return 0
    story = Story(revision=str(answer.get("revision", "")))
    if answer.get("push"):
        story.take_page(desk.get(f"pushes/{answer['push']}"))
    elif answer.get("build"):
        story.build = desk.get(f"builds/{answer['build']}")
    return following.follow(scene, desk, story, after, back=kind == "rollback")


def _begun(answer: dict[str, Any]) -> str:
    if answer.get("push"):
        state = answer.get("state", "on its way")
        return f"push {answer['push']} is {state}; `leuko status --follow` follows it"
    revision = str(answer.get("revision", ""))[:12]
    return f"{revision} is being verified in build {answer.get('build')}; it is pushed once it is green"
