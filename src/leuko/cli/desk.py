"""Where a command asks about one line: a controller, or for reading alone the store itself."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, cast
from urllib.parse import quote

from leuko.cli.client import BASE, SOCKET, WAIT, Client
from leuko.cli.failures import NoController, from_server
from leuko.cli.scene import CONFIGURATION, Scene
from leuko.domain.errors import LeukoError

if TYPE_CHECKING:
    from leuko.cli.offline import Rows

DATABASE = "LEUKO_DATABASE"
APPEARING_SECONDS = 20.0
STUDY_WAIT = 2.0
"""Seconds after which a long answer is asked for again and again."""


class Source(Protocol):
    """Answers paths below `/api/v1/lines` with plain values."""

    def get(self, path: str, **query: object) -> Any:
        """The value of a path."""
        ...

    def close(self) -> None:
        """Lets go."""
        ...


class Researcher(Protocol):
    """A source that can answer long questions about the past by itself."""

    def study(
        self,
        line: tuple[str, str],
        kind: str,
        arguments: Mapping[str, Any],
        progress: Callable[[int, int], None],
    ) -> dict[str, Any]:
        """The answer to an intent that changes nothing."""
        ...


class Desk:
    """One line at a source. `client` is None where only the store is there."""

    def __init__(self, source: Source, line: tuple[str, str], client: Client | None) -> None:
        self._source = source
        self._client = client
        self.line = line
        self.name = "/".join(line)
        self._path = f"{BASE}/{quote(line[0], safe='')}/{quote(line[1], safe='')}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._source.close()

    @property
    def live(self) -> bool:
        """True when a controller answers."""
        return self._client is not None

    @property
    def client(self) -> Client:
        """The controller; only for commands that were given one."""
        assert self._client is not None
        return self._client

    def get(self, path: str, **query: object) -> Any:
        """What the API says at a path of this line."""
        return self._source.get(f"{self._path}/{path}", **query)

    def text(self, path: str) -> str:
        """Plain text at a path of this line."""
        if self._client is not None:
            return self._client.text(f"{self._path}/{path}")
        return str(self._source.get(f"{self._path}/{path}"))

    def wish(
        self,
        kind: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        why: str = "",
        push: Mapping[str, Any] | None = None,
        wait: float = WAIT,
    ) -> dict[str, Any]:
        """Asks the controller for something; its answer. Refusals are raised."""
        body: dict[str, Any] = {"kind": kind, "why": why, "arguments": dict(arguments or {})}
        if push is not None:
            body |= {"push": push["number"], "seen_state": push["state"], "seen_version": push["version"]}
        status, said = self.client.post(f"{self._path}/intents", body, wait)
        if status == 202:
            raise NoController(
                f"has not answered within {wait:.0f} s; it may still do what was asked",
                where=f"intent {said.get('id')}",
                way_out="`leuko status` shows whether it did",
                code="X013",
            )
        answer: dict[str, Any] = said.get("answer") or {}
        return answer

    def study(
        self, kind: str, arguments: Mapping[str, Any], progress: Callable[[int, int], None]
    ) -> dict[str, Any]:
        """The answer to a long question about the past: the controller's, or worked out from the store."""
        if self._client is None:
            return cast("Researcher", self._source).study(self.line, kind, arguments, progress)
        body = {"kind": kind, "arguments": dict(arguments)}
        status, said = self._client.post(f"{self._path}/intents", body, STUDY_WAIT)
        asked = 1
        while status == 202 and said.get("state") == "waiting":
            asked += 1
            progress(asked, 0)
            time.sleep(1.0)
            said = self._client.get(f"{self._path}/intents/{said['id']}")
        if said.get("state") != "accepted":
            raise from_server(409, said)
        answer: dict[str, Any] = said.get("answer") or {}
        return answer

    @property
    def stream_path(self) -> str:
        """Of the events."""
        return f"{self._path}/stream"


def acting(scene: Scene) -> Desk:
    """A line at a controller; one is started where none runs."""
    client, started = _client(scene), False
    if client is None:
        started = True
        client = _start(scene)
    try:
        named = scene.named()
        if started and named is not None:
            _await_line(client, named)
        return Desk(client, _line(client, named), client)
    except BaseException:
        client.close()
        raise


def answering(scene: Scene) -> Desk | None:
    """A line at a controller that is there; None where none runs."""
    client = _client(scene)
    if client is None:
        return None
    try:
        return Desk(client, _line(client, scene.named()), client)
    except BaseException:
        client.close()
        raise


