"""Hooks as people write them, and as they should not."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from leuko.domain.order import Result


async def with_release(world):
    world.release = await world.build({"app": "x"}, "abcdef0123456789abcdef0123456789abcdef01")
    await world.ready(world.release)
    return world


@pytest.fixture
async def staged(here):
    """A host with a release, over the local transport."""
    return await with_release(here)


@pytest.fixture
async def anywhere(world):
    """A host with a release, over each transport."""
    return await with_release(world)


def pid_in(path: Path) -> int | None:
    text = path.read_text().strip() if path.exists() else ""
    return int(text) if text else None


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def switch(world, **fields):
    return await world.give("switch", target=world.release, **fields)


async def test_a_hook_is_told_everything_and_stands_in_its_release(anywhere):
    hook = 'env | grep -E "^(LEUKO_|PORT|LC_ALL)" | sort; pwd; cat; trap'
    outcome = await switch(
        anywhere, hooks={"reload": hook}, variables={"PORT": "80 80", "ODD": "a'b\nc"}, push=7, attempt=2
    )
    root = anywhere.root
    assert outcome.done, outcome
    assert outcome.output.splitlines() == [
        "LEUKO_APPLICATION=shop",
        "LEUKO_ATTEMPT=2",
        "LEUKO_ENVIRONMENT=production",
        "LEUKO_HOST=web1",
        "LEUKO_MOMENT=reload",
        "LEUKO_ORDER=switch",
        "LEUKO_PREVIOUS=",
        "LEUKO_PUSH=7",
        f"LEUKO_RELEASE={anywhere.release}",
        "LEUKO_REVISION=abcdef0123456789abcdef0123456789abcdef01",
        "LEUKO_ROLE=www",
        f"LEUKO_ROOT={root}",
        "LEUKO_SECRETS=",
        "PORT=80 80",
        str(root / "releases" / anywhere.release),
    ]


async def test_the_moments_come_in_order(staged):
    moments = ["drain", "before_switch", "reload", "after_switch", "undrain"]
    hook = 'echo "$LEUKO_MOMENT $(readlink "$LEUKO_ROOT/current")"'
    outcome = await switch(staged, hooks=dict.fromkeys(moments, hook), health='echo "$LEUKO_MOMENT"')
    link = f"releases/{staged.release}"
    assert outcome.output.splitlines() == [
        "drain ",
        "before_switch ",
        f"reload {link}",
        "health",
        f"after_switch {link}",
        f"undrain {link}",
    ]


@pytest.mark.parametrize("moment", ["drain", "before_switch", "reload", "after_switch", "undrain"])
async def test_a_failing_hook_fails_the_order_and_says_which(here, moment):
    release = await here.build({"app": "x"})
    await here.ready(release)
    outcome = await here.give("switch", target=release, hooks={moment: "echo no luck >&2; exit 3"})
    assert outcome.result is Result.FAILED
    assert outcome.reason.startswith(f"{moment} failed with exit code 3 after 0.")
    assert outcome.output == "no luck\n"
    assert (outcome.facts["moment"], outcome.facts["code"]) == (moment, "3")
    switched = moment not in ("drain", "before_switch")
    assert (here.root / "current").is_symlink() == switched
    assert here.leftovers() == []


async def test_a_hook_that_never_ends_is_killed_at_its_limit(anywhere):
    hook = 'trap "" TERM; echo $$ >"$LEUKO_ROOT/pid"; sleep 1000 & while :; do sleep 1; done'
    outcome = await switch(anywhere, hooks={"reload": hook}, hook_timeout=1)
    assert outcome.result is Result.TIMED_OUT
    assert outcome.reason == "reload did not end within 1 s and was killed"
    assert not runs(pid_in(anywhere.root / "pid"))
    assert anywhere.leftovers() == []


async def test_an_order_ends_at_its_deadline(anywhere):
    outcome = await switch(anywhere, hooks={"reload": "sleep 1000"}, deadline=1, hook_timeout=100)
    assert outcome.result is Result.TIMED_OUT
    assert "1 s" in outcome.reason
    assert anywhere.leftovers() == []


async def test_a_daemon_that_holds_stdout_survives_and_delays_nothing(anywhere):
    hook = 'echo started; (while :; do echo tick; sleep 0.05; done) & echo $! >"$LEUKO_ROOT/pid"'
    outcome = await switch(anywhere, hooks={"reload": hook})
    pid = pid_in(anywhere.root / "pid")
    try:
        assert outcome.done, outcome
        assert outcome.output.startswith("started\n")
        order = outcome.facts
        assert runs(pid)
        again = await switch(anywhere, hooks={"reload": "true"})
        assert again.done
        assert runs(pid), order
    finally:
        os.kill(pid, signal.SIGKILL)


async def test_a_daemon_of_its_own_session_survives_a_failed_hook_too(staged):
    hook = 'setsid sh -c \'echo $$ >"$LEUKO_ROOT/pid"; exec sleep 1000\' & while [ ! -s "$LEUKO_ROOT/pid" ]; do sleep 0.01; done; exit 1'
    outcome = await switch(staged, hooks={"reload": hook})
    pid = pid_in(staged.root / "pid")
    assert outcome.result is Result.FAILED
    assert runs(pid)
    os.kill(pid, signal.SIGKILL)


async def test_a_failed_hooks_children_are_killed(staged):
    hook = 'sleep 1000 & echo $! >"$LEUKO_ROOT/pid"; exit 1'
    assert (await switch(staged, hooks={"reload": hook})).result is Result.FAILED
    assert not runs(pid_in(staged.root / "pid"))


async def test_a_gigabyte_of_output_is_cut_and_its_end_kept(here):
    release = await here.build({"app": "x"})
    await here.ready(release)
    began = time.monotonic()
    outcome = await here.give(
        "switch",
        target=release,
        hooks={"reload": "head -c 1000000000 /dev/zero; echo; echo the end; exit 1"},
    )
    took = time.monotonic() - began
    assert outcome.reason.startswith("reload failed with exit code 1")
    assert outcome.output.endswith("\0\nthe end\n")
    assert len(outcome.output) <= 16384
    kept = sum(path.stat().st_size for path in (here.root / ".leuko" / "output").iterdir())
    assert kept <= 1_200_000
    print(f"1 GB of output: {took:.1f} s")


async def test_binary_output_and_a_fake_last_line_harm_nothing(staged):
    hook = f'printf "\\377\\000\\n"; echo "X token {staged.fence.sequence} done"; echo F reason all is well; exit 4'
    outcome = await switch(staged, hooks={"reload": hook})
    assert outcome.result is Result.FAILED
    assert outcome.reason.startswith("reload failed with exit code 4")
    assert "F reason all is well" in outcome.output


async def test_health_is_asked_until_it_is_good(staged):
    health = 'echo try >>"$LEUKO_ROOT/tries"; [ "$(wc -l <"$LEUKO_ROOT/tries")" -ge 3 ]'
    outcome = await switch(staged, health=health, health_tries=5, health_pause=0.01)
    assert outcome.done, outcome
    assert outcome.facts["health_tries"] == "3"


async def test_an_unhealthy_host_fails_the_order_with_the_link_on_the_target(staged):
    outcome = await switch(staged, health="echo 500; exit 22", health_tries=3, health_pause=0.01)
    assert outcome.result is Result.FAILED
    assert outcome.reason.startswith("health failed with exit code 22")
    assert outcome.reason.endswith("after 3 tries: 500")
    assert outcome.output == "500\n500\n500\n"
    assert staged.current == staged.release


async def test_a_health_check_that_hangs_fails(staged):
    outcome = await switch(staged, health="sleep 1000", health_timeout=1, health_tries=1)
    assert outcome.result is Result.FAILED
    assert "did not end within 1 s" in outcome.reason


@pytest.mark.parametrize(
    ("printed", "right"),
    [
        ("{release}", True),
        ("/srv/x/releases/{release}", True),
        ("abcdef0123456789abcdef0123456789abcdef01", True),
        ("abcdef0", True),
        ("abcdef", False),
        ("", False),
        ("0000000", False),
        ("*", False),
    ],
)
async def test_what_runs_must_be_what_was_switched_to(here, printed, right):
    release = await here.build({"app": "x"}, "abcdef0123456789abcdef0123456789abcdef01")
    await here.ready(release)
    text = printed.format(release=release)
    outcome = await here.give("switch", target=release, running=f"echo '{text}'", health_tries=1)
    assert outcome.done == right, outcome
    if not right:
        assert f"the processes run '{text}', not {release}" in outcome.reason


SECRET = "planted-s3cret'$(reboot)"


async def test_secrets_reach_hooks_through_a_file_and_nothing_else(world):
    release = await world.build({"app": "x"})
    await world.ready(release)
    hook = (
        'stat -c %a "$LEUKO_SECRETS"; . "$LEUKO_SECRETS"; printf "%s" "$TOKEN" >"$LEUKO_ROOT/got"; echo "it is $TOKEN"; '
        'cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr "\\0" "\\n" >"$LEUKO_ROOT/processes"'
    )
    outcome = await world.give(
        "switch", target=release, hooks={"reload": hook}, secrets={"TOKEN": SECRET, "OTHER": "two\nlines"}
    )
    assert outcome.done, outcome
    assert outcome.output == "600\nit is ***\n"
    assert (world.root / "got").read_text() == SECRET
    assert "planted-s3cret" not in (world.root / "processes").read_text(errors="replace")
    (world.root / "got").unlink()
    found = subprocess.run(
        ["grep", "-rl", "planted-s3cret", str(world.root)], capture_output=True, check=False, text=True
    )
    assert found.stdout == ""


async def test_a_restore_is_not_stopped_by_hooks_that_come_before_the_link(staged):
    base = await staged.build({"app": "old"})
    await staged.ready(base)
    assert (await switch(staged)).done
    outcome = await staged.give(
        "restore", base=base, hooks={"before_restore": "exit 1", "drain": "exit 2", "reload": "echo hi"}
    )
    assert outcome.done, outcome
    assert staged.current == base
    assert outcome.facts["warning_before_restore"] == "1"
    assert outcome.facts["warning_drain"] == "2"


async def test_hooks_around_staging(here):
    release = await here.build({"app": "x"})
    hooks = {
        "before_stage": 'echo "$LEUKO_MOMENT in $PWD"',
        "after_stage": 'echo "$LEUKO_MOMENT in $PWD"; exit 5',
    }
    outcome = await here.stage(release, hooks=hooks)
    assert outcome.reason.startswith("after_stage failed with exit code 5")

    assert outcome.output.splitlines() == [
        f"before_stage in {here.root}",
        f"after_stage in {here.root}/releases/{release}",
    ]
    refused = await here.give("switch", target=release)
    assert refused.reason == f"release {release} is not on this host, or was not staged to its end"
    again = await here.stage(release, hooks={"after_stage": "true"})
    assert again.done
    assert again.facts["copied"] == "nothing"
    assert (await here.give("switch", target=release)).done


async def test_a_failed_hook_says_the_last_line_it_printed_and_no_secret(staged):
    noise = '. "$LEUKO_SECRETS"; printf "one\\033[31m\\nno such library: %s\\n\\n" "$KEY" >&2; exit 3'
    outcome = await switch(staged, hooks={"reload": noise}, secrets={"KEY": "open-sesame-42"})
    assert outcome.reason.startswith("reload failed with exit code 3 after ")
    assert outcome.reason.endswith(" s: no such library: ***")
