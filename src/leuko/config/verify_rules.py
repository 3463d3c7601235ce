"""What is checked about verification between fields."""

from __future__ import annotations

from pathlib import PurePosixPath

from leuko.config.model import Configuration
from leuko.config.notes import NAME, Notes, Path, near
from leuko.config.secrets import REFERENCE
from leuko.config.verify import SetupNode, Suite, Verify

_EMPTY = "Write a command, or take the line out."
_TAKES_A_REPORT = ("junit",)
_HAS_A_USUAL_COMMAND = ("pytest", "unittest", "node", "phpunit")


def check_verify(configuration: Configuration, notes: Notes) -> None:
    """Set-up nodes, commands, suites, the farm and what else may say that a change is good."""
    verify = configuration.verify
    _check_setup(verify.setup, notes)
    for name, command in verify.tests.items():
        if not command.strip():
            notes.say(("verify", "tests", name), "C044", "is empty", _EMPTY)
        if "/" in name or not name.strip() or not name.isprintable() or len(name) > 80:
            rule = f'has the name "{name[:80]}": it should be at most 80 characters, without "/"'
            notes.say(("verify", "tests", name), "C017", rule, "It names a file and a row.")
    for name, suite in verify.suites.items():
        _check_suite(name, suite, verify, notes)
    if not verify.tests and not verify.suites and not configuration.outside.contexts:
        rule = "has no tests: every change counts as green"
        notes.say(("verify",), "W001", rule, "Add `tests: {unit: make test}`, or whatever runs yours.")
    _check_patterns(configuration.coverage.reports, ("coverage", "reports"), notes)
    _check_farm(configuration, notes)


def node_name(index: int, node: SetupNode) -> str:
    """What a set-up node is called: by its own name, or by its place."""
    return node.name or f"setup {index + 1}"


def _check_setup(setup: tuple[SetupNode, ...], notes: Notes) -> None:
    above: list[str] = []
    for index, node in enumerate(setup):
        here: Path = ("verify", "setup", index)
        if not node.run.strip():
            notes.say(here, "C044", "is empty", _EMPTY)
        name = node_name(index, node)
        if name in above:
            notes.say(here, "C065", f'there are two set-up nodes called "{name}"', "Give each its own name.")
        _check_needs(node.needs or (), above, (*here, "needs"), notes)
        above.append(name)


def _check_needs(needs: tuple[str, ...], known: list[str], here: Path, notes: Notes) -> None:
    for position, need in enumerate(needs):
        if need not in known:
            rule = f'there is no set-up node "{need}" above it'
            notes.say((*here, position), "C066", rule, near(need, known, "Nodes"))


def _check_suite(name: str, suite: Suite, verify: Verify, notes: Notes) -> None:
    here: Path = ("verify", "suites", name)
    if not NAME.match(name):
        notes.say(
            here, "C017", f'has the name "{name[:80]}": letters, digits, - and _ only', "It names rows."
        )
    if name in verify.tests:
        notes.say(here, "C065", f"is also the name of a command: verify.tests.{name}", "Rename one of them.")
    if not suite.files:
        rule = "says no files: nothing would be tested"
        notes.say(
            here, "C067", rule, 'Add `files: ["tests/**/test_*.py"]`, or whatever your tests are called.'
        )
    if not suite.command.strip() and suite.runner not in _HAS_A_USUAL_COMMAND:
        rule = f"the runner {suite.runner} has no usual command"
        notes.say((*here, "command"), "C044", rule, 'Write one; the files are its arguments: `sh "$@"`.')
    if (suite.runner in _TAKES_A_REPORT) != bool(suite.report):
        rule = "goes with `runner: junit`" if suite.report else "`runner: junit` needs to know where"
        notes.say((*here, "report"), "C068", f"report: {rule}", "`report: build/test-results/*.xml`")
    nodes = [node_name(index, node) for index, node in enumerate(verify.setup)]
    _check_needs(suite.needs or (), nodes, (*here, "needs"), notes)
    _check_patterns(suite.files, (*here, "files"), notes)
    _check_patterns(suite.exclude, (*here, "exclude"), notes)
    for tag, patterns in suite.tags.items():
        _check_patterns(patterns, (*here, "tags", tag), notes)


def _check_patterns(patterns: tuple[str, ...], here: Path, notes: Notes) -> None:
    for index, pattern in enumerate(patterns):
        if not pattern.strip() or pattern.startswith(("/", "~")) or ".." in PurePosixPath(pattern).parts:
            rule = "should be a pattern inside the checkout, such as tests/**/test_*.py"
            notes.say((*here, index), "C040", rule, "Patterns begin at the top of the repository, without /.")


def _check_farm(configuration: Configuration, notes: Notes) -> None:
    farm = configuration.farm
    if farm.engine == "buildbot" and not farm.url.startswith(("http://", "https://")):
        rule = "the address of the Buildbot master is missing"
        notes.say(("farm", "url"), "C044", rule, "`url: http://ci.example.com:8010`")
    if farm.password and not REFERENCE.match(farm.password):
        rule = "a password stands in the file itself"
        notes.say(
            ("farm", "password"), "C051", rule, "Write `password: secret:FARM`, and `secrets: {FARM: ...}`."
        )
