"""What `leuko init` writes: a first leuko.yml for a repository, from what its files say about it."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

from leuko.config.programs import NotRunError, printed
from leuko.domain.errors import LeukoError

GIT_SECONDS = 20.0
_PYTHON_TESTS = r"(^|/)(test_[^/]*|[^/]*_test)\.py$"
_NODE_TESTS = r"\.test\.(js|mjs|cjs)$"
_PHP_TESTS = r"[^/]Test\.php$"
_LOOKS_LIKE_TESTS = rf"{_PYTHON_TESTS}|{_NODE_TESTS}|{_PHP_TESTS}|^tests/Pest\.php$"
_SHAPES = (
    ("test_*.py", r"(^|/)test_[^/]*\.py$"),
    ("*_test.py", r"_test\.py$"),
    ("*.test.js", r"\.test\.js$"),
    ("*.test.mjs", r"\.test\.mjs$"),
    ("*.test.cjs", r"\.test\.cjs$"),
    ("*Test.php", _PHP_TESTS),
)
"""Patterns, and what they match."""
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.-]+/")
PLACEHOLDER_HOSTS = ("www1.example.com", "www2.example.com")


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found in a repository."""

    application: str
    remote: str = ""
    """Address git fetches from; empty when it has none."""
    folder: str = ""
    """Absolute path of the checkout: what stands in for a remote that is not there."""
    branch: str = "main"
    files: tuple[str, ...] = ()
    """Names at the top level; folders end with /."""
    make_targets: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    """Paths of files that look like tests, as many as git knows."""
    node_tests: bool = False
    """`npm test` is `node --test`."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """How an application of one kind is usually tested, built and reloaded."""

    name: str
    setup: tuple[str, ...]
    tests: tuple[tuple[str, str], ...]
    build: str = ""
    reload: str = "sudo systemctl restart {application}"
    exclude: tuple[str, ...] = ()
    prepare: str = ""
    """What a host usually has to do with a release before it can run, as a suggestion."""
    runner: str = ""
    """Of a suite, where its tests can be known one by one; `command` starts it."""
    command: str = ""
    named: str = ""
    """How its files of tests are called, as a regular expression of the name alone."""


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
    kind = _kind(facts)
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
        reload=_text(kind.reload.format(application=facts.application)),
        prepare=_prepare(kind),
        stop=_text(f"sudo systemctl stop {facts.application}"),
    )


def _verify(kind: _Kind, facts: Facts) -> str:
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


def _suite(kind: _Kind, facts: Facts) -> list[str]:
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


def _patterns(kind: _Kind, facts: Facts) -> list[str]:
    """Patterns of the files of tests: below the one folder that has them all, else anywhere."""
    mine = [path for path in facts.tests if re.search(kind.named, path)]
    tops = {path.partition("/")[0] if "/" in path else "" for path in mine}
    top = f"{next(iter(tops))}/" if len(tops) == 1 and "" not in tops else ""
    if not _PLAIN_NAME.fullmatch(top):
        top = ""
    shapes = [shape for shape, expression in _SHAPES if any(re.search(expression, path) for path in mine)]
    return [f"{top}**/{shape}" for shape in shapes]


def _prepare(kind: _Kind) -> str:
    if not kind.prepare:
        return ""
    lines = (
        "    # On each host, once the release is there and before anything is switched:",
        f"    # after_stage: {_text(kind.prepare)}",
    )
    return "\n".join(lines) + "\n"


def _release(kind: _Kind) -> str:
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


def _kind(facts: Facts) -> _Kind:
    files = frozenset(facts.files)
    for signs, known in _KINDS:
        if signs & files:
            kind = known(files)
            break
    else:
        kind = _Kind("", (), ())
    if not any(kind.named and re.search(kind.named, path) for path in facts.tests):
        kind = replace(kind, runner="")
    if kind.runner == "node" and not facts.node_tests:
        kind = replace(kind, runner="")
    if kind.runner == "phpunit" and "tests/Pest.php" in facts.tests:
        kind = replace(kind, runner="")
    if "test" in facts.make_targets:
        name = f"{kind.name} with a Makefile" if kind.name else "something with a Makefile"
        return replace(kind, name=name, setup=(), tests=(("all", "make test"),), runner="")
    return kind


def _python(files: frozenset[str]) -> _Kind:
    if "uv.lock" in files:
        setup: tuple[str, ...] = ("uv sync --frozen",)
    elif "poetry.lock" in files:
        setup = ("poetry config --local virtualenvs.in-project true", "poetry install --no-interaction")
    else:
        wanted = "-r requirements.txt" if "requirements.txt" in files else "-e ."
        setup = ("python3 -m venv .venv", f".venv/bin/pip install --quiet pytest {wanted}")
    if "manage.py" in files:
        name, test = "Django", ".venv/bin/python manage.py test"
    else:
        name, test = "Python", ".venv/bin/python -m pytest"
    prepare = " && ".join(setup).replace("pytest ", "")
    runner = "" if name == "Django" else "pytest"  # Django's own runner makes the database
    return _Kind(
        name, setup, (("unit", test),), exclude=(".venv/**",), prepare=prepare,
        runner=runner, command=test, named=_PYTHON_TESTS,
    )  # fmt: skip


def _node(files: frozenset[str]) -> _Kind:
    if "pnpm-lock.yaml" in files:
        run, install = "pnpm", "pnpm install --frozen-lockfile"
    elif "yarn.lock" in files:
        run, install = "yarn", "yarn install --frozen-lockfile"
    else:
        run, install = "npm", "npm ci" if "package-lock.json" in files else "npm install"
    return _Kind(
        "Node.js",
        (install,),
        (("unit", f"{run} test"),),
        f"{run} run --if-present build" if run == "npm" else "",
        runner="node",
        command="node --test",
        named=_NODE_TESTS,
    )


def _php(files: frozenset[str]) -> _Kind:
    test = "php artisan test" if "artisan" in files else "vendor/bin/phpunit"
    setup = ("composer install --no-interaction --no-progress",)
    build = "composer install --no-dev --optimize-autoloader --no-interaction --no-progress"
    return _Kind(
        "PHP", setup, (("unit", test),), build, "sudo systemctl reload php-fpm",
        runner="phpunit", command="vendor/bin/phpunit", named=_PHP_TESTS,
    )  # fmt: skip


def _ruby(files: frozenset[str]) -> _Kind:
    setup = ("bundle config set --local path vendor/bundle", "bundle install --quiet")
    test = "bundle exec rspec" if "spec/" in files else "bundle exec rake test"
    build = "bundle exec rake assets:precompile" if "bin/" in files and "app/" in files else ""
    return _Kind("Ruby", setup, (("unit", test),), build)


def _go(_: frozenset[str]) -> _Kind:
    return _Kind("Go", (), (("vet", "go vet ./..."), ("unit", "go test ./...")), "go build -o bin/ ./...")


_KINDS = (
    (frozenset({"composer.json"}), _php),
    (frozenset({"Gemfile"}), _ruby),
    (frozenset({"go.mod"}), _go),
    (frozenset({"pyproject.toml", "setup.py", "requirements.txt", "manage.py"}), _python),
    (frozenset({"package.json"}), _node),
)


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

# What a push is judged by, before against after and canaries against the rest.
gauges:
  load:
    kind: level
    host: {{figure: load}}
  # errors:                       # <- what your customers feel: worth more than any figure of the machine
  #   kind: ratio
  #   log:
  #     file: /var/log/nginx/access.log
  #     match: '" 5[0-9][0-9] '
  #     of: '" [0-9]{{3}} '
  #   limits:
  #     - above: 0.05             # never more than 5 % errors on a host

# Who is told when a push is rolled back or held: any address that Apprise knows.
# notify:
#   urls: [secret:CHAT]
# secrets:
#   CHAT: {{env: CHAT_URL}}
"""
