"""The past out of servers that answer anything at all: numbers, holes, or a sentence why not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs

import numpy as np
import pytest

from leuko.domain.errors import LeukoError
from leuko.gauges.prometheus_range import PrometheusHistory, usual

TIMES = np.arange(1_000_000.0, 1_000_300.0, 15.0)


class Server(ThreadingHTTPServer):
    """Answers `answer`, or what `series` gives for the range asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        self.answer: tuple[int, bytes] = (200, b"")
        self.made = None
        self.asked: list[dict[str, list[str]]] = []
        super().__init__(("127.0.0.1", 0), Quiet)
        Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.server.asked.append(form)
        self._say(self.server.made(form) if self.server.made else self.server.answer)

    def do_GET(self) -> None:
        self._say(self.server.answer)

    def _say(self, answer: tuple[int, bytes]) -> None:
        self.send_response(answer[0])
        self.send_header("Content-Length", str(len(answer[1])))
        self.end_headers()
        self.wfile.write(answer[1])

    def log_message(self, *_) -> None:
        pass


class Quiet(Handler):
    """Whoever asked may have gone."""

    def handle(self) -> None:
        with suppress(ConnectionError):
            super().handle()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.shutdown()
    made.server_close()


def matrix(*series: tuple[dict[str, str], list[tuple[float, str]]]) -> bytes:
    result = [{"metric": labels, "values": values} for labels, values in series]
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}}).encode()


async def test_what_is_no_number_is_absent(server) -> None:
    said = [
        (1_000_000, "1.5"),
        (1_000_015, "NaN"),
        (1_000_030, "+Inf"),
        (1_000_045, "rubbish"),
        (1_000_060, "-2"),
        (1_000_060.4, "-3"),
        (999_000, "7"),
        (2_000_000, "8"),
    ]
    server.answer = (200, matrix(({"instance": "www1"}, said), ({"instance": "www2"}, [])))
    past = PrometheusHistory(server.url)
    one, two = await past.range("x", TIMES, lookback=30.0)
    assert one.labels == {"instance": "www1"}
    assert list(np.flatnonzero(np.isfinite(one.values))) == [0, 4]
    assert np.isnan(two.values).all()
    await past.close()


async def test_long_ranges_are_asked_for_piece_by_piece(server) -> None:
    def of_many(form: dict[str, list[str]]) -> tuple[int, bytes]:
        start, end, step = (float(form[name][0]) for name in ("start", "end", "step"))
        values = [(at, "1") for at in np.arange(start, end + 1, step)]
        return 200, matrix(*(({"instance": f"www{n}"}, values[:1]) for n in range(2000)))

    server.made = of_many
    times = np.arange(0.0, 30_000 * 15.0, 15.0)
    past = PrometheusHistory(server.url)
    found = await past.range("x", times[:600], lookback=30.0)
    assert len(found) == 2000
    pieces = [(float(form["end"][0]) - float(form["start"][0])) / 15 + 1 for form in server.asked]
    assert sum(pieces) == 600
    assert max(pieces) <= 200, "2,000 series times 200 points"
    assert server.asked[0]["lookback_delta"] == ["30s"]
    await past.close()


@pytest.mark.parametrize(
    ("status", "body", "rule"),
    [
        (200, b"<html>hello</html>", "nothing that Prometheus would say"),
        (200, b"", "nothing that Prometheus would say"),
        (200, b'{"status": "success"', "nothing that Prometheus would say"),
        (200, b"[" * 100_000, "nothing that Prometheus would say"),
        (200, b"\xff\xfe\x00", "nothing that Prometheus would say"),
        (
            200,
            b'{"status": "success", "data": {"resultType": "vector", "result": []}}',
            "not series over time",
        ),
        (200, b'{"status": "success", "data": 5}', "cannot be read"),
        (200, b'{"status": "success", "data": {"resultType": "matrix", "result": [1]}}', "cannot be read"),
        (
            422,
            b'{"status": "error", "errorType": "execution", "error": "too many"}',
            "422 execution: too many",
        ),
        (503, b"no", "answered 503"),
        (302, b"", "answered 302"),
    ],
)
async def test_what_is_no_answer_is_said(server, status: int, body: bytes, rule: str) -> None:
    server.answer = (status, body)
    past = PrometheusHistory(server.url)
    with pytest.raises(LeukoError, match=rule):
        await past.range("x", TIMES, lookback=30.0)
    await past.close()


async def test_a_server_that_says_nothing_is_given_up(server) -> None:
    ended = []

    def hang(_form) -> tuple[int, bytes]:
        import time

        time.sleep(0.6)
        ended.append(True)
        return 200, b""

    server.made = hang
    past = PrometheusHistory(server.url, timeout=0.2)
    with pytest.raises(LeukoError, match="no answer within"):
        await past.range("x", TIMES, lookback=30.0)
    await past.close()


async def test_an_address_that_is_none_holds_no_password_in_its_error() -> None:
    with pytest.raises(LeukoError, match="http://") as caught:
        PrometheusHistory("ftp://ann:secret@host")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("gap", "said"),
    [(14.998, 15.0), (15.9, 15.0), (61.0, 60.0), (25.0, 25.0), (0.2, 1.0), (0.0, 1.0), (1800.2, 1800.0)],
)
def test_scrapes_are_as_far_apart_as_somebody_will_have_said(gap: float, said: float) -> None:
    assert usual(gap) == said
