"""`leuko hook`: the commit lock at the git server."""

from __future__ import annotations

from pathlib import Path

import click

from leuko.cli.group import Command
from leuko.cli.scene import Scene, with_files
from leuko.domain.errors import LeukoError

_repository = click.argument("repository", type=click.Path(path_type=Path, file_okay=False), required=False)


@click.group("hook")
def hook() -> None:
    """Let the git server obey the commit lock: install, remove."""


@hook.command(
    "install",
    cls=Command,
    examples=[
        ("leuko hook install /srv/git/shop.git", "into this bare repository"),
        ("leuko hook install", "into the repository that leuko.yml names, on this machine"),
    ],
)
@_repository
@with_files
def install(scene: Scene, repository: Path | None) -> int:
    """Put pre-receive and post-receive hooks into a bare repository.

    While the commit lock is held, a `git push` is refused with who, why, since when, and how a fix gets
    through. Hooks that are there already are kept and asked first. Doing it again renews them.
    """
    import asyncio

    from leuko.cli.show import print_json
    from leuko.vcs.hook import LOCK_FILE
    from leuko.vcs.hook import install as put_in

    path, branch = _where(scene, repository)
    said = asyncio.run(put_in(path, path / LOCK_FILE, branch))
    if scene.as_json:
        print_json({"repository": str(path), "branch": branch, "said": list(said)})
    else:
        click.echo("\n".join((*said, f"commits to {branch} of {path} now obey the commit lock")))
    return 0


@hook.command(
    "remove", cls=Command, examples=[("leuko hook remove /srv/git/shop.git", "and put back those before")]
)
@_repository
@with_files
def remove(scene: Scene, repository: Path | None) -> int:
    """Take the hooks out again, and put back those before them."""
    import asyncio

    from leuko.cli.show import print_json
    from leuko.vcs.hook import remove as take_out

    path, _ = _where(scene, repository)
    asyncio.run(take_out(path))
    if scene.as_json:
        print_json({"repository": str(path)})
    else:
        click.echo(f"{path} does not ask Leuko any more")
    return 0


def _where(scene: Scene, repository: Path | None) -> tuple[Path, str]:
    """The bare repository and the branch: as named, else as the configuration says."""
    configured = scene.config_given or scene.config.exists()
    if repository is not None and not configured:
        return repository.resolve(), "main"
    from leuko.config.loading import load

    configuration = load(scene.config, scene.environment).configuration
    if repository is not None:
        return repository.resolve(), configuration.branch
    name = configuration.repository.removeprefix("file://")
    path = (scene.config.resolve().parent / name).resolve()
    if not path.is_dir():
        raise LeukoError(
            "is not a folder of this machine; a hook works only where the controller can write beside it",
            where=f"repository {configuration.repository}",
            way_out="name the bare repository's folder: `leuko hook install /srv/git/shop.git`",
            code="X018",
        )
    return path, configuration.branch
