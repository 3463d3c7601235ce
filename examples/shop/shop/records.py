"""What the shop writes down about itself: access log, error log, and figures for `/metrics`."""

from __future__ import annotations

import re
import sys
import traceback
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path
from typing import BinaryIO


class Logs:
    """`log/access.log`: time, method, path, status, milliseconds, customer, release. `log/error.log`: tracebacks."""

    def __init__(self, folder: Path, release: str) -> None:
        folder.mkdir(exist_ok=True)
        self._access = open(folder / "access.log", "ab", buffering=0)
        self._error = open(folder / "error.log", "ab", buffering=0)
        self._release = release

    def access(self, method: str, target: str, status: int, milliseconds: float, customer: str) -> None:
        asked = f"{_word(method)} {_word(target)} {status} {milliseconds:.1f} {_word(customer)}"
        _append(self._access, f"{_now()} {asked} {self._release}\n")

    def error(self, target: str, customer: str, exception: BaseException) -> None:
        text = "".join(traceback.format_exception(type(exception), exception, exception.__traceback__))
        _append(self._error, f"{_now()} {_word(target)} {_word(customer)} {self._release}\n{text}")

    def close(self) -> None:
        self._access.close()
        self._error.close()


def _append(log: BinaryIO, text: str) -> None:
    try:
        log.write(text.encode())
    except OSError as error:  # a full disk must not keep customers from their answer
        print(f"log not written: {error.strerror}", file=sys.stderr)


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _word(text: str) -> str:
    """One word of a log line, whatever a customer sent."""
    return re.sub(r"[^!-~]", "?", text)[:200] or "-"


class Metrics:
    """Counts since this process began."""

    def __init__(self) -> None:
        self.requests: Counter[int] = Counter()
        self.orders = 0
        self.seconds = 0.0

    def request(self, status: int, seconds: float) -> None:
        self.requests[status] += 1
        self.seconds += seconds

    def text(self) -> str:
        """As Prometheus reads it."""
        lines = ["# TYPE requests_total counter"]
        lines += [f'requests_total{{code="{code}"}} {count}' for code, count in sorted(self.requests.items())]
        lines += ["# TYPE orders_total counter", f"orders_total {self.orders}"]
        lines += [
            "# TYPE request_seconds summary",
            f"request_seconds_sum {self.seconds:.6f}",
            f"request_seconds_count {sum(self.requests.values())}",
        ]
        return "\n".join(lines) + "\n"
