"""How applications are usually tested, built and reloaded, by the language that they are written in."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

PYTHON_TESTS = r"(^|/)(test_[^/]*|[^/]*_test)\.py$"
NODE_TESTS = r"\.test\.(js|mjs|cjs)$"
PHP_TESTS = r"[^/]Test\.php$"


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
class Language:
    """How an application of one kind is usually tested, built and reloaded."""

    name: str
    setup: tuple[str, ...]
    tests: tuple[tuple[str, str], ...]
    build: str = ""
    reload: str = "sudo systemctl restart {application}"
    stop: str = "sudo systemctl stop {application}"
    service: str = ""
    """What to know about the service that is reloaded, as a remark."""
    exclude: tuple[str, ...] = ()
    prepare: str = ""
    """What a host usually has to do with a release before it can run, as a suggestion."""
    runner: str = ""
    """Of a suite, where its tests can be known one by one; `command` starts it."""
    command: str = ""
    named: str = ""
    """How its files of tests are called, as a regular expression of the name alone."""


def language(facts: Facts) -> Language:
    """What a repository is written in, most telling sign first; one without a name where nothing tells."""
    files = frozenset(facts.files)
    for signs, known in _LANGUAGES:
        if signs & files:
            kind = known(files)
            break
    else:
        kind = _PLAIN_PHP if any(name.endswith(".php") for name in files) else Language("", (), ())
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


def _python(files: frozenset[str]) -> Language:
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
    return Language(
        name, setup, (("unit", test),), exclude=(".venv/**",), prepare=prepare,
        runner=runner, command=test, named=PYTHON_TESTS,
    )  # fmt: skip


def _node(files: frozenset[str]) -> Language:
    if "pnpm-lock.yaml" in files:
        run, install = "pnpm", "pnpm install --frozen-lockfile"
    elif "yarn.lock" in files:
        run, install = "yarn", "yarn install --frozen-lockfile"
    else:
        run, install = "npm", "npm ci" if "package-lock.json" in files else "npm install"
    return Language(
        "Node.js",
        (install,),
        (("unit", f"{run} test"),),
        f"{run} run --if-present build" if run == "npm" else "",
        runner="node",
        command="node --test",
        named=NODE_TESTS,
    )


_PHP_FPM = "sudo systemctl reload php-fpm"
_FPM_NAME = "<- Debian names it after its version: php8.2-fpm"
_PLAIN_PHP = Language(
    "plain PHP; its syntax is checked, which is not much of a test: see `verify`",
    (),
    (("syntax", "find . -name '*.php' -print0 | xargs -0 -r -n1 php -l"),),
    reload=_PHP_FPM,
    stop=_PHP_FPM,
    service=_FPM_NAME,
)
"""A folder of files. php-fpm serves other sites too, so nothing stops it."""


def _php(files: frozenset[str]) -> Language:
    test = "php artisan test" if "artisan" in files else "vendor/bin/phpunit"
    setup = ("composer install --no-interaction --no-progress",)
    build = "composer install --no-dev --optimize-autoloader --no-interaction --no-progress"
    return Language(
        "PHP", setup, (("unit", test),), build, _PHP_FPM, _PHP_FPM, _FPM_NAME,
        runner="phpunit", command="vendor/bin/phpunit", named=PHP_TESTS,
    )  # fmt: skip


def _ruby(files: frozenset[str]) -> Language:
    setup = ("bundle config set --local path vendor/bundle", "bundle install --quiet")
    test = "bundle exec rspec" if "spec/" in files else "bundle exec rake test"
    build = "bundle exec rake assets:precompile" if "bin/" in files and "app/" in files else ""
    return Language("Ruby", setup, (("unit", test),), build)


def _go(_: frozenset[str]) -> Language:
    return Language("Go", (), (("vet", "go vet ./..."), ("unit", "go test ./...")), "go build -o bin/ ./...")


_LANGUAGES = (
    (frozenset({"composer.json"}), _php),
    (frozenset({"Gemfile"}), _ruby),
    (frozenset({"go.mod"}), _go),
    (frozenset({"pyproject.toml", "setup.py", "requirements.txt", "manage.py"}), _python),
    (frozenset({"package.json"}), _node),
)
