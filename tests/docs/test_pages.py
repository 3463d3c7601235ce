"""What the documentation says is so: links lead somewhere, commands parse, snippets load, words are in use."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from tests.docs.pages import ROOT, Block, blocks, commands, pages

from leuko.cli.main import cli
from leuko.config.loading import parse
from leuko.domain.push import State

_LINK = re.compile(r"(?<!!)\[[^\]]+\]\((?P<to>[^)\s]+)\)")
_CODE = re.compile(r"`(?P<text>[^`\n]+)`")
_FENCED = re.compile(r"^ *```.*?^ *```$", re.M | re.S)
_SHELL_END = re.compile(r"\s(?:#|&|\||;|>|<)(?:\s|$).*")


def names() -> list[str]:
    return [str(page.relative_to(ROOT)) for page in pages()]


def anchors(page: Path) -> set[str]:
    """As they are made from headings."""
    titles = re.findall(r"^#+ (.+)$", _FENCED.sub("", page.read_text()), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", names())
def test_links_lead_somewhere(name):
    page = ROOT / name
    wrong = []
    for found in _LINK.finditer(_FENCED.sub("", page.read_text())):
        path, _, anchor = found["to"].partition("#")
        if path.startswith(("http://", "https://")):
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            wrong.append(found["to"])
    assert wrong == []


def test_every_page_can_be_reached_from_the_index():
    index = ROOT / "docs" / "index.md"
    linked = {(index.parent / found["to"]).resolve() for found in _LINK.finditer(index.read_text())}
    assert [str(page) for page in pages() if "docs" in page.parts and page not in {*linked, index}] == []


def said_commands() -> Iterator[tuple[str, str]]:
    """(page, command line) of every `leuko ...` in code, inline or in a block."""
    for page in pages():
        name = str(page.relative_to(ROOT))
        text = page.read_text()
        for found in _CODE.finditer(_FENCED.sub("", text)):
            if found["text"].startswith("leuko "):
                yield name, found["text"]
        for block in blocks(page):
            lines = [command for command, _ in commands(block)] if block.word == "console" else []
            lines += block.text.splitlines() if block.word in ("", "sh") else []
            yield from ((name, line.strip()) for line in lines if re.match(r" *leuko [a-z]", line))
        for line in re.findall(r"^ {4}(leuko [a-z].*)$", _FENCED.sub("", text), re.M):
            yield name, line


def parsed(line: str) -> None:
    """Raises click's own errors for a command, option or argument that does not exist or does not fit."""
    words = shlex.split(_SHELL_END.sub("", line), comments=True)[1:]
    command: click.Command = cli
    context = click.Context(cli, info_name="leuko")
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        if found is None:
            raise click.UsageError(f"no command {words[0]!r}")
        command = found
        context = click.Context(command, info_name=words.pop(0), parent=context)
    if "--help" not in words and "--version" not in words and not isinstance(command, click.Group):
        for parameter in command.params:  # the files and folders of the examples are not here
            parameter.type = click.STRING if isinstance(parameter.type, click.Path) else parameter.type
        command.parse_args(context, words)


@pytest.fixture
def _untouched_types():
    """Puts back what `parsed` loosens."""
    commands_ = [*cli.commands.values()]
    commands_ += [
        sub for group in commands_ if isinstance(group, click.Group) for sub in group.commands.values()
    ]
    kept = [(parameter, parameter.type) for command in commands_ for parameter in command.params]
    yield
    for parameter, kind in kept:
        parameter.type = kind


@pytest.mark.usefixtures("_untouched_types")
def test_every_command_that_is_shown_exists():
    wrong, seen = [], 0
    for page, line in said_commands():
        if "[OPTIONS]" in line:
            continue  # a line of usage, in a page that is made from the commands themselves
        seen += 1
        try:
            parsed(line)
        except (click.ClickException, ValueError) as error:
            wrong.append(f"{page}: {line}: {error}")
    assert wrong == []
    assert seen > 60


def snippets() -> list[Block]:
    return [block for page in pages() for block in blocks(page) if block.word in ("yaml", "yml")]


@pytest.mark.parametrize("block", snippets(), ids=str)
def test_configuration_snippets_load(block):
    """A whole file loads; a piece that is marked `partial` loads once the required keys are there."""
    text = block.text
    if block.info == "partial":
        text = "application: shop\nrepository: .\n" + text
        text += "" if "fleet:" in block.text else "fleet: {roles: {www: [www1, www2]}}\n"
        if "fleet:" in block.text and "roles:" not in block.text:
            text = text.replace("fleet:\n", "fleet:\n  roles: {www: [www1, www2]}\n", 1)
    parse(text)


def test_the_glossary_has_the_words_that_the_code_uses():
    text = (ROOT / "docs" / "glossary.md").read_text()
    assert [state for state in State if state not in text] == []
    known = {word.strip() for row in re.findall(r"^\| ([^|]+) \|", text, re.M) for word in row.split(",")}
    for word in ("application", "revision", "change", "build", "release", "base", "fleet", "host", "role", "push",
                 "phase", "canary", "control", "hold-back", "gauge", "tick", "reading", "limit", "finding",
                 "verdict", "lock", "convicted", "intent"):  # fmt: skip
        assert word in known
    everything = " ".join(page.read_text().lower() for page in pages() if page.name != "glossary.md")
    assert [word for word in known if word not in everything and word not in ("word", "---")] == []


@pytest.mark.parametrize("name", names())
def test_nothing_of_one_machine_is_written_down(name):
    text = (ROOT / name).read_text()
    found = re.findall(re.escape(str(ROOT)), text)
    found += re.findall(r"/root/|/home/\w+|/tmp/(?!leuko-tutorial|leuko-demo)\w+", text)
    found += re.findall(r"\bT[O]DO\b|\bF[I]XME\b", text)
    assert found == []
