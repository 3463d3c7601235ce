"""`leuko`: every command. Heavy parts are imported by the command that needs them."""

from __future__ import annotations

import os

import click

from leuko import __version__
from leuko.cli import (
    builds,
    calibrate,
    check,
    culprit,
    drill,
    errors,
    extras,
    farm,
    hook,
    hosts,
    init,
    limits,
    locks,
    log,
    mark,
    moves,
    plan,
    push,
    quarantine,
    replay,
    runtests,
    server,
    status,
    tests,
    trends,
    watch,
    why,
)
from leuko.cli.group import Commands

SECTIONS = {
    "Beginning": (init.init, check.check, server.serve, hosts.adopt, hook.hook, farm.farm, extras.demo),
    "Pushing": (
        push.push,
        plan.plan,
        moves.abort,
        moves.hold,
        moves.resume,
        moves.promote,
        push.retry,
        push.rollback,
        culprit.revert,
    ),
    "Looking": (
        status.status,
        why.why,
        log.log,
        culprit.culprit,
        hosts.hosts,
        trends.trends,
        errors.errors,
        errors.slow,
    ),
    "Judging": (mark.mark, drill.drill, limits.limits, replay.replay, calibrate.calibrate, watch.watch),
    "Testing": (runtests.runtests, builds.builds, builds.build, tests.tests, quarantine.quarantine),
    "Locking": (locks.lock, locks.unlock, locks.locks),
    "Besides": (extras.completion, extras.schema),
}


@click.group(
    "leuko",
    cls=Commands,
    sections=SECTIONS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="leuko")
def cli() -> None:
    """Continuous deployment with an immune system, for fleets of plain Linux servers.

    Commands find the controller by the configuration file in the current folder (`leuko.yml`), or as
    `--config`, `--state` or `--url` say; each has examples in its own help.
    """


def main() -> None:
    """The program."""
    # Before numpy is there, and for every process that this one starts: on matrices as small as the
    # verdict's, threads of linear algebra wait for each other and cost five times the work.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    cli.main()


if __name__ == "__main__":
    main()
