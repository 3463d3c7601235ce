"""Names of releases."""

from __future__ import annotations

import pytest
from tests.builders import revision

from leuko.domain.release import release_name, same_release

NAME = release_name(revision("a"), "0123456789abcdef")


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (NAME, True),
        (revision("a"), True),
        (revision("a")[:7], True),
        (revision("a")[:12], True),
        (release_name(revision("a"), "fedcba9876543210"), False),
        (revision("b"), False),
        ("", False),
    ],
)
def test_same_release(other: str, same: bool) -> None:
    assert same_release(NAME, other) is same
    assert same_release(other, NAME) is same
