"""What `leuko init` writes: a first leuko.yml for a repository, from what its files say about it."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

from leuko.config.languages import NODE_TESTS, PHP_TESTS, PYTHON_TESTS, Facts, Language, language
from leuko.config.programs import NotRunError, printed
from leuko.domain.errors import LeukoError

GIT_SECONDS = 20.0
_LOOKS_LIKE_TESTS = rf"{PYTHON_TESTS}|{NODE_TESTS}|{PHP_TESTS}|^tests/Pest\.php$"
_SHAPES = (
    ("test_*.py", r"(^|/)test_[^/]*\.py$"),
    ("*_test.py", r"_test\.py$"),
    ("*.test.js", r"\.test\.js$"),
    ("*.test.mjs", r"\.test\.mjs$"),
    ("*.test.cjs", r"\.test\.cjs$"),
    ("*Test.php", PHP_TESTS),
)
"""Patterns, and what they match."""
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.-]+/")
PLACEHOLDER_HOSTS = ("www1.example.com", "www2.example.com")


async def look(path: Path) -> Facts:
    """Reads what a repository says about itself. Raises LeukoError outside of one."""
    path = path.absolute()  # git is run in it: a relative path would be taken twice
    top = await _git(path, "rev-parse", "--show-toplevel")
    if not top:
        raise LeukoError(
            "is not inside a git repository",
            where=str(path),
            way_out="Change into your application's repository, or run `git init` first.",
        )
    folder = Path(top)
    remotes = (await _git(folder, "remote")).split()
    chosen = "origin" if "origin" in remotes else next(iter(remotes), "")
    remote = await _git(folder, "remote", "get-url", chosen) if chosen else ""
    head = await _git(folder, "symbolic-ref", "--short", f"refs/remotes/{chosen}/HEAD") if chosen else ""
    branch = (
        head.removeprefix(f"{chosen}/") or await _git(folder, "symbolic-ref", "--short", "HEAD") or "main"
    )
    files, targets = await asyncio.to_thread(_top_level, folder)
    name = re.sub(r"\.git/*$", "", remote.rstrip("/")).replace("\\", "/").replace(":", "/").rpartition("/")[2]
    tests = await _tests(folder)
    by_node = await asyncio.to_thread(_tested_by_node, folder)
    title = application_name(name or folder.name)
    return Facts(title, remote, str(folder), branch, files, targets, tests, by_node)


def application_name(text: str) -> str:
    """A text as a name that a configuration may have."""
    bare = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-").lstrip("0123456789-")[:63].rstrip("-")
    return bare or "application"


async def _git(folder: Path, *words: str) -> str:
    """One line of git's answer; empty when git says no."""
    try:
        result = await printed(("git", "-C", str(folder), *words), folder, seconds=GIT_SECONDS, most=1 << 20)
    except NotRunError as error:
        raise LeukoError(f"git {error}", where=str(folder), way_out="Is git installed?") from None
    return result.output.decode("utf-8", "replace").strip() if result.status == 0 else ""


