"""A notifier that keeps what it is given: for tests, and for an installation that tells nobody."""

from __future__ import annotations

from leuko.notify.port import Delivery, Hide, Message, hidden, plain


class RecordingNotifier:
    """Keeps messages; with `failing` set it delivers none and says so."""

    def __init__(self, hide: Hide = plain, failing: str = "") -> None:
        self.messages: list[Message] = []
        self.failing = failing
        self._hide = hide

    async def send(self, message: Message) -> Delivery:
        """Keeps it."""
        if self.failing:
            return Delivery(ok=False, via="recording", reason=self._hide(self.failing))
        self.messages.append(hidden(message, self._hide))
        return Delivery(ok=True, via="recording")
