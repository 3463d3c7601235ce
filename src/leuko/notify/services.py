"""Telling by e-mail, chat or pager: whatever the Apprise library can reach."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Any

from leuko.domain.errors import LeukoError
from leuko.notify.port import Delivery, Hide, Message, hidden, plain

_PARTS = re.compile(r"[^/@:?&=#,]+")
_SHORTEST_SECRET = 6


class AddressError(LeukoError):
    """A notification address that Apprise does not understand, or no Apprise."""


class AppriseNotifier:
    """One Apprise address. Its parts are secrets: they appear in no reason."""

    def __init__(self, url: str, hide: Hide = plain, timeout: float = 30.0) -> None:
        self._hide = hide
        self._timeout = timeout
        self._secrets = _secrets(url)
        scheme = url.partition("://")[0] if "://" in url else "address"
        try:
            import apprise
        except ImportError:
            raise AddressError(
                "the library for notification addresses is not installed",
                where="notify.urls",
                way_out="pip install 'leuko[notify]', or use `notify.command`",
                code="N001",
            ) from None
        _keep_to_itself()
        self._target: Any = apprise.Apprise()
        if not self._target.add(url):
            raise AddressError(
                f"not a notification address ({scheme}://...)",
                where="notify.urls",
                way_out="see Apprise's list of services for how the address of yours is written",
                code="N002",
            )
        self._via = str(getattr(self._target[0], "service_name", None) or scheme)

    async def send(self, message: Message) -> Delivery:
        """Sends in a thread of its own: the library blocks."""
        told = hidden(message, self._hide)
        try:
            async with asyncio.timeout(self._timeout + 5.0):
                return await asyncio.to_thread(self._send, told)
        except TimeoutError:
            return Delivery(ok=False, via=self._via, reason=f"did not end within {self._timeout:g} s")
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything, and no push may stop for it
            return Delivery(ok=False, via=self._via, reason=self._masked(f"{type(error).__name__}: {error}"))

    def _send(self, message: Message) -> Delivery:
        said: list[str] = []
        result = self._target.notify(
            title=message.title,
            body=message.text or message.title,
            notify_type=message.tone.value,
            body_format="text",
            timeout=self._timeout,
            log_callback=lambda entry, _plugin: said.append(entry.message),
        )
        if result:
            return Delivery(ok=True, via=self._via)
        return Delivery(ok=False, via=self._via, reason=self._masked(said[-1] if said else "not delivered"))

    def _masked(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return self._hide(text)


def _keep_to_itself() -> None:
    """The library logs addresses with their secrets in them; what matters of it comes back as a reason."""
    log = logging.getLogger("apprise")
    log.propagate = False
    if not any(isinstance(way, logging.NullHandler) for way in log.handlers):
        log.addHandler(logging.NullHandler())  # without any, Python prints warnings to stderr


def _secrets(url: str) -> list[str]:
    """Every part of the address long enough to be one, longest first."""
    parts = {part for part in _PARTS.findall(url.partition("://")[2]) if len(part) >= _SHORTEST_SECRET}
    return [url, *sorted(parts, key=len, reverse=True)]
