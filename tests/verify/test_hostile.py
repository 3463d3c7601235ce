"""What a commit's tests may try against their controller, and must fail at. As another user, both levels."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from leuko.config.model import Release
from leuko.config.verify import Verify
from leuko.domain.build import BuildState
from leuko.verify.account import find, warnings, workspace
from leuko.verify.enclosure import Level, Limits, hunted

pytestmark = pytest.mark.needs("root")
REVISION = "ab" * 20
BOTH = pytest.mark.parametrize("namespaces", [True, False], ids=["namespaces", "user"])

# Even where an attempt succeeds it must not hurt the machine that the tests run on: it reads without showing,
# asks whether it may signal without signalling, and mounts only over a folder of its own. What needs root's
# rights to go wrong is left out when the attack is run without any enclosure (`mild`).
ATTACK = """
import ctypes, os, pathlib, socket, sys
got = []
def attempt(name, deed):
    try:
        found = deed()
    except BaseException as error:
        print(name, "failed:", type(error).__name__, error)
    else:
        if found: got.append(f"{name}: {found!r:.200}")
        print(name, "GOT" if found else "nothing", repr(found)[:200])
state, parent, victim, mild = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), "mild" in sys.argv
read = lambda path: len(pathlib.Path(path).read_bytes())
def connect(path):
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(2); line.connect(path); return "connected"
for name in ("id_ed25519", "leuko.db", "secrets", "leuko.yml"):
    attempt("read " + name, lambda: read(f"{state}/{name}"))
    attempt("write " + name, lambda: open(f"{state}/{name}", "ab") and "opened")
attempt("list state", lambda: os.listdir(state))
attempt("agent", lambda: connect(f"{state}/agent.sock"))
attempt("controller", lambda: connect(f"{state}/leuko.sock"))
attempt("agent by environment", lambda: os.environ.get("SSH_AUTH_SOCK"))
for pid in {parent, victim, 1}:
    for what in ("environ", "maps"):
        attempt(f"/proc/{pid}/{what}", lambda: read(f"/proc/{pid}/{what}"))
    attempt(f"/proc/{pid}/mem", lambda: open(f"/proc/{pid}/mem", "rb") and "opened")
    attempt(f"/proc/{pid}/fd", lambda: len(os.listdir(f"/proc/{pid}/fd")))
    attempt(f"/proc/{pid}/root", lambda: len(os.listdir(f"/proc/{pid}/root/{state}")))
libc = ctypes.CDLL(None, use_errno=True)
attempt("ptrace", lambda: libc.ptrace(0x4206, victim, 0, 0) == 0)  # seize: stops nothing, ends with us
for pid in (parent, victim):
    attempt(f"kill {pid}", lambda: os.kill(pid, 0) or "may signal")
if not mild:
    attempt("setuid", lambda: os.setuid(0) or "root")
    attempt("setgroups", lambda: os.setgroups([0]) or "groups")
    attempt("sudo", lambda: os.system("sudo -n true 2>/dev/null") == 0)
    os.mkdir(os.environ["TMPDIR"] + "/m" + str(os.getpid()))
    attempt("mount", lambda: libc.mount(b"none", (os.environ["TMPDIR"] + "/m" + str(os.getpid())).encode(), b"tmpfs", 0, None) == 0)
    attempt("unmount", lambda: libc.umount2(state.encode(), 2) == 0)
    attempt("chroot", lambda: os.chroot(".") or "in")
    attempt("hard link", lambda: os.link(f"{state}/secrets", "stolen") or "linked")
attempt("groups", lambda: [group for group in os.getgroups() if group != os.getgid()])
attempt("inherited files", lambda: [fd for fd in os.listdir("/proc/self/fd") if int(fd) > 2 and os.path.exists(f"/proc/self/fd/{fd}") and "/proc/" not in os.readlink(f"/proc/self/fd/{fd}")])
attempt("terminal", lambda: open("/dev/tty"))
attempt("shadow", lambda: read("/etc/shadow"))
attempt("other builds", lambda: os.listdir(os.path.dirname(os.environ["LEUKO_FOLDER"])))
print("RESULT", got)
sys.exit(bool(got))
"""


@pytest.fixture
async def treasure(place):
    """A controller's folder with a key, a store, secrets, an agent and its own socket; this process is it."""
    state = place / "state"
    state.mkdir(mode=0o700)
    for name in ("id_ed25519", "leuko.db", "secrets", "leuko.yml"):
        (state / name).write_text("treasure")
        (state / name).chmod(0o600)

    async def answer(_reader, writer):
        writer.close()

    servers = [await asyncio.start_unix_server(answer, state / name) for name in ("agent.sock", "leuko.sock")]
    for name in ("agent.sock", "leuko.sock"):
        (state / name).chmod(0o777)  # the folder alone must do
    yield state
    for server in servers:
        server.close()


