"""What pages, API and `why` say of a search: made of its row alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.builders import LINE, NOON, HandClock, revision

from leuko.domain.change import Change, Commit
from leuko.domain.culprit import Inquiry, Probe, ProbeState, Reversal, Subject, SubjectKind, Suspect
from leuko.store.changes import ChangeState
from leuko.store.culprits import CulpritSearch
from leuko.store.records import to_json
from leuko.store.store import Store
from leuko.web.views.changes import change
from leuko.web.views.culprits import culprit, culprits
from leuko.web.views.why import why

NAMES = ("a", "b", "c")


def inquiry(**more) -> Inquiry:
    subject = Subject(
        SubjectKind.CASE, "test_one", "unit", "tests/test_a.py",
        answer="culprit", culprits=(2,), certainty=0.997, rate=0.02, changes=(0.001, 0.997, 0.002),
    )  # fmt: skip
    suspects = tuple(Suspect(revision(name), f"Change {name}", "Ann", "ann@example.org") for name in NAMES)
    probes = (
        Probe(1, 1, ProbeState.DONE, NOON, passed=(subject.title,), seconds=2.0),
        Probe(2, 2, ProbeState.DONE, NOON, failed=(subject.title,), seconds=2.0),
        Probe(3, 3, ProbeState.NOTHING, NOON, reason="it does not build"),
    )
    return Inquiry(revision("0"), suspects, (subject,), probes, **more)


@pytest.fixture
async def store(tmp_path):
    made = await Store.open(tmp_path / "leuko.sqlite", HandClock())
    async with made.write(LINE) as tx:
        for name in NAMES:
            commit = Commit(revision(name), "Ann", "ann@example.org", NOON, f"Change {name}")
            landed = Change(commit.revision, "tree", None, NOON, (commit,))
            await made.changes.add(tx, landed, concerns=True, at=NOON)
        await made.changes.mark(tx, [revision(name) for name in NAMES], ChangeState.RED)
    yield made
    await made.close()


async def keep(store: Store, found: Inquiry, *, ended: bool = True) -> None:
    after = NOON + timedelta(minutes=2)
    said = (
        {"state": "ended", "culprit": revision("b"), "ended_at": after, "sentence": "b broke it."}
        if ended
        else {}
    )
    search = CulpritSearch(0, "tests", said.pop("state", "open"), NOON, 7, record=to_json(found), **said)
    async with store.write(LINE) as tx:
        await store.culprits.create(tx, search)


async def test_the_search_with_its_runs_and_the_command_that_lands_the_revert(store) -> None:
    prepared = Reversal(revision("b"), revision("f"), 'Revert "Change b"')
    await keep(store, inquiry(reversals=(prepared,)))
    shown = await culprit(store, LINE, 1)
    assert [one.runs for one in shown.suspects] == [["passed"], ["failed"], ["nothing"]]
    assert [one.culprit for one in shown.suspects] == [False, True, False]
    assert shown.probes[2].reason == "it does not build"
    assert f"`leuko revert {revision('b')[:8]}` lands it" in shown.reverts[0]
    assert [one.id for one in await culprits(store, LINE)] == [1]
    assert await culprit(store, LINE, 2) is None


async def test_each_change_says_what_the_search_means_for_it(store) -> None:
    await keep(store, inquiry())
    sentences = {
        name: " ".join((await why(store, LINE, NOON, f"change:{revision(name)}")).sentences) for name in NAMES
    }
    assert "is not to blame" in sentences["a"]
    assert "b broke it." in sentences["b"]
    assert f"contains {revision('b')[:8]}" in sentences["c"]
    page = await change(store, LINE, NOON, revision("b"))
    assert page.search.id == 1
    assert "b broke it." in page.why
    newest = (await why(store, LINE, NOON)).sentences
    assert any("contains" in sentence for sentence in newest)


async def test_while_it_runs_it_says_how_far_it_is(store) -> None:
    found = inquiry()
    subject = replace(found.subjects[0], answer="open", culprits=())
    await keep(store, replace(found, subjects=(subject,)), ended=False)
    said = " ".join((await why(store, LINE, NOON)).sentences)
    assert (
        "Which of 3 changes broke unit: tests/test_a.py::test_one is being looked for: 3 runs so far" in said
    )
    assert 'most likely bbbbbbbb "Change b" by Ann' in said or "most likely" in said


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (Reversal(revision("b"), trouble="conflicts\nin a.py"), "is not reverted: conflicts in a.py"),
        (Reversal(revision("b"), landing_at=NOON), "is being pushed"),
        (
            Reversal(revision("b"), landed_at=NOON, landed_as=revision("e"), by="leuko", automatic=True),
            "landed by itself, as configured",
        ),
    ],
)
async def test_what_became_of_a_revert(store, known, said) -> None:
    await keep(store, inquiry(reversals=(known,)))
    assert said in (await culprit(store, LINE, 1)).reverts[0]


async def test_the_page_and_the_api_serve_it(served) -> None:
    landed = (await served.store.changes.recent(LINE, limit=1))[0]
    found = inquiry()
    suspects = (*found.suspects[:2], Suspect(landed.revision, '<b>"Vouchers"</b>', "Ann", ""))
    search = CulpritSearch(0, "tests", "open", NOON, 7, record=to_json(replace(found, suspects=suspects)))
    async with served.store.write(LINE) as tx:
        await served.store.culprits.create(tx, search)
    listed = (await served.client.get(f"{served.api}/culprits")).json()
    assert [one["id"] for one in listed] == [1]
    assert (await served.client.get(f"{served.api}/culprits/1")).json()["runs"] == 3
    assert (await served.client.get(f"{served.api}/culprits/9")).status_code == 404
    page = await served.client.get(f"{served.page}/changes/{landed.revision}")
    assert page.status_code == 200
    assert "Culprit search 1" in page.text
    assert "<b>" not in page.text, "what a commit says is text"
