"""A real controller is killed with -9 once in each state of a push; the next one brings it to its end."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import pytest
from tests.e2e.playing import Playing, Site, go_live

from leuko.clock import SystemClock
from leuko.domain.intent import IntentKind
from leuko.domain.line import Line
from leuko.domain.push import State
from leuko.domain.rollout import HostState
from leuko.store.store import Store
from leuko.web.views.why import why

pytestmark = pytest.mark.timeout(420)

LINE = Line("site", "production")
GATES = (
    'gate=$GATES/$LEUKO_ORDER-$LEUKO_HOST; if [ -e "$gate" ]; then : >"$gate.began"; '
    'while [ -e "$gate" ]; do sleep 0.05; done; fi'
)
"""Every hook stops where the test put a gate up, until it is taken down: states last as long as it wants."""


PUSH = {
    "phases": [{"hosts": 1, "watch": 4}, {"hosts": "100%", "watch": 2}],
    "hold_back": 1,
}
SOON = {"tries": 1, "pause": "100ms", "timeout": "1s"}


class Killed:
    """A site whose controller is a process of its own."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.gates = site.folder / "gates"
        self.gates.mkdir()
        gates = GATES.replace("$GATES", str(self.gates))
        self.reload = f'{gates}; test "$LEUKO_ORDER$(cat version)" != switchbad'
        site.own = {"fleet": {"hooks": {"after_stage": gates, "reload": self.reload}}}
        self.process: subprocess.Popen[bytes] | None = None
        self.log = site.folder / "serve.log"

    def start(self) -> None:
        argv = [sys.executable, "-m", "leuko.cli.main", "serve", "--config", str(self.site.file)]
        argv += ["--state", str(self.site.state), "--listen", "127.0.0.1:0"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self) -> None:
        """With -9: nothing is said goodbye to."""
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        self.process.kill()
        self.process.wait(10)

    def up(self, order: str, host: str) -> Path:
        """Puts a gate before an order of a host."""
        gate = self.gates / f"{order}-{host}"
        gate.touch()
        return gate


@pytest.fixture
async def killed(site: Site) -> AsyncIterator[tuple[Killed, Playing]]:
    """The first commit is live, and a controller acts."""
    killed = Killed(site)
    first = site.create()
    site.install(push=PUSH)
    site.state.mkdir(mode=0o700)
    killed.start()
    store = await Store.open(site.state / "leuko.sqlite", SystemClock(), readings=site.state / "readings")
    line = Playing(store, LINE)
    try:
        await go_live(line, first)
        yield killed, line
    finally:
        for gate in killed.gates.iterdir():
            gate.unlink()
        if killed.process is not None:
            killed.process.kill()
            killed.process.wait(10)
        await store.close()


MOVING = (HostState.WAITING, HostState.SWITCHING, HostState.RESTORING)


async def before(line: Playing, state: State, stopped: str = "") -> tuple[datetime, list[str]]:
    """What `why` says of the push, once it is in that state and no host moves but the one that is stopped."""
    await line.push(2, state)

    async def still() -> bool:
        rows = await line.rows(2)
        return all(row.state not in MOVING for name, row in rows.items() if name != stopped)

    if state is not State.PENDING:
        await line.until(still, "the other hosts are done")
    now = SystemClock().now()
    return now, (await why(line.store, LINE, now, "push:2")).sentences


async def the_next_one_acts(
    killed: Killed, line: Playing, state: State, said: tuple[datetime, list[str]]
) -> None:
    """Dead: the push is as it was, and so is the reason. Then another controller takes over."""
    killed.kill()
    push = await line.store.pushes.get(LINE, 2)
    assert push is not None
    assert push.state is state
    now, sentences = said
    assert sentences
    assert (await why(line.store, LINE, now, "push:2")).sentences == sentences
    epoch = (await line.store.leases.get(LINE)).epoch
    killed.start()
    await line.until(lambda: acting(line, epoch), "another controller acts")


async def acting(line: Playing, epoch: int) -> bool:
    lease = await line.store.leases.get(LINE)
    return lease is not None and lease.epoch > epoch


async def ended_well(killed: Killed, line: Playing, number: int = 2) -> None:
    """Every host runs it, and one operation tells of it."""
    live = await line.live(number)
    assert killed.site.currents() == {live.release}
    await one_operation(line, number, "live")


async def one_operation(line: Playing, number: int, outcome: str) -> None:
    rows = [row for row in await line.store.operations.recent(LINE) if row.subject == f"push {number}"]
    assert [row.outcome for row in rows] == [outcome], json.dumps([str(row) for row in rows])
    assert rows[0].finished_at is not None