@BOTH
async def test_a_hostile_test_gets_nothing(place, treasure, separate, verifier, namespaces, monkeypatch):
    monkeypatch.setenv("PLANTED_SECRET", "treasure")
    monkeypatch.setenv("SSH_AUTH_SOCK", str(treasure / "agent.sock"))
    victim = await asyncio.create_subprocess_exec("sleep", "1000", env={"PLANTED_SECRET": "treasure"})
    one = verifier(separate, {"attack.py": ATTACK}, namespaces=namespaces, hidden=(treasure,))
    command = f"/usr/bin/python3 attack.py {treasure} {os.getpid()} {victim.pid}"
    outcome = await one.verify("1", REVISION, Verify(setup=(command,), tests={"again": command}))
    said = "".join((treasure / step.output).read_text() for step in outcome.steps)
    assert outcome.level is (Level.NAMESPACES if namespaces else Level.USER)
    assert "RESULT []" in said, said
    assert outcome.state is BuildState.PASSED, said
    assert "treasure" not in said.replace(str(treasure), "")
    assert victim.returncode is None
    await outcome.discard()
    victim.kill()
    await victim.wait()
    assert not Path("/tmp/stolen").exists()


async def test_the_attack_is_a_real_one(treasure, own, verifier):
    """Against a controller that shuts nothing in, it does get at things: else the tests above prove nothing."""
    victim = await asyncio.create_subprocess_exec("sleep", "1000")
    one = verifier(own, {"attack.py": ATTACK})
    command = f"/usr/bin/python3 attack.py {treasure} {os.getpid()} {victim.pid} mild"
    outcome = await one.verify("1", REVISION, Verify(tests={"a": command}))
    said = (treasure / outcome.steps[0].output).read_text().rpartition("RESULT")[2]
    for name in (
        "read id_ed25519",
        "read leuko.db",
        "write secrets",
        "agent: 'connected'",
        "controller",
        "environ",
        "ptrace",
        "kill",
        "shadow",
        "other builds",
    ):
        assert name in said, said
    assert outcome.level is Level.NONE
    await outcome.discard()
    victim.kill()
    await victim.wait()


def _first_of(place):
    """The process that holds the namespaces of the build in `place`: number one in there, and ours."""
    for entry in Path("/proc").iterdir():
        try:
            if (
                not entry.name.isdigit()
                or f"LEUKO_FOLDER={place}/".encode() not in (entry / "environ").read_bytes()
            ):
                continue
            numbers = next(
                line for line in (entry / "status").read_text().splitlines() if line.startswith("NSpid:")
            )
        except OSError:
            continue
        if len(numbers.split()) == 3 and numbers.split()[2] == "1":
            return int(entry.name)
    return None


async def test_the_first_process_killed_is_nobodys_fault(separate, verifier, place):
    one = verifier(separate)
    task = asyncio.create_task(
        one.verify("1", REVISION, Verify(setup=("touch up; sleep 1000",), tests={"a": "true"}))
    )
    end = time.monotonic() + 10
    while not list(place.glob("builds/*/checkout/up")):
        assert time.monotonic() < end
        await asyncio.sleep(0.01)
    first = _first_of(place)
    assert first is not None
    assert first > 1
    os.kill(first, signal.SIGKILL)
    outcome = await task
    assert outcome.state is BuildState.BROKEN
    await outcome.discard()


@BOTH
async def test_another_build_of_the_same_user_is_out_of_reach(place, separate, verifier, namespaces):
    one = verifier(separate, namespaces=namespaces)
    first = await one.verify("1", REVISION, Verify(tests={"a": "true"}))
    tree = await one.release_tree(first, Release(build="echo good > app.py"))
    command = (
        f"ls {place}/builds; echo evil > {tree}/app.py; cat {tree}/app.py; [ $(id -u) != 0 ] && kill -9 -1"
    )
    second = await one.verify("2", REVISION, Verify(tests={"a": command}))
    assert (tree / "app.py").read_text() == "good\n"
    assert "good" not in (place / "state" / second.steps[0].output).read_text()
    await first.discard()
    await second.discard()


