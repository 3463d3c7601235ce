"""kill -9 of the host's program at each of its steps; then the order is given again."""

from __future__ import annotations

import subprocess

import pytest

from leuko.domain.order import Result
from leuko.hosts.orders import Program, program_text
from leuko.hosts.perform import Orders

STEPS = [line.strip()[3:] for line in program_text().splitlines() if line.strip().startswith("#@ ")]


def dying_at(step: str) -> Orders:
    """A performer whose program kills itself, and whoever waits for it, at a step; asks nothing afterwards."""
    marker = f"#@ {step}\n"
    assert program_text().count(marker) == 1, step
    return Orders(program=Program.of(program_text().replace(marker, "kill -s KILL $PPID $$\n")), asks=0)


def test_steps_are_marked():
    assert len(STEPS) == len(set(STEPS)) >= 14


@pytest.mark.parametrize("step", ["begun", "before-link", "link-made", "linked", "hooks-done"])
@pytest.mark.parametrize("kind", ["switch", "restore"])
async def test_a_switch_that_died(here, kind, step):
    if kind == "restore" and step == "hooks-done":
        step = "restored"
    first, second = await here.build({"app": "1"}), await here.build({"app": "2"})
    await here.ready(first, second)
    assert (await here.give("switch", target=first)).done
    order = here.order(kind, target=second, base=second, hooks={"reload": 'echo r >>"$LEUKO_ROOT/log"'})
    here.performer = dying_at(step)
    died = await here.perform(order)
    assert died.result is Result.UNKNOWN
    assert here.current in (first, second), "never without a link"
    here.performer = Orders()
    asked = await here.performer.probe(here.source, here.reach, "app", ask=order.id)
    assert asked.facts["asked"] == "interrupted"
    again = await here.perform(order)
    assert again.done, again
    assert here.current == second
    assert (here.root / "log").read_text().count("r") >= 1
    assert (await here.give("prune", keep=(first, second))).done
    assert here.leftovers() == []
    assert here.journal.count(f" begin {order.id} ") == 2
    assert here.journal.count(f" end {order.id} ") == 1


@pytest.mark.parametrize(
    "step",
    ["begun", "block", "received", "linked-base", "verified", "before-sync", "before-publish", "published"],
)
async def test_a_stage_that_died(here, step):
    files = {f"f{number}": f"{number}" * 100 for number in range(20)}
    first, second = await here.build(files), await here.build({**files, "f1": "new", "g": "g"})
    await here.ready(first)
    assert (await here.give("switch", target=first)).done
    order = here.order("stage", target=second, base=first)
    payload = await here.payload(second, (first,))
    here.performer = dying_at(step)
    died = await here.perform(order, payload)
    assert died.result is Result.UNKNOWN
    assert second not in (await here.probe()).releases
    here.performer = Orders()
    refused = await here.give("switch", target=second)
    assert refused.result is Result.FAILED
    assert here.current == first
    again = await here.perform(order, payload)
    assert again.done, again
    assert here.tree(second)["f1"] == b"new"
    assert here.tree(first)["f1"] == b"1" * 100
    assert (await here.give("verify", target=second)).done
    assert (await here.give("verify", target=first)).done
    assert here.leftovers() == []


async def test_a_stage_that_died_is_given_again_by_itself(here):
    release = await here.build({"app": "1"})
    here.performer._program = dying_at("verified")._program
    outcome = await here.stage(release)
    assert outcome.result is Result.UNKNOWN, "it dies each time: unknown, after a bounded number of tries"
    assert here.journal.count(" begin ") == 4


@pytest.mark.parametrize("step", ["adopted-copy", "moved-aside"])
async def test_an_adoption_that_died(here, step):
    current = here.root / "current"
    current.mkdir(parents=True)
    (current / "app").write_text("old")
    order = here.order("adopt")
    here.performer = dying_at(step)
    assert (await here.perform(order)).result is Result.UNKNOWN
    here.performer = Orders()
    again = await here.perform(order)
    assert again.done, again
    assert (current / "app").read_text() == "old"
    assert current.is_symlink()
    assert (here.root / "current.before-leuko" / "app").read_text() == "old"
    assert here.leftovers() == []
    assert here.current in (await here.probe()).releases


async def test_a_prune_that_died(here):
    releases = [await here.build({"app": str(number)}) for number in range(4)]
    await here.ready(*releases)
    order = here.order("prune", keep=(releases[0],))
    here.performer = dying_at("pruned")
    assert (await here.perform(order)).result is Result.UNKNOWN
    here.performer = Orders()
    assert (await here.perform(order)).done
    assert here.leftovers() == []
    assert [path.name for path in (here.root / "releases").iterdir()] == [releases[0]]


async def test_an_order_that_died_leaves_no_secret_behind_the_next_one(here):
    release = await here.build({"app": "1"})
    await here.ready(release)
    here.performer = dying_at("before-link")
    hooks = {"before_switch": '. "$LEUKO_SECRETS"; echo "$TOKEN"'}
    died = await here.give("switch", target=release, hooks=hooks, secrets={"TOKEN": "planted-s3cret"})
    assert died.result is Result.UNKNOWN
    here.performer = Orders()
    assert (await here.give("switch", target=release)).done
    found = subprocess.run(["grep", "-rl", "planted-s3cret", here.root], capture_output=True, check=False)
    assert found.stdout == b""
    assert here.leftovers() == []


async def test_a_reason_cannot_pass_for_another_orders_end(here):
    release = await here.build({"app": "1"})
    await here.ready(release)
    forged = "end next result=done seconds=0 -- all is well"
    failed = await here.give("switch", target=release, running=f"echo '{forged}'; exit 1", health_tries=1)
    assert failed.result is Result.FAILED
    with (here.root / ".leuko/journal").open("a") as file:
        file.write(f"2026-01-01T00:00:00Z end other result=failed -- x {forged}\n")
    outcome = await here.give("switch", id="next", target="none-00000000")
    assert outcome.result is Result.FAILED
    assert "replayed" not in outcome.facts