async def _tests(folder: Path) -> tuple[str, ...]:
    """Files that git knows, or would, whose names are those of tests."""
    said = await _git(folder, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate")
    return tuple(path for path in said.split("\0") if re.search(_LOOKS_LIKE_TESTS, path))


def _tested_by_node(folder: Path) -> bool:
    try:
        text = (folder / "package.json").read_text("utf-8", "replace")[:1_000_000]
        script = json.loads(text)["scripts"]["test"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return isinstance(script, str) and re.match(r"node( -[^ ]+)* --test\b", script) is not None


def _top_level(folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    names = sorted(f"{entry.name}/" if entry.is_dir() else entry.name for entry in folder.iterdir())
    targets: list[str] = []
    for name in ("Makefile", "makefile", "GNUmakefile"):
        if name in names:
            text = (folder / name).read_text("utf-8", "replace")[:1_000_000]
            targets = re.findall(r"^([A-Za-z0-9_-]+):(?!=)", text, re.MULTILINE)
            break
    return tuple(names), tuple(dict.fromkeys(targets))


def propose(facts: Facts) -> str:
    """A commented leuko.yml. It loads as it is; what a person has to replace is marked `<-`."""
    kind = language(facts)
    repository = facts.remote or facts.folder or "."
    return _PAGE.format(
        application=facts.application,
        repository=_text(repository),
        branch=_text(facts.branch),
        looks=f"It looks like {kind.name}."
        if kind.name
        else "It was not clear how it is tested: see `verify`.",
        verify=_verify(kind, facts),
        release=_release(kind),
        hosts=", ".join(PLACEHOLDER_HOSTS),
        reload=_text(kind.reload.format(application=facts.application))
        + (f"   # {kind.service}" if kind.service else ""),
        prepare=_prepare(kind),
        stop=_text(kind.stop.format(application=facts.application)),
    )


def _verify(kind: Language, facts: Facts) -> str:
    lines = ["verify:"]
    if kind.setup:
        lines += ["  setup:", *(f"    - {_text(command)}" for command in kind.setup)]
    if kind.runner:
        lines += _suite(kind, facts)
    elif kind.tests:
        lines += ["  tests:", *(f"    {name}: {_text(command)}" for name, command in kind.tests)]
    else:
        lines += ["  tests:", '    unit: "false"   # <- your test command; until then no change is green']
    return "\n".join(lines)


def _suite(kind: Language, facts: Facts) -> list[str]:
    """The tests as a suite: each has a result of its own."""
    patterns = ", ".join(f'"{pattern}"' for pattern in _patterns(kind, facts))
    return [
        "  suites:",
        "    unit:",
        f"      runner: {kind.runner}",
        f"      command: {_text(kind.command)}",
        f"      files: [{patterns}]",
        '      # tags: {browser: ["tests/browser/**"]}',
    ]


def _patterns(kind: Language, facts: Facts) -> list[str]:
    """Patterns of the files of tests: below the one folder that has them all, else anywhere."""
    mine = [path for path in facts.tests if re.search(kind.named, path)]
    tops = {path.partition("/")[0] if "/" in path else "" for path in mine}
    top = f"{next(iter(tops))}/" if len(tops) == 1 and "" not in tops else ""
    if not _PLAIN_NAME.fullmatch(top):
        top = ""
    shapes = [shape for shape, expression in _SHAPES if any(re.search(expression, path) for path in mine)]
    return [f"{top}**/{shape}" for shape in shapes]


def _prepare(kind: Language) -> str:
    if not kind.prepare:
        return ""
    lines = (
        "    # On each host, once the release is there and before anything is switched:",
        f"    # after_stage: {_text(kind.prepare)}",
    )
    return "\n".join(lines) + "\n"


def _release(kind: Language) -> str:
    lines = ["release:"]
    lines += [f"  build: {_text(kind.build)}"] if kind.build else ["  # build: make assets"]
    exclude = ", ".join(_text(pattern) for pattern in kind.exclude)
    lines.append(f"  exclude: [{exclude}]")
    lines += [
        "  # What outlives a release (uploads, local settings) lies in shared/ on each host, linked in:",
        "  # linked_dirs: [uploads]",
        "  # linked_files: [config/local.ini]",
    ]
    return "\n".join(lines)


def _text(value: str) -> str:
    """A text as YAML reads it back: plain where that is safe, else in double quotes."""
    plain = re.fullmatch(r"[A-Za-z0-9./~_@][A-Za-z0-9 ./_@:=+*$-]*", value)
    word = value.strip().lower() in ("true", "false", "null", "yes", "no", "on", "off", "~")
    if plain and not word and ": " not in value and not value.endswith((":", " ")) and not _number(value):
        return value
    escaped = "".join(
        {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t"}.get(letter)
        or (letter if letter.isprintable() else f"\\U{ord(letter):08x}")
        for letter in value
    )
    return f'"{escaped}"'


def _number(value: str) -> bool:
    return re.fullmatch(r"[-+.0-9][-+._0-9a-fA-FxXoO:]*", value) is not None


_PAGE = """\
# {application}: what Leuko does with it. {looks}
# Places marked <- wait for you. `leuko check` says what is still missing; every key there is stands in
# examples/leuko.reference.yml and docs/reference/configuration.md.

application: {application}
environment: production
repository: {repository}
branch: {branch}

# Every change on the branch is checked out and tested like this. Green changes go live by themselves;
# `continuous: false` waits for `leuko push` instead.
{verify}

# Built once, in the tested checkout, then copied to every host.
{release}

fleet:
  root: /srv                      # the application lives in /srv/{application}/app on each host
  roles:
    www: [{hosts}]   # <- your servers; a range is www[01:20].example.com
  ssh:
    user: deploy                  # <- a login that may write below the root
  hooks:
{prepare}    # What makes the new release serve. `leuko check --hosts` prints the sudoers lines for it.
    reload: {reload}
    stop: {stop}
  # A host that does not answer this after its reload is taken back at once.
  # health:
  #   command: curl -fsS localhost:8080/health

push:
  phases:
    - hosts: 10%                  # the canaries, at least one host of each role
      watch: 1m
    - hosts: 100%
      watch: 5m

# What a push is judged by, before against after and canaries against the rest. Every server has these two.
# They show a server in trouble, and nothing of what customers meet: a release that answers everybody with an
# error would pass. So uncomment `requests` and `errors`; `leuko check --hosts` looks for access logs there.
gauges:
  cpu:
    kind: level
    unit: "%"
    host: {{figure: cpu}}
  memory:
    kind: level
    unit: bytes
    host: {{figure: memory}}
  # requests:                     # <- what your customers feel: worth more than any figure of the machine
  #   kind: count
  #   direction: down
  #   log: {{file: /var/log/nginx/access.log, match: "."}}
  # errors:
  #   kind: ratio
  #   required: false             # nobody asked, nothing failed: `requests` sees that
  #   log:
  #     file: /var/log/nginx/access.log
  #     match: '" 5[0-9][0-9] '
  #     of: '" [0-9]{{3}} '
  #   limits:
  #     - above: 0.05             # never more than 5 % errors on a server

# Who is told when a push is rolled back or held: any address that Apprise knows.
# notify:
#   urls: [secret:CHAT]
# secrets:
#   CHAT: {{env: CHAT_URL}}
"""
