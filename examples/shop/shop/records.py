"""What the shop writes down about itself: access log, error log, and figures for `/metrics`."""

from __future__ import annotations

import re
import traceback
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path


class Logs:
    """`log/access.log`: time, method, path, status, milliseconds, customer, release. `log/error.log`: tracebacks."""

    def __init__(self, folder: Path, release: str) -> None:
        folder.mkdir(exist_ok=True)
        self._access = open(folder / "access.log", "a", buffering=1)
        self._error = open(folder / "error.log", "a", buffering=1)
        self._release = release

    def access(self, method: str, target: str, status: int, milliseconds: float, customer: str) -> None:
        self._access.write(
            f"{_now()} {_word(method)} {_word(target)} {status} {milliseconds:.1f} {_word(customer)} {self._release}\n"
        )

    def error(self, target: str, customer: str, exception: BaseException) -> None:
        text = "".join(traceback.format_exception(type(exception), exception, exception.__traceback__))
        self._error.write(f"{_now()} {_word(target)} {_word(customer)} {self._release}\n{text}")

    def close(self) -> None:
        self._access.close()
        self._error.close()


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
