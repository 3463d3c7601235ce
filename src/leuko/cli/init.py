"""`leuko init`: a first configuration, from what a repository says about itself."""

from __future__ import annotations

from pathlib import Path

import click

from leuko.cli.group import Command
from leuko.cli.scene import CONFIGURATION, Scene, with_output
from leuko.domain.errors import LeukoError


@click.command(
    "init",
    cls=Command,
    examples=[
        ("leuko init", "look at the repository here, and write ./leuko.yml"),
        ("leuko init ../shop --config /etc/leuko/shop.yml", "of another repository, to another place"),
    ],
)
@click.argument("repository", type=click.Path(path_type=Path, file_okay=False), default=Path())
@click.option(
    "-c", "--config", type=click.Path(path_type=Path), help="Where to write it. [default: leuko.yml there]"
)
@with_output
def init(scene: Scene, repository: Path) -> int:
    """Look at a repository and write a commented leuko.yml.

    How it is tested, built and reloaded is guessed from its files; what a person has to fill in is marked.
    A file that is there already is never overwritten.
    """
    import asyncio

    from leuko.cli.show import print_json
    from leuko.config.proposal import look, propose

    path = scene.config if scene.config_given else repository / CONFIGURATION
    facts = asyncio.run(look(repository))
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(propose(facts))
    except FileExistsError:
        raise LeukoError(
            "is there already, and is not overwritten",
            where=str(path),
            way_out="edit it, or write another with --config",
            code="X017",
        ) from None
    except OSError as error:
        raise LeukoError(f"cannot be written: {error.strerror}", where=str(path), code="X017") from error
    if scene.as_json:
        print_json({"file": str(path), "application": facts.application, "branch": facts.branch})
    else:
        click.echo(
            f"Wrote {path} for {facts.application}.\nNext:\n"
            "  1. fill in what is marked with <- (hosts, tests, gauges)\n"
            "  2. leuko check --hosts       says what is missing, here and on the hosts\n"
            "  3. leuko adopt --all         if the application runs there already\n"
            "     leuko push --first        if it does not"
        )
    return 0
