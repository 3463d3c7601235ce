"""Real servers of the kinds that gauges are read from: unprivileged, on loopback, in folders of their own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

DEADLINE = 30.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(done: Callable[[], object], what: str, seconds: float = DEADLINE) -> None:
    """Until it is done; whatever it raises meanwhile is not yet."""
    end = time.monotonic() + seconds
    while True:
        with suppress(Exception):
            if done():
                return
        if time.monotonic() > end:
            raise AssertionError(f"{what} was not ready within {seconds:g} s")
        time.sleep(0.03)


def account() -> str | None:
    """Servers that refuse to run as root run as nobody."""
    return "nobody" if os.getuid() == 0 else None


@contextmanager
def running(argv: Sequence[str], folder: Path, **more) -> Iterator[subprocess.Popen]:
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            argv, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **more
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def opened(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read()


def connects(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        return True


class Metrics(ThreadingHTTPServer):
    """What Prometheus scrapes: the text that `text` holds, or nothing while that is empty."""

    daemon_threads = True

    def __init__(self) -> None:
        self.text = ""
        super().__init__(("127.0.0.1", 0), _Exporter)
        self.port = self.server_address[1]
        Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


class _Exporter(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        text = self.server.text
        self.send_response(200 if text else 500)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_) -> None:
        pass


@dataclass
class Prometheus:
    """One that scrapes `metrics` every fifth of a second."""

    url: str
    metrics: Metrics
    process: subprocess.Popen


@contextmanager
def prometheus(folder: Path) -> Iterator[Prometheus]:
    metrics, port = Metrics(), free_port()
    config = folder / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 200ms, scrape_timeout: 200ms}\n"
        "scrape_configs:\n"
        f"- job_name: shop\n  honor_labels: true\n  static_configs: [{{targets: ['127.0.0.1:{metrics.port}']}}]\n"
    )
    argv = [
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    url = f"http://127.0.0.1:{port}"
    with running(argv, folder) as process:
        wait_for(lambda: opened(f"{url}/-/ready"), "prometheus")
        try:
            yield Prometheus(url, metrics, process)
        finally:
            metrics.shutdown()


@dataclass
class MariaDb:
    """A server with a database `shop`, open to whoever reaches its socket."""

    address: str
    folder: Path
    process: subprocess.Popen

    def run(self, statement: str) -> str:
        argv = [
            "mariadb",
            "--no-defaults",
            "-N",
            "-S",
            f"{self.folder}/socket",
            "-u",
            "leuko",
            "-psecret",
            "shop",
        ]
        return subprocess.run([*argv, "-e", statement], check=True, capture_output=True, text=True).stdout


@contextmanager
def mariadb(folder: Path) -> Iterator[MariaDb]:
    port, data = free_port(), folder / "data"
    user = account()
    if user:
        shutil.chown(folder, user)
    shared = ["--no-defaults", f"--datadir={data}", *([f"--user={user}"] if user else [])]
    subprocess.run(
        ["mariadb-install-db", *shared, "--auth-root-authentication-method=normal", "--skip-test-db"],
        check=True,
        capture_output=True,
    )
    first = folder / "first.sql"
    first.write_text(
        "CREATE DATABASE shop;\n"
        + "".join(
            f"CREATE USER leuko@'{host}' IDENTIFIED BY 'secret';\nGRANT ALL ON *.* TO leuko@'{host}';\n"
            for host in ("localhost", "127.0.0.1")
        )
    )
    first.chmod(0o644)
    argv = [
        "/usr/sbin/mariadbd",
        *shared,
        f"--socket={folder}/socket",
        f"--port={port}",
        "--bind-address=127.0.0.1",
        f"--init-file={first}",
        "--innodb-buffer-pool-size=16M",
        "--innodb-log-file-size=8M",
        "--skip-name-resolve",
        "--slow-query-log=1",
        f"--slow-query-log-file={folder}/slow.log",
        "--long-query-time=0.05",
    ]
    with running(argv, folder) as process:
        server = MariaDb(f"mysql://leuko:secret@127.0.0.1:{port}/shop", folder, process)
        wait_for(lambda: server.run("SELECT 1"), "mariadb")
        yield server


@dataclass
class Graphite:
    """carbon-cache and graphite-web: `send` writes a value, `url` renders it."""

    url: str
    carbon: int

    def send(self, path: str, value: float, at: float) -> None:
        with socket.create_connection(("127.0.0.1", self.carbon), timeout=5) as line:
            line.sendall(f"{path} {value} {int(at)}\n".encode())


_CARBON = """\
[cache]
STORAGE_DIR = {folder}
CONF_DIR = {folder}
LOG_DIR = {folder}
PID_DIR = {folder}
LOCAL_DATA_DIR = {folder}/whisper
WHITELISTS_DIR = {folder}
USER =
MAX_UPDATES_PER_SECOND = 10000
MAX_CREATES_PER_MINUTE = inf
LINE_RECEIVER_INTERFACE = 127.0.0.1
LINE_RECEIVER_PORT = {line}
PICKLE_RECEIVER_INTERFACE = 127.0.0.1
PICKLE_RECEIVER_PORT = {pickle}
CACHE_QUERY_INTERFACE = 127.0.0.1
CACHE_QUERY_PORT = {query}
ENABLE_LOGROTATION = False
CACHE_WRITE_STRATEGY = naive
ENABLE_TAGS = False
"""
_SETTINGS = """\
SECRET_KEY = "of a test"
STORAGE_DIR = CONF_DIR = LOG_DIR = "{folder}"
WHISPER_DIR = "{folder}/whisper"
INDEX_FILE = "{folder}/index"
CARBONLINK_HOSTS = ["127.0.0.1:{query}"]
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": "{folder}/graphite.db"}}}}
ALLOWED_HOSTS = ["*"]
TIME_ZONE = "UTC"
DEFAULT_CACHE_DURATION = 0
FIND_CACHE_DURATION = 0
LOG_RENDERING_PERFORMANCE = LOG_CACHE_PERFORMANCE = False
"""
_WEB = """\
import os
os.environ.update(DJANGO_SETTINGS_MODULE="graphite.settings", GRAPHITE_SETTINGS_MODULE="settings_of_test")
from wsgiref.simple_server import make_server
from django.core.wsgi import get_wsgi_application
make_server("127.0.0.1", {port}, get_wsgi_application()).serve_forever()
"""


@contextmanager
def graphite(folder: Path) -> Iterator[Graphite]:
    ports = {"line": free_port(), "pickle": free_port(), "query": free_port(), "port": free_port()}
    (folder / "carbon.conf").write_text(_CARBON.format(folder=folder, **ports))
    (folder / "storage-schemas.conf").write_text("[all]\npattern = .*\nretentions = 1s:1h\n")
    (folder / "settings_of_test.py").write_text(_SETTINGS.format(folder=folder, **ports))
    (folder / "web.py").write_text(_WEB.format(folder=folder, **ports))
    (folder / "whisper").mkdir()
    carbon = ["carbon-cache", f"--config={folder}/carbon.conf", "--nodaemon", "start"]
    url = f"http://127.0.0.1:{ports['port']}"
    system = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    with (
        running(carbon, folder, env=system),
        running(["/usr/bin/python3", "web.py"], folder, env=system),
    ):
        wait_for(lambda: connects(ports["line"]), "carbon")
        wait_for(lambda: opened(f"{url}/render?target=none&format=json"), "graphite-web")
        yield Graphite(url, ports["line"])


assert sys.platform.startswith("linux"), "Leuko's tests run on Linux"