def reading(scene: Scene) -> Desk:
    """A line at a controller, or at the store with a remark that nobody acts."""
    client = _client(scene)
    if client is not None:
        try:
            return Desk(client, _line(client, scene.named()), client)
        except BaseException:
            client.close()
            raise
    rows = _rows(scene)
    try:
        desk = Desk(rows, _line(rows, scene.named()), None)
        scene.say(nobody_acts(desk.get("status")))
    except BaseException:
        rows.close()
        raise
    return desk


def nobody_acts(status: Mapping[str, Any]) -> str:
    """For whoever reads the store of a controller that is not there."""
    serving = status["serving"]
    since = str(serving.get("expires_at") or "")[:19].replace("T", " ")
    heard = f" since {since} UTC" if since else ""
    return f"No controller is running{heard}: this is what the store says. Start one with `leuko serve`."


def _client(scene: Scene) -> Client | None:
    from leuko.cli.serve import answers

    if scene.remote:
        return Client.on_url(scene.url, scene.token)
    state = scene.state
    if not state.is_dir() or not answers(state / SOCKET):
        return None
    return Client.on_socket(state)


def _start(scene: Scene) -> Client:
    from leuko.cli import serve
    from leuko.cli.background import start_detached

    if not scene.config.exists():
        raise NoController(
            f"no controller answers in {scene.state}, and there is no {scene.config} to start one with",
            where=str(scene.state),
            way_out=f"go to the folder of your {CONFIGURATION}, name it with --config, or name a running "
            "controller with --state or --url; `leuko init` writes a first one",
            code="X014",
        )
    scene.say("No controller is running: starting one ...")
    listen = serve.LISTEN if not _taken(serve.LISTEN) else "127.0.0.1:0"
    start_detached(
        [scene.config],
        state=scene.state,
        environment=scene.environment,
        database=os.environ.get(DATABASE, ""),
        listen=listen,
    )
    scene.say(
        f"Started `leuko serve` in the background{_address(scene.state)}. "
        f"`{stop_command(scene)}` ends it; its log is {scene.state / serve.LOG}."
    )
    return Client.on_socket(scene.state)


def stop_command(scene: Scene) -> str:
    """How the controller of this scene is ended."""
    given = f" --state {scene.state_given}" if scene.state_given else ""
    given += f" --config {scene.config}" if scene.config_given and not scene.state_given else ""
    return f"leuko serve --stop{given}"


def _address(state: Path) -> str:
    try:
        return f", console at {(state / 'address').read_text().strip()}"
    except OSError:
        return ""


def _taken(listen: str) -> bool:
    import socket

    host, _, port = listen.rpartition(":")
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((host, int(port))) == 0


def _rows(scene: Scene) -> Rows:
    from leuko.cli.offline import Rows

    database = os.environ.get(DATABASE, "")
    if not database and not (scene.state / "leuko.sqlite").exists():
        raise NoController(
            "no controller answers here, and none ever ran",
            where=str(scene.state),
            way_out="start one with `leuko serve`; or name another with --config, --state or --url",
            code="X014",
        )
    return Rows(database or scene.state / "leuko.sqlite", scene.state)


def _await_line(client: Client, named: tuple[str, str]) -> None:
    """A controller that has just begun needs a moment until its line is in the store."""
    until = time.monotonic() + APPEARING_SECONDS
    while time.monotonic() < until:
        if any(_fits(line, named) for line in known_lines(client)):
            return
        time.sleep(0.05)


def known_lines(source: Source) -> list[tuple[str, str]]:
    """Lines that the source has."""
    return [(line["application"], line["environment"]) for line in source.get(BASE)]


def _line(source: Source, named: tuple[str, str] | None) -> tuple[str, str]:
    """The line that options and configuration name; else the only one."""
    if named is not None and all(named):
        return named  # the source itself says when it has no such line
    known = known_lines(source)
    fitting = [line for line in known if named is None or _fits(line, named)]
    if len(fitting) == 1:
        return fitting[0]
    raise _which(known, fitting, named)


def _fits(line: tuple[str, str], named: tuple[str, str]) -> bool:
    return all(not want or want == have for want, have in zip(named, line, strict=True))


def _which(
    known: Sequence[tuple[str, str]], fitting: Sequence[tuple[str, str]], named: tuple[str, str] | None
) -> LeukoError:
    shown = ", ".join("/".join(line) for line in (fitting or known)[:20]) or "none yet"
    if not fitting:
        wanted = "/".join(part or "*" for part in named) if named else "a line"
        return LeukoError(
            f"there is no {wanted}", where="--line", way_out=f"lines here: {shown}", code="X015"
        )
    return LeukoError(
        "there are several lines: say which",
        where="--line",
        way_out=f"--line {'/'.join(fitting[0])}, for example; lines here: {shown}",
        code="X015",
    )
