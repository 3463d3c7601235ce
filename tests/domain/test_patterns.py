"""Glob patterns: any name, escaped, matches itself and nothing else."""

from __future__ import annotations

import glob

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from leuko.domain.patterns import Patterns


@pytest.mark.parametrize(
    "name", ["[x].py", "a*b.py", "[!x].py", "w?.py", "-r\n.py", "[[a&&b||c~~d]].py", "a[.py"]
)
def test_an_escaped_name_matches_itself(name):
    one = Patterns([f"/{glob.escape(name)}"])
    assert one.match(name.encode())
    assert not one.match(b"x" + name.encode())


@settings(deadline=None, max_examples=200)
@given(some.text(alphabet="ab[]!^-*?\\&|~.", min_size=1, max_size=12))
def test_any_escaped_name_matches_itself(name):
    assert Patterns([f"/{glob.escape(name)}"]).match(name.encode())


def test_sets_choose_characters():
    one = Patterns(["/t[a-c].py", "/u[!x].py"])
    assert [one.match(name) for name in (b"tb.py", b"td.py", b"ua.py", b"ux.py")] == [
        True,
        False,
        True,
        False,
    ]
