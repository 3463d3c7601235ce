from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from leuko.config.loading import parse
from leuko.config.proposal import Facts, application_name, look, propose
from leuko.domain.errors import LeukoError

QUICK = settings(deadline=None, max_examples=60)

KINDS = {
    "Python": (("requirements.txt", "app.py"), ["unit"], ".venv/bin/python -m pytest", ""),
    "Django": (("pyproject.toml", "manage.py"), ["unit"], ".venv/bin/python manage.py test", ""),
    "Node.js": (("package.json", "package-lock.json"), ["unit"], "npm test", "npm run --if-present build"),
    "PHP": (("composer.json", "artisan"), ["unit"], "php artisan test", "composer install --no-dev"),
    "Ruby": (("Gemfile", "spec/"), ["unit"], "bundle exec rspec", ""),
    "Go": (("go.mod",), ["vet", "unit"], "go test ./...", "go build -o bin/ ./..."),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_application(kind):
    files, tests, last, build = KINDS[kind]
    text = propose(Facts("shop", "git@example.com:shop.git", "/home/me/shop", "main", files))
    loaded = parse(text)
    assert f"It looks like {kind}." in text
    assert list(loaded.configuration.verify.tests) == tests
    assert list(loaded.configuration.verify.tests.values())[-1] == last
    assert loaded.configuration.release.build.startswith(build)
    assert [warning.code for warning in loaded.warnings] == ["W010", "W005", "W013"]


SUITES = {
    "pytest": (
        ("requirements.txt",),
        ("tests/test_cart.py", "tests/unit/test_it.py", "tests/old_test.py"),
        ".venv/bin/python -m pytest",
        ("tests/**/test_*.py", "tests/**/*_test.py"),
    ),
    "node": (
        ("package.json",),
        ("cart.test.js", "src/it.test.mjs"),
        "node --test",
        ("**/*.test.js", "**/*.test.mjs"),
    ),
    "phpunit": (
        ("composer.json",),
        ("tests/Unit/CartTest.php",),
        "vendor/bin/phpunit",
        ("tests/**/*Test.php",),
    ),
}


@pytest.mark.parametrize("runner", SUITES)
def test_tests_that_can_be_known_one_by_one_become_a_suite(runner):
    files, tests, command, patterns = SUITES[runner]
    text = propose(Facts("shop", "git@example.com:shop.git", files=files, tests=tests, node_tests=True))
    loaded = parse(text)
    suite = loaded.configuration.verify.suites["unit"]
    assert (suite.runner, suite.command, suite.files) == (runner, command, patterns)
    assert not loaded.configuration.verify.tests
    assert [warning.code for warning in loaded.warnings] == ["W010", "W005", "W013"]


def test_other_runners_stay_commands():
    node = Facts("shop", files=("package.json",), tests=("a.test.js",))
    assert list(parse(propose(node)).configuration.verify.tests.values()) == ["npm test"]
    pest = Facts("shop", files=("composer.json",), tests=("tests/ATest.php", "tests/Pest.php"))
    assert list(parse(propose(pest)).configuration.verify.tests.values()) == ["vendor/bin/phpunit"]
    django = Facts("shop", files=("manage.py",), tests=("shop/test_it.py",))
    assert list(parse(propose(django)).configuration.verify.tests.values()) == [
        ".venv/bin/python manage.py test"
    ]


async def test_files_of_tests_are_looked_for(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "odd name").mkdir()
    (tmp_path / "odd name" / "test_it.py").write_text("")
    (tmp_path / "package.json").write_text('{"scripts": {"test": "node --test"}}')
    (tmp_path / "requirements.txt").write_text("")
    facts = await look(tmp_path)
    assert facts.tests == ("odd name/test_it.py",)
    assert facts.node_tests
    assert parse(propose(facts)).configuration.verify.suites["unit"].files == ("**/test_*.py",)


def test_a_folder_of_php_files_is_checked_for_syntax():
    text = propose(Facts("shop", files=("inc/", "index.php")))
    configuration = parse(text).configuration
    assert "It looks like plain PHP" in text
    assert configuration.verify.tests == {"syntax": "find . -name '*.php' -print0 | xargs -0 -r -n1 php -l"}
    assert configuration.fleet.hooks.reload == "sudo systemctl reload php-fpm"
    assert configuration.fleet.hooks.stop == configuration.fleet.hooks.reload, "other sites live in it"


def test_what_is_commented_out_needs_only_its_marks_taken_away():
    text = propose(Facts("shop", files=("package.json",)))
    start, end = text.index("  # requests:"), text.index("# Who is told")
    bare = text[start:end].replace("  # ", "  ", 1).replace("\n  # ", "\n  ")
    loaded = parse(text[:start] + bare + text[end:])
    assert list(loaded.configuration.gauges) == ["cpu", "memory", "requests", "errors"]
    assert [warning.code for warning in loaded.warnings] == ["W010", "W005"]


def test_a_makefile_says_how_its_people_test():
    facts = Facts("shop", files=("Makefile", "package.json"), make_targets=("build", "test"))
    assert parse(propose(facts)).configuration.verify.tests == {"all": "make test"}
    assert (
        parse(propose(Facts("shop", files=("Makefile", "go.mod")))).configuration.verify.tests["vet"]
        == "go vet ./..."
    )


def test_what_is_not_known_is_never_green_by_itself():
    text = propose(Facts("shop", files=("README",)))
    assert parse(text).configuration.verify.tests == {"unit": "false"}
    assert "It was not clear how it is tested" in text


def test_it_is_pleasant_to_read():
    text = propose(Facts("shop", "git@example.com:shop.git", "/x", "main", ("package.json",)))
    assert max(len(line) for line in text.splitlines()) <= 110
    assert [line for line in text.splitlines() if line != line.rstrip()] == []
    assert "\n\n\n" not in text
    assert text.count("<-") == 4  # what it means, hosts, login, errors


@QUICK
@given(some.text(max_size=40), some.text(max_size=40), some.text(min_size=1, max_size=20))
def test_any_folder_and_remote_give_a_file_that_reads_back(name, remote, branch):
    text = propose(Facts(application_name(name), "x" + remote, branch="b" + branch))
    from leuko.config.tree import read

    tree = read(text, "leuko.yml")
    assert tree.problems == []
    assert tree.data["repository"] == "x" + remote
    assert tree.data["branch"] == "b" + branch


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("My Shop", "my-shop"),
        ("shop", "shop"),
        ("7up_2", "up-2"),
        ("", "application"),
        ("ÄÖ", "application"),
        ("a" * 99, "a" * 63),
    ],
)
def test_names_are_made_fit(text, name):
    assert application_name(text) == name


def git(folder, *words):
    subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True)


async def test_a_repository_is_looked_at(tmp_path):
    folder = tmp_path / "My Shop"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "trunk")
    (folder / "Makefile").write_text("X := 1\nall: test\ntest: ; true\n")
    (folder / "src").mkdir()
    facts = await look(folder / "src")
    assert facts == Facts("my-shop", "", str(folder), "trunk", (".git/", "Makefile", "src/"), ("all", "test"))
    git(folder, "remote", "add", "origin", "git@git.example.com:team/web-shop.git")
    facts = await look(folder)
    assert (facts.application, facts.remote) == ("web-shop", "git@git.example.com:team/web-shop.git")
    assert parse(propose(facts)).configuration.application == "web-shop"


async def test_a_folder_without_git_is_told(tmp_path):
    with pytest.raises(LeukoError, match="is not inside a git repository\n  Change into"):
        await look(tmp_path)


async def test_a_relative_path_is_looked_at(tmp_path, monkeypatch):
    (tmp_path / "shop").mkdir()
    git(tmp_path / "shop", "init", "-q", "-b", "main")
    monkeypatch.chdir(tmp_path)
    assert (await look(Path("shop"))).folder == str(tmp_path / "shop")
