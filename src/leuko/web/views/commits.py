"""Commits as they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from leuko.domain.change import Commit


class CommitView(msgspec.Struct, frozen=True):
    """One commit."""

    revision: str
    subject: str
    author: str
    email: str
    at: datetime


def commit_views(commits: Sequence[Commit]) -> list[CommitView]:
    """In the same order."""
    return [
        CommitView(commit.revision, commit.subject, commit.author, commit.email, commit.committed_at)
        for commit in commits
    ]
