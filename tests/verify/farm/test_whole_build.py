"""A whole build over the farm: set-up and plain commands here, suites there, the release from the same tree."""

from __future__ import annotations

import pytest
from tests.builders import LINE, configuration
from tests.verify.farm.rig import Repository

from leuko.clock import SystemClock
from leuko.config.model import Release
from leuko.config.secrets import Secrets
from leuko.config.verify import SetupNode, Suite, Verify
from leuko.domain.build import BuildState
from leuko.domain.case import Case, CaseState
from leuko.runtime.farming import Farming
from leuko.runtime.ground import Ground
from leuko.store.store import Store
from leuko.vcs.checkout import check_out
from leuko.vcs.git import Git
from leuko.verify.account import current
from leuko.verify.build import LocalVerifier

pytestmark = pytest.mark.needs("buildbot")


async def test_a_build_is_verified_at_workers_and_released_from_here(rig, repository: Repository, tmp_path):
    flaky = tmp_path / "flaky"
    revision = repository.commit(
        {
            "tests/a.sh": "grep -q hello made\n",
            "tests/b.sh": "exit 0\n",
            "tests/flaky.sh": f"[ -e {flaky} ] || {{ touch {flaky}; exit 1; }}\n",
            "app": "1",
        }
    )
    git = Git(repository.folder / ".git")
    state = tmp_path / "state"
    store = await Store.open(state / "leuko.sqlite", SystemClock())
    farm = {"engine": "buildbot", "url": rig.farm.url, "user": "leuko", "password": "secret:FARM"}
    settings = configuration(repository=str(repository.folder), farm=farm)
    ground = Ground(LINE, store, SystemClock(), state, settings, secrets=Secrets({"FARM": rig.farm.password}))

    async def tree_of(asked: str) -> str:
        return (await git.ask("rev-parse", f"{asked}^{{tree}}")).decode().strip()

    async def export(asked, folder):
        return (await check_out(git, asked, folder)).warnings

    farming = Farming(ground, tree_of)
    verifier = LocalVerifier(export, current(), tmp_path / "builds", state, engine_for=farming.engine)
    verify = Verify(
        setup=(SetupNode(name="make", run="echo hello > made"),),
        tests={"here": "test -e made"},
        suites={"unit": Suite(runner="exit", command='sh "$@"', files=("tests/*.sh",))},
    )
    outcome = await verifier.verify("1.1", revision, verify)
    try:
        assert (outcome.state, outcome.reason) == (BuildState.PASSED, "")
        results = {result.case.file: result for result in outcome.verified.results}
        assert {file: result.state for file, result in results.items()} == {
            "tests/a.sh": CaseState.PASSED,
            "tests/b.sh": CaseState.PASSED,
            "tests/flaky.sh": CaseState.PASSED,
        }
        assert outcome.verified.flaky == (Case("unit", "tests/flaky.sh"),)
        assert {result.worker for result in results.values()} <= {"worker1", "worker2"}
        release = await verifier.release_tree(outcome, Release(build="cp made app"))
        assert (release / "app").read_text() == "hello\n"
    finally:
        await outcome.discard()
        await farming.close()
        await store.close()
