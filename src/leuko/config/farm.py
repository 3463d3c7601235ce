"""Around verification, and never for a commit to say: farm, outside CI, coverage, culprits, reverts."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from leuko.config.quantities import Duration, PercentageText
from leuko.config.section import Section


class Farm(Section):
    """Many machines that run the tests. Only from the installation's own file."""

    engine: Literal["local", "buildbot"] = Field(
        "local", description="`buildbot`: a Buildbot master and its workers carry the batches."
    )
    url: str = Field("", description="Address of the Buildbot master: http://ci.example.com:8010.")
    user: str = Field("", description="Login at the master; empty: none.")
    password: str = Field("", description="Password at the master, as a secret: `secret:NAME`.")
    builder: str = Field("leuko", description="The builder that takes batches.")
    repository: str = Field(
        "", description="Where workers fetch from, if not from `repository` as it stands at the top."
    )
    workers: int = Field(0, ge=0, le=1000, description="Batches in flight; 0: as many as there are workers.")


class Outside(Section):
    """Results of another CI that count as verification. Only from the installation's own file."""

    contexts: tuple[str, ...] = Field(
        (),
        description="Names of the statuses that must all be green, as that CI calls them: `[ci/unit]`. "
        "Empty: Leuko verifies by itself.",
    )
    besides: bool = Field(False, description="Leuko's own tests run as well, and both must be green.")
    patience: Duration = Field(
        7200.0, description="After this without an answer the build is broken, and a person is told."
    )


class Coverage(Section):
    """Lines that a change touches and no test ran. The gate only from the installation's own file."""

    reports: tuple[str, ...] = Field(
        (), description="Glob patterns of what the tests leave: `.coverage`, `coverage.json`, `lcov.info`."
    )
    gate: Literal["off", "warn", "hard"] = Field(
        "off", description="What too little coverage of a change does: nothing, a warning, or a red build."
    )
    least: PercentageText = Field("80%", description="Part of the changed lines that tests should have run.")


class Culprits(Section):
    """The search for the change that broke the tests. Only from the installation's own file."""

    search: bool = Field(True, description="A red build is looked into: which of its changes broke it.")
    runs: int = Field(60, ge=4, le=1000, description="At most so many runs of what failed; then it gives up.")
    workers: int = Field(0, ge=0, le=64, description="Runs at the same time; 0: as many as verify.workers.")
    lock: Literal["off", "warn", "hard"] = Field(
        "warn",
        description="The commit lock that a change proved to break the tests takes, until a later change is "
        "green. `hard`: nothing lands but its revert or its fix.",
    )


class Reverts(Section):
    """What happens to a change that was proved to break the tests. Only from the installation's own file."""

    automatic: bool = Field(False, description="Land the prepared revert by itself.")
    a_day: int = Field(2, ge=0, le=100, description="At most so many in 24 hours; then a person is asked.")