async def test_a_build_cannot_kill_another(place, separate, verifier):
    """Only with namespaces: the same user may signal its own processes otherwise."""
    one = verifier(separate)
    task = asyncio.create_task(one.verify("1", REVISION, Verify(tests={"a": "sleep 1.5"})))
    outcome = await one.verify(
        "2", REVISION, Verify(tests={"a": "sleep 0.3; [ $(id -u) != 0 ] && kill -9 -1"})
    )
    await outcome.discard()
    other = await task
    assert other.state is BuildState.PASSED
    await other.discard()


@BOTH
async def test_a_fork_bomb_is_limited_and_ended(separate, verifier, namespaces):
    bomb = "import os\nassert os.getuid()\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass\n"
    one = verifier(separate, {"bomb.py": bomb}, namespaces=namespaces, limits=Limits(processes=60))
    task = asyncio.create_task(
        one.verify(
            "1",
            REVISION,
            Verify(tests={"a": "setsid /usr/bin/python3 bomb.py & sleep 0.7; exit 1"}, timeout=2),
        )
    )
    most = 0
    while not task.done():
        most = max(most, len(hunted(Path("/nowhere"), separate, everyone=True)))
        await asyncio.sleep(0.02)
    outcome = await task
    assert outcome.state in (BuildState.FAILED, BuildState.BROKEN)
    await outcome.discard()
    assert 20 < most <= 61
    assert hunted(Path("/nowhere"), separate, everyone=True) == []
    again = await one.verify("2", REVISION, Verify(tests={"a": "true"}))
    assert again.state is BuildState.PASSED
    await again.discard()


@BOTH
async def test_no_process_escapes_however_it_hides(separate, verifier, namespaces):
    command = "env -i setsid sh -c 'cd /; setsid sleep 1000 & setsid sleep 1000 & wait' & sleep 0.3"
    one = verifier(separate, namespaces=namespaces)
    outcome = await one.verify("1", REVISION, Verify(tests={"a": command}))
    assert outcome.state is BuildState.PASSED
    assert hunted(Path("/nowhere"), separate, everyone=True)
    await one.release_tree(outcome, Release())
    assert hunted(Path("/nowhere"), separate, everyone=True) == []
    await outcome.discard()


@BOTH
async def test_the_tree_is_out_of_reach_once_it_is_handed_back(place, separate, verifier, namespaces):
    one = verifier(separate, namespaces=namespaces)
    outcome = await one.verify("1", REVISION, Verify(tests={"a": "true"}))
    tree = await one.release_tree(outcome, Release(build="touch built"))
    told = subprocess.run(
        ["ls", tree], check=False, capture_output=True, user=separate.uid, group=separate.gid, extra_groups=[]
    )
    assert told.returncode != 0
    assert (tree / "built").exists()
    await outcome.discard()


async def test_a_full_disk_is_nobodys_fault(place, separate, verifier):
    disk = place / "builds"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], check=True)
    try:
        outcome = await verifier(separate).verify(
            "1", REVISION, Verify(tests={"a": "head -c 10000000 /dev/zero > big"})
        )
        assert outcome.state is BuildState.BROKEN
        assert "no space left" in outcome.reason
        await outcome.discard()
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", disk], check=True)


async def test_a_full_disk_under_the_outputs_is_broken_too(place, separate, verifier):
    one = verifier(separate)
    logs = place / "state" / "builds"
    logs.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", logs], check=True)
    try:
        outcome = await one.verify(
            "1", REVISION, Verify(tests={"a": "head -c 4000000 /dev/zero | tr '\\0' '\\n'"})
        )
        assert outcome.state is BuildState.BROKEN
        assert "no space left on the disk for the output" in outcome.reason
        await outcome.discard()
        (logs / "fill").write_bytes(b"")
        subprocess.run(["mount", "-o", "remount,nr_inodes=4", logs], check=True)
        outcome = await one.verify("2", REVISION, Verify(tests={"a": "true"}))
        assert outcome.state is BuildState.BROKEN
        assert "cannot be kept" in outcome.reason
        await outcome.discard()
    finally:
        subprocess.run(["umount", logs], check=True)


