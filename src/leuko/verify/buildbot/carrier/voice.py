"""What the carrier says, so that no log between here and Leuko cuts it.

Lines of at most 3,500 ASCII characters: `~NUMBER . KIND TEXT`, `+` instead of `.` where the text goes on in
the next line. KIND `c` is said by the carrier (JSON), `w` by the program that it runs (as it is), `W` the
same as a JSON string.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time

from .processes import BATCH, end_marked

WIDTH = 3500
BEAT_SECONDS = 5.0
MANY = 500
"""Lines that are not held back any longer."""


class Voice:
    """Numbered lines on standard output; whoever reads them knows when one is missing.

    They are written every `pace` seconds together: each write costs the master a transaction.
    """

    def __init__(self, pace: float) -> None:
        self._pace = pace
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._number = 0
        self._lines = []  # type: list[str]
        self._written = 0.0
        self.last = time.monotonic()

    def say(self, kind: str, text: str) -> None:
        """One message, in as many lines as it takes."""
        with self._lock:
            for begin in range(0, max(len(text), 1), WIDTH):
                more = "+" if begin + WIDTH < len(text) else "."
                self._lines.append("~%d %s %s %s\n" % (self._number, more, kind, text[begin : begin + WIDTH]))
                self._number += 1
            self.last = time.monotonic()
            full = len(self._lines) > MANY
        if full or (kind != "c" and self.last - self._written > self._pace):
            self.flush()  # the first result after a pause does not wait

    def flush(self) -> None:
        """Writes what was said."""
        with self._writing:
            with self._lock:
                lines, self._lines = self._lines, []
            if lines:
                self._written = time.monotonic()
                sys.stdout.write("".join(lines))
                sys.stdout.flush()

    def speak(self, parent: int, key: str) -> None:
        """Writes at the pace, beats while nothing is said; ends everything when whoever listens is gone."""
        while True:
            time.sleep(self._pace)
            try:
                if time.monotonic() - self.last > BEAT_SECONDS:
                    self.tell("beat")
                self.flush()
            except (OSError, ValueError):
                parent = 0
            if os.getppid() != parent:
                end_marked(BATCH, key)
                os._exit(70)

    def tell(self, what: str, **facts: object) -> None:
        """A message of this program."""
        self.say("c", json.dumps({"is": what, **facts}))

    def relay(self, raw: bytes) -> None:
        """A line of the program that it runs."""
        text = raw.decode("utf-8", "replace").rstrip("\n")
        if text.isascii() and text.isprintable():
            self.say("w", text)
        else:
            self.say("W", json.dumps(text))