async def began(line: Playing, gate: Path) -> None:
    await line.until(lambda: exists(gate.with_name(gate.name + ".began")), f"a hook at {gate.name}")


async def exists(path: Path) -> bool:
    return path.exists()


async def test_pending(killed):
    controller, line = killed
    await line.accepted(IntentKind.LOCK, kind="push", why="a fair")
    controller.site.commit("two")
    said = await before(line, State.PENDING)
    await the_next_one_acts(controller, line, State.PENDING, said)
    base = controller.site.currents()
    (lock,) = await line.locks()
    assert len(base) == 1
    await line.accepted(IntentKind.UNLOCK, lock=lock.id, why="over")
    await ended_well(controller, line)


@pytest.mark.parametrize(
    ("state", "order", "host"),
    [
        (State.STAGING, "stage", "web2"),
        (State.SWITCHING, "switch", "web1"),
        (State.COMPLETING, "switch", "web3"),
    ],
)
async def test_while_a_hook_runs(killed, state, order, host):
    """The hook is begun anew: hooks run at least once, and are told which time it is."""
    controller, line = killed
    gate = controller.up(order, host)
    controller.site.commit("two")
    await line.until(lambda: promoted_to(line, state), f"push 2 {state}")
    await began(line, gate)
    said = await before(line, state, host)
    await the_next_one_acts(controller, line, state, said)
    gate.unlink()
    await ended_well(controller, line)


async def promoted_to(line: Playing, state: State) -> bool:
    """Whether the push is there; holds on the way are passed by a person."""
    push = await line.store.pushes.get(LINE, 2)
    if push is not None and push.held_from is State.WATCHING:
        await line.ask(IntentKind.PROMOTE, push=push)
    return push is not None and push.state is state


async def test_watching(killed):
    controller, line = killed
    controller.site.commit("two")
    await line.push(2, State.WATCHING)
    controller.kill()
    push = await line.store.pushes.get(LINE, 2)
    assert push.state in (State.WATCHING, State.HELD)
    assert push.phase == 0
    controller.start()
    await ended_well(controller, line)


async def test_held(killed):
    controller, line = killed
    gate = controller.up("switch", "web1")
    controller.site.commit("two")
    await began(line, gate)
    push = await line.push(2, State.SWITCHING)
    await line.accepted(IntentKind.HOLD, push=push, why="lunch")
    gate.unlink()
    held = await line.push(2, State.HELD)
    said = await before(line, State.HELD)
    await the_next_one_acts(controller, line, State.HELD, said)
    push = await line.store.pushes.get(LINE, 2)
    assert (push.held_by, push.held_why, push.deadline) == ("ann", "lunch", held.deadline)
    await line.accepted(IntentKind.RESUME, push=push)
    await ended_well(controller, line)


async def test_rolling_back(killed):
    controller, line = killed
    base = controller.site.currents()
    gate = controller.up("restore", "web1")
    controller.site.commit("bad")
    await began(line, gate)
    said = await before(line, State.ROLLING_BACK, "web1")
    await the_next_one_acts(controller, line, State.ROLLING_BACK, said)
    gate.unlink()
    push = await line.push(2, State.ROLLED_BACK)
    assert push.stop is not None
    assert controller.site.currents() == base
    assert len(await line.locks()) == 2
    await one_operation(line, 2, "rolled back: switch failed")


async def test_stuck(killed):
    """A host that could not be confirmed restored stays known as that, and is still put right."""
    controller, line = killed
    base = controller.site.currents()
    controller.kill()
    controller.site.own["fleet"]["hooks"]["timeout"] = "2s"
    controller.site.own["fleet"]["health"] = SOON
    limits = {"hooks": {"timeout": "2s"}, "health": SOON}
    controller.site.install(push=PUSH | {"restore_timeout": "3s"}, fleet=limits)
    controller.start()
    gate = controller.up("restore", "web1")
    controller.site.commit("bad")
    await began(line, gate)
    said = await before(line, State.STUCK, "web1")
    told = " ".join(said[1])
    assert "web1" in told
    assert "`.leuko/rollback`" in told
    await the_next_one_acts(controller, line, State.STUCK, said)
    stuck = await line.store.pushes.get(LINE, 2)
    assert stuck.state is State.STUCK, "nobody takes it for restored before it is"
    gate.unlink()
    await line.until(lambda: back_after_all(line), "the host is restored after all")
    assert controller.site.currents() == base
    assert len(await line.locks()) == 2


async def back_after_all(line: Playing) -> bool:
    push = await line.store.pushes.get(LINE, 2)
    assert push is not None
    return push.state is State.ROLLED_BACK
