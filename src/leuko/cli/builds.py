"""`leuko builds` and `leuko build`: verifications, and what came of their tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from leuko.cli.group import Command
from leuko.cli.scene import Scene, with_scene
from leuko.domain.errors import LeukoError

if TYPE_CHECKING:
    from leuko.cli.desk import Desk

_ENDS = {"passed": 0, "failed": 5, "broken": 5, "cancelled": 5}
_SAID = ("passed", "failed", "skipped", "flaky", "quarantined", "broken", "running", "waiting")


@click.command(
    "builds",
    cls=Command,
    examples=[("leuko builds", "the newest first"), ("leuko builds -n 5 --json", "five, as JSON")],
)
@click.option(
    "-n", "--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many rows."
)
@with_scene
def builds(scene: Scene, limit: int) -> int:
    """List builds: what was verified, how it ended and why."""
    from leuko.cli.desk import reading
    from leuko.cli.show import print_json, print_table

    with reading(scene) as desk:
        found = desk.get("builds", limit=limit)
    if scene.as_json:
        print_json(found)
    elif not found:
        click.echo("Nothing was verified yet.")
    else:
        rows = [
            (str(one["id"]), one["state"], one["revision"][:12], _span(one["seconds"]), counted(one["tests"]),
             one["reason"][:120])
            for one in found
        ]  # fmt: skip
        print_table(("build", "state", "revision", "took", "tests", "why"), rows)
    return 0


@click.command(
    "build",
    cls=Command,
    examples=[
        ("leuko build 12", "its counts, its failures and the end of their output"),
        ("leuko build", "the newest; followed while it runs"),
        ("leuko build 12 --json", "the same as one JSON object, without following"),
    ],
)
@click.argument("which", metavar="[BUILD]", default="")
@click.option("--no-follow", is_flag=True, help="Show it as it is now, also while it runs.")
@with_scene
def build(scene: Scene, which: str, no_follow: bool) -> int:
    """Show one build: counts, failures, and lines that no test ran.

    One that runs is followed to its end; Ctrl-C leaves it running. Ends with 0 where it passed or is not over
    yet, else with 5.
    """
    from leuko.cli.desk import reading
    from leuko.cli.show import plain, print_json

    with reading(scene) as desk:
        found = _found(desk, which)
        if desk.live and not no_follow and not scene.as_json and found["state"] in ("waiting", "running"):
            found = _followed(scene, desk, found)
    if scene.as_json:
        print_json(found)
    else:
        for line in shown(found):
            click.echo(plain(line))
    return _ENDS.get(found["state"], 0)


def counted(tests: Mapping[str, int]) -> str:
    """`412 passed, 1 failed, 2 flaky`; empty where tests are not known one by one."""
    return ", ".join(f"{tests[name]:,} {name}" for name in _SAID if tests.get(name))


def shown(found: Mapping[str, Any]) -> Iterator[str]:
    """A build in lines."""
    attempt = f", attempt {found['attempt']}" if found["attempt"] > 1 else ""
    took = f", {_span(found['seconds'])}" if found["seconds"] is not None else ""
    yield f"Build {found['id']} of {found['revision'][:12]}: {found['state']}{took}{attempt}"
    for text in (found["reason"], counted(found["tests"])):
        if text:
            yield f"  {text}"
    for step in found["steps"]:
        state = "passed" if step["passed"] else f"failed ({step['reason'] or step['exit_code']})"
        yield f"  {step['kind']} {step['name']}: {state}, {_span(step['seconds'])}"
    for text in (*found["outside"], *(f"warning: {each}" for each in found["warnings"])):
        yield f"  {text}"
    for line in covered(found["coverage"]):
        yield f"  {line}"
    for failure in found["failures"]:
        yield ""
        yield from _failure(failure)
    failed = [step for step in found["steps"] if not step["passed"]]
    for step in failed[:5]:
        yield ""
        yield f"{step['kind']} {step['name']}: the end of its output"
        yield from (f"    {line}" for line in step["tail"][-20:])


def covered(coverage: Mapping[str, Any] | None) -> Iterator[str]:
    """What no test ran, a line a file."""
    if not coverage:
        return
    yield coverage["sentence"]
    for file in coverage["files"][:20]:
        if file["missed"]:
            yield f"  {file['path']}: {file['ranges']}"


def _failure(failure: Mapping[str, Any]) -> Iterator[str]:
    marks = [name for name in ("flaky", "quarantined", "broken") if failure[name]]
    word = f" ({', '.join(marks)})" if marks else ""
    yield f"{failure['test']}{word}: {failure['reason'] or 'failed'}"
    yield from (f"    {line}" for line in failure["tail"])


def _found(desk: Desk, which: str) -> dict[str, Any]:
    number = which.strip().lower().removeprefix("build").strip(" :#")
    if not which:
        newest = desk.get("builds", limit=1)
        if not newest:
            raise LeukoError("nothing was verified yet", where=desk.name, code="X017")
        number = str(newest[0]["id"])
    if not (number.isascii() and number.isdigit() and len(number) < 10):
        raise LeukoError(
            f"should be a build's number, not {which[:60]!r}",
            way_out="`leuko builds` lists them",
            code="X017",
        )
    found: dict[str, Any] = desk.get(f"builds/{number}")
    return found


def _followed(scene: Scene, desk: Desk, found: dict[str, Any]) -> dict[str, Any]:
    """Tells counts as they come, until the build is over."""
    from leuko.cli.following import events
    from leuko.cli.narrators import Lines

    subject = f"build {found['id']}"
    said = ""
    try:
        for event in events(desk, desk.get("status")["event"], Lines()):
            if event is None:  # nothing was heard for a while: its end may have been before we listened
                found = desk.get(f"builds/{found['id']}")
                if found["state"] not in ("waiting", "running"):
                    break
                continue
            if event["subject"] != subject:
                continue
            if event["kind"] == "build" and event["data"].get("to") not in ("waiting", "running"):
                break
            line = _progress(event)
            if line and line != said and not scene.quiet:
                click.echo(f"\r\033[K{line}" if _drawn() else line, nl=not _drawn(), err=True)
                said = line
    except KeyboardInterrupt:
        scene.say("Following stopped; the build goes on.")
    if said and _drawn():
        click.echo(err=True)
    return _found(desk, str(found["id"]))


def _progress(event: Mapping[str, Any]) -> str:
    data = event["data"]
    if event["kind"] == "build.tests":
        return f"{data['counts']['all']:,} tests: {counted(data['counts'])}"
    if event["kind"] == "build.step":
        return f"{data['kind']} {data['step']}: {data['state']}"
    return f"{data.get('to', '')} {data.get('reason', '')}".strip()


def _drawn() -> bool:
    import sys

    return sys.stderr.isatty()


def _span(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"
