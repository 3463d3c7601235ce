"""`leuko farm up`: a master and its workers as children of this command, for a try."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

import click

from leuko.cli.farm_files import FarmFolder, read
from leuko.cli.scene import Scene
from leuko.domain.errors import LeukoError
from leuko.verify.buildbot.errors import FarmUnreachableError
from leuko.verify.buildbot.farm import workers_of
from leuko.verify.buildbot.layout import VERSION, requirements
from leuko.verify.buildbot.master import Master

READY_SECONDS = 120.0
LOOK_SECONDS = 0.2
ENDING_SECONDS = 10.0
LOG = "twistd.log"


def run(scene: Scene, folder: Path, programs: Path | None) -> int:
    """Runs the farm until it is told to end; 130 then."""
    farm = read(folder)
    place = programs or _installed(scene, farm)
    for name in ("buildbot", "twistd"):
        if not (place / name).exists():
            raise LeukoError(
                f"there is no program {name!r}",
                where=str(place),
                way_out="name the folder with both by --programs; without it, Buildbot is installed",
                code="F022",
            )
    with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
        return asyncio.run(_run(scene, farm, place))
    return 130


def _installed(scene: Scene, farm: FarmFolder) -> Path:
    """Buildbot in the farm's own environment; never in Leuko's."""
    place = farm.folder / "venv"
    if (place / ".installed").exists():
        return place / "bin"
    scene.say(f"installing Buildbot {VERSION} into {place} (once; a minute or so)")
    import subprocess

    venv.create(place, with_pip=True, clear=True)
    listed = place / "requirements.txt"
    listed.write_text(requirements(), encoding="utf-8")
    argv = [
        str(place / "bin" / "pip"),
        "install",
        "-q",
        "--disable-pip-version-check",
        "--require-hashes",
        "-r",
        str(listed),
    ]
    done = subprocess.run(argv, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise LeukoError(
            f"pip could not install Buildbot: {said[-1]}",
            where=str(place),
            way_out="install buildbot, buildbot-www and buildbot-worker yourself; --programs says where",
            code="F023",
        )
    (place / ".installed").touch()
    return place / "bin"


def twistd_argv(place: Path, folder: Path) -> list[str]:
    """One of the farm's processes. It is told to end when this command dies, however it dies."""
    guard = shutil.which("setpriv")
    ended = [guard, "--pdeathsig", "SIGTERM", "--"] if guard else []
    tac = ["-y", str(folder / "buildbot.tac"), "--rundir", str(folder)]
    return [
        *ended,
        str(place / "twistd"),
        "--nodaemon",
        "--no_save",
        "--pidfile=",
        "--logfile",
        str(folder / LOG),
        *tac,
    ]


async def _run(scene: Scene, farm: FarmFolder, place: Path) -> int:
    me = asyncio.current_task()
    assert me is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, me.cancel)
    running: dict[str, asyncio.subprocess.Process] = {}
    master = Master(farm.url, farm.user, farm.password)
    try:
        await _schema(scene, farm, place)
        running["master"] = await _start(place, farm.folder / "master")
        await _answering(scene, master, running)
        for name in farm.workers:
            running[name] = await _start(place, farm.folder / name)
        await _connected(scene, farm, master, running)
        _tell(scene, farm)
        await asyncio.wait(
            [asyncio.create_task(one.wait(), name=name) for name, one in running.items()],
            return_when=asyncio.FIRST_COMPLETED,
        )
        raise _ended(farm, running)
    finally:
        await master.close()
        scene.say("ending the farm")
        await asyncio.shield(_end(list(running.values())))


async def _schema(scene: Scene, farm: FarmFolder, place: Path) -> None:
    """The master's database, where it is not there yet or is another version's."""
    known = farm.folder / "master" / ".schema"
    if known.exists() and known.read_text(encoding="utf-8") == VERSION:
        return
    scene.say("making the master's database")
    process = await asyncio.create_subprocess_exec(
        str(place / "buildbot"),
        "upgrade-master",
        "--quiet",
        str(farm.folder / "master"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    if process.returncode != 0:
        raise LeukoError(
            f"buildbot upgrade-master failed: {said.decode(errors='replace').strip()[-400:]}",
            where=str(farm.folder / "master"),
            way_out="is master.cfg as it was written?",
            code="F024",
        )
    known.write_text(VERSION, encoding="utf-8")


async def _start(place: Path, folder: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *twistd_argv(place, folder),
        cwd=folder,
        start_new_session=True,  # Ctrl-C is for this command alone
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )


async def _answering(scene: Scene, master: Master, running: dict[str, asyncio.subprocess.Process]) -> None:
    scene.say("starting the master")
    async with _deadline("the master did not answer", master.url):
        while True:
            _all_alive(running)
            with contextlib.suppress(FarmUnreachableError):
                await master.get("builders")
                return
            await asyncio.sleep(LOOK_SECONDS)


async def _connected(
    scene: Scene, farm: FarmFolder, master: Master, running: dict[str, asyncio.subprocess.Process]
) -> None:
    scene.say(f"starting {len(farm.workers)} workers")
    said = 0
    async with _deadline("not all workers connected", farm.url):
        while True:
            _all_alive(running)
            count = sum(one.connected for one in (await workers_of(master, farm.builder)).values())
            if count >= len(farm.workers):
                return
            if count != said:
                scene.say(f"{count} of {len(farm.workers)} workers connected")
                said = count
            await asyncio.sleep(LOOK_SECONDS)


@contextlib.asynccontextmanager
async def _deadline(what: str, url: str):  # type: ignore[no-untyped-def]  # noqa: ANN202 - a context, no value
    try:
        async with asyncio.timeout(READY_SECONDS):
            yield
    except TimeoutError:
        raise LeukoError(
            f"{what} within {READY_SECONDS:g} s",
            where=url,
            way_out=f"see {LOG} in the farm's folders",
            code="F025",
        ) from None


def _all_alive(running: dict[str, asyncio.subprocess.Process]) -> None:
    for name, process in running.items():
        if process.returncode is not None:
            raise _died(name, process)


def _ended(farm: FarmFolder, running: dict[str, asyncio.subprocess.Process]) -> LeukoError:
    for name, process in running.items():
        if process.returncode is not None:
            return _died(f"{farm.folder}/{name}", process)
    return LeukoError("a process of the farm ended", where=str(farm.folder), code="F026")


def _died(name: str, process: asyncio.subprocess.Process) -> LeukoError:
    return LeukoError(
        f"ended by itself (with {process.returncode})",
        where=name,
        way_out=f"the end of its {LOG} says why; is another farm on these ports? See the top of master.cfg",
        code="F026",
    )


def _tell(scene: Scene, farm: FarmFolder) -> None:
    """What can be done with it now."""
    from leuko.cli.show import print_json
    from leuko.verify.buildbot.layout import WEB_PASSWORD

    facts = {
        "url": farm.url,
        "user": farm.user,
        "workers": list(farm.workers),
        "password_file": str(farm.folder / WEB_PASSWORD),
    }
    if scene.as_json:
        print_json(facts)
        sys.stdout.flush()
        return
    click.echo(
        f"The farm runs: {farm.url} ({len(farm.workers)} workers). Its password: {facts['password_file']}"
    )
    scene.say(
        f"  leuko farm check {farm.folder}     tries every worker\n  Ctrl-C ends the master and all workers."
    )


async def _end(running: Sequence[asyncio.subprocess.Process]) -> None:
    """Workers first, so that the master sees them go."""
    for process in reversed(running):
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
    for process in running:
        try:
            async with asyncio.timeout(ENDING_SECONDS):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