async def test_a_closed_folder_above_the_builds_is_named(tmp_path, separate, verifier, place):
    one = verifier(separate)
    one._folder = tmp_path / "builds"  # below a folder of root's own
    outcome = await one.verify("1", REVISION, Verify(tests={"a": "true"}))
    assert outcome.state is BuildState.BROKEN
    assert "cannot get into the folder of builds" in outcome.reason


async def test_memory_can_be_limited(separate, verifier, place):
    one = verifier(separate, limits=Limits(memory=200 << 20))
    outcome = await one.verify(
        "1", REVISION, Verify(tests={"a": "/usr/bin/python3 -c 'bytearray(1 << 30)'", "b": "true"})
    )
    assert [step.passed for step in outcome.steps] == [False, True]
    await outcome.discard()


async def test_a_checkout_with_its_history_does_not_give_the_mirror_away(place, separate, verifier):
    """Object files are hard links into the mirror: they must stay root's, whoever owns the checkout."""
    (place / "objects").mkdir(mode=0o700)
    original = place / "objects" / "pack"
    original.write_text("packed")
    original.chmod(0o444)
    one = verifier(separate)

    async def check_out(_revision, folder):
        objects = folder / ".git" / "objects" / "pack"
        objects.mkdir(parents=True)
        os.link(original, objects / "p.pack")
        (folder / ".git" / "config").write_text("")
        return ()

    one._check_out = check_out
    command = "cat .git/objects/pack/p.pack; touch .git/config .git/objects/new; ! chmod 666 .git/objects/pack/p.pack"
    outcome = await one.verify("1", REVISION, Verify(tests={"a": command}))
    assert outcome.state is BuildState.PASSED, (place / "state" / outcome.steps[0].output).read_text()
    await outcome.discard()
    assert (original.stat().st_uid, original.read_text()) == (0, "packed")


@BOTH
async def test_kill_9_of_the_controller(place, separate, verifier, namespaces):
    """With namespaces its builds die with it; without, the next start sweeps them up."""
    program = textwrap.dedent(f"""
        import asyncio, sys
        from pathlib import Path
        from leuko.config.verify import Verify
        from leuko.verify.account import find
        from leuko.verify.build import LocalVerifier
        async def check_out(_revision, folder):
            folder.mkdir()
            return ()
        async def main():
            one = LocalVerifier(check_out, find({separate.name!r}), Path({str(place / "builds")!r}), Path({str(place / "state")!r}), namespaces={namespaces})
            await one.verify("1", "a" * 40, Verify(tests={{"a": "setsid sleep 1000 & echo up; sleep 1000"}}), lambda step: print("step", flush=True))
        asyncio.run(main())
    """)
    controller = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
    )
    assert await asyncio.wait_for(controller.stdout.readline(), 20) == b"step\n"
    log = place / "state" / "builds" / "1" / "001-a.log"
    end = time.monotonic() + 10
    while not (log.exists() and b"up" in log.read_bytes()):
        assert time.monotonic() < end
        await asyncio.sleep(0.01)
    controller.send_signal(signal.SIGKILL)
    await controller.wait()
    one = verifier(separate, namespaces=namespaces)
    end = time.monotonic() + 5
    while namespaces and hunted(Path("/nowhere"), separate, everyone=True):
        assert time.monotonic() < end, "the build outlived its controller"
        await asyncio.sleep(0.01)
    assert await one.sweep() == 1
    assert hunted(Path("/nowhere"), separate, everyone=True) == []
    assert list((place / "builds").iterdir()) == []


async def test_no_zombies_pile_up_in_a_build(separate, verifier, place):
    command = "for i in 1 2 3 4 5 6 7 8 9; do (sh -c 'sleep 0.01 & exec true' &); done; sleep 0.4; ps -eo stat | grep -c ^Z || true"
    outcome = await verifier(separate).verify("1", REVISION, Verify(tests={"a": command}))
    assert (place / "state" / outcome.steps[0].output).read_text() == "0\n"
    await outcome.discard()


def test_what_check_says(separate):
    assert warnings(separate.name) == ()
    assert "useradd" in warnings("no-such-user-here")[0]
    assert "root itself" in warnings("root")[0]
    mine = workspace(separate, Path("/state"), "shop/production")
    assert mine.parent == separate.home / "builds"
    assert mine != workspace(separate, Path("/state"), "shop/preview")
    assert mine != workspace(separate, Path("/other"), "shop/production")
    assert find("no-such-user-here") is None
