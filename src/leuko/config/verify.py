"""How a change is verified: set-up nodes, commands, and suites whose tests are known one by one."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from leuko.config.quantities import Duration
from leuko.config.section import Section

Runner = Literal["pytest", "unittest", "tap", "junit", "node", "phpunit", "exit"]


class SetupNode(Section):
    """One step of the set-up. A shell command alone is short for one that everything after it needs."""

    name: str = Field(
        "", pattern=r"^[a-z0-9][a-z0-9 _.-]{0,62}$|^$", description="How pages and `needs` call it."
    )
    run: str = Field(description="Shell command, in the checkout.")
    needs: tuple[str, ...] | None = Field(
        None, description="Nodes that must have passed before; left out: all that stand above it."
    )
    timeout: Duration | None = Field(None, description="Longest time; left out: as in verify.")

    @model_validator(mode="before")
    @classmethod
    def _command_alone(cls, value: Any) -> Any:
        """`- make db` is short for `- run: make db`."""
        return {"run": value} if isinstance(value, str) else value


class Suite(Section):
    """Tests of one kind. Each file is a test, or many where the runner tells them apart."""

    runner: Runner = Field(
        "exit",
        description="How results are read, each test by itself and live: `pytest`, `unittest`, `node` (node "
        "--test), `tap` (printed TAP), `junit` and `phpunit` (a JUnit XML file); `exit`: a file passes or "
        "fails as a whole, by its exit code.",
    )
    command: str = Field(
        "",
        description='Shell command; the files are its arguments, "$@". Empty: the usual one of the runner.',
    )
    files: tuple[str, ...] = Field((), description="Glob patterns of the files of tests, from the checkout.")
    exclude: tuple[str, ...] = Field((), description="Glob patterns left out of them.")
    many: bool = Field(True, description="A command takes many files; false: it is called for each.")
    warm: bool = Field(
        True,
        description="Keep the runner loaded between batches (pytest and unittest): each test runs in a fork.",
    )
    tags: dict[str, tuple[str, ...]] = Field(
        {}, description="Tag -> patterns of files that have it: `browser: [tests/selenium/**]`."
    )
    needs: tuple[str, ...] | None = Field(
        None, description="Set-up nodes that must have passed before; left out: all."
    )
    exclusive: tuple[str, ...] = Field(
        (), description="Things that only one batch at a time may use: `[port-8080]`."
    )
    env: dict[str, str] = Field({}, description="Environment of its commands.")
    report: str = Field(
        "", description="Glob pattern of the JUnit XML files that the command writes (junit)."
    )
    timeout: Duration = Field(300.0, description="Longest time of one file.")
    owner: str = Field("", description="Who is asked about its flaky tests.")


class Verify(Section):
    """How a change is verified, in a clean checkout. May come from the revision's own `leuko.yml`."""

    setup: tuple[SetupNode, ...] = Field(
        (), description="Shell commands that run first, in order, in the checkout."
    )
    tests: dict[str, str] = Field({}, description="Name -> shell command; they run in parallel workers.")
    suites: dict[str, Suite] = Field({}, description="Name -> tests whose results are known one by one.")
    timeout: Duration = Field(900.0, description="Longest time of one command.")
    workers: int = Field(2, ge=1, le=256, description="Test commands that run at the same time.")
    retries_broken: int = Field(2, ge=0, le=10, description="How often a broken build is tried again.")
    retry: bool = Field(
        True, description="A test that fails is run once more on another worker; passing there, it is flaky."
    )
    alone: int = Field(
        3,
        ge=1,
        le=100,
        description="So many waiting changes get a build each; when more wait, one covers all.",
    )
