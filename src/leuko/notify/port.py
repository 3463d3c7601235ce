"""The port to whoever is told: a message goes out, or the reason why not comes back. Nothing is raised."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

Hide = Callable[[str], str]
"""Takes secrets out of a text."""


class Tone(StrEnum):
    """How the message is meant, for services that colour it."""

    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Message:
    """What is told. `event` is one of configuration's `notify.on`; `line` is `application/environment`."""

    event: str
    line: str
    title: str
    body: str
    tone: Tone = Tone.INFO
    url: str = ""

    @property
    def text(self) -> str:
        """Body, and where to read on."""
        return f"{self.body}\n\n{self.url}" if self.url else self.body


@dataclass(frozen=True, slots=True)
class Delivery:
    """Whether it went out; `via` names the service without its secrets."""

    ok: bool
    via: str
    reason: str = ""


class Notifier(Protocol):
    """One way to tell people. Cancellation is the only exception that leaves `send`."""

    async def send(self, message: Message) -> Delivery:
        """Sends, within a time limit of its own."""
        ...


def plain(text: str) -> str:
    """The text as it is."""
    return text


def hidden(message: Message, hide: Hide) -> Message:
    """The message without secrets."""
    return replace(message, title=hide(message.title), body=hide(message.body), url=hide(message.url))


async def send_all(notifiers: Sequence[Notifier], message: Message) -> list[Delivery]:
    """Sends by every way at once; one that fails holds up none of the others."""
    return list(await asyncio.gather(*(notifier.send(message) for notifier in notifiers)))
