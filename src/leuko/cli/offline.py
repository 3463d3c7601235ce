"""The store read directly, where no controller runs: the same views, the same answers. It writes nothing."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from leuko.clock import SystemClock
from leuko.domain.errors import LeukoError
from leuko.domain.line import Line
from leuko.store.store import Store
from leuko.web.outputs import Outputs
from leuko.web.verification import ordering
from leuko.web.views.builds import build_view, builds
from leuko.web.views.changes import change, changes
from leuko.web.views.culprits import culprit, culprits
from leuko.web.views.errors import DAY, errors
from leuko.web.views.hosts import hosts
from leuko.web.views.limits import limit_changes, limits
from leuko.web.views.locks import locks
from leuko.web.views.observations import observation, observations
from leuko.web.views.operations import operations
from leuko.web.views.push import push
from leuko.web.views.pushes import pushes
from leuko.web.views.quarantines import quarantines
from leuko.web.views.status import status
from leuko.web.views.tests import known_tests
from leuko.web.views.trends import trends
from leuko.web.views.why import why

_PATH = re.compile(r"/api/v1/lines(?:/(?P<application>[^/]+)/(?P<environment>[^/]+)/(?P<rest>.+))?")


@dataclass(frozen=True, slots=True)
class _Asked:
    """One question: what of it the views need."""

    store: Store
    outputs: Outputs
    line: Line
    parts: tuple[str, ...]
    query: Mapping[str, Any]

    @property
    def number(self) -> int:
        """The number in the path; 0, which nothing has, for anything else."""
        text = self.parts[1]
        return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0

    @property
    def limit(self) -> int:
        """How many rows."""
        return int(self.query.get("limit") or 20)


class Rows:
    """A store with an event loop of its own."""

    def __init__(self, address: Path | str, state: Path) -> None:
        self._clock = SystemClock()
        self._outputs = Outputs(state)
        self._runner = asyncio.Runner()
        try:
            self._store = self._runner.run(Store.open(address, self._clock))
        except BaseException:
            self._runner.close()
            raise

    @property
    def installation(self) -> str:
        """The store's own id, by which hosts know their controller."""
        return self._store.installation

    def close(self) -> None:
        """Lets go of the store."""
        try:
            self._runner.run(self._store.close())
        finally:
            self._runner.close()

    def get(self, path: str, **query: object) -> Any:
        """As the API answers the path."""
        return self._runner.run(self._get(path, query))

    def study(
        self,
        line: tuple[str, str],
        kind: str,
        arguments: Mapping[str, Any],
        progress: Callable[[int, int], None],
    ) -> dict[str, Any]:
        """What a controller would answer to such an intent, worked out here."""
        from leuko.runtime.studies import study

        return self._runner.run(study(self._store, Line(*line), kind, arguments, progress))

    async def _get(self, path: str, query: Mapping[str, Any]) -> Any:
        found = _PATH.fullmatch(path)
        assert found is not None
        if found["rest"] is None:
            known = await self._store.lines.all()
            return [{"application": line.application, "environment": line.environment} for line in known]
        line = Line(found["application"], found["environment"])
        known = await self._store.lines.all()
        if line not in known:
            names = ", ".join(str(each) for each in known[:10]) or "none yet"
            raise LeukoError(
                "this store has no such line", where=str(line), way_out=f"lines here: {names}", code="W001"
            )
        parts = tuple(found["rest"].split("/"))
        asked = _Asked(self._store, self._outputs, line, parts, query)
        answer = await _VIEWS[_shape(parts)](self, asked)
        if answer is None:
            raise LeukoError(
                "this line has no such thing, or it has expired",
                where=" ".join(parts),
                way_out="`leuko log`",
                code="W001",
            )
        return msgspec.to_builtins(answer, enc_hook=dict)

    # -- one a path, as in the API -----------------------------------------------------------------------

    async def _status(self, asked: _Asked) -> Any:
        return await status(asked.store, asked.line, self._clock.now(), asked.outputs)

    async def _push(self, asked: _Asked) -> Any:
        return await push(asked.store, asked.line, self._clock.now(), asked.number, asked.outputs)

    async def _pushes(self, asked: _Asked) -> Any:
        return await pushes(asked.store, asked.line, self._clock.now(), limit=asked.limit)

    async def _change(self, asked: _Asked) -> Any:
        return await change(asked.store, asked.line, self._clock.now(), asked.parts[1], asked.outputs)

    async def _changes(self, asked: _Asked) -> Any:
        return await changes(asked.store, asked.line, self._clock.now(), limit=asked.limit)

    async def _build(self, asked: _Asked) -> Any:
        return await build_view(asked.store, asked.line, asked.number, self._clock.now(), asked.outputs)

    async def _builds(self, asked: _Asked) -> Any:
        return await builds(asked.store, asked.line, self._clock.now(), limit=asked.limit)

    async def _tests(self, asked: _Asked) -> Any:
        said = {name: str(asked.query.get(name) or "") for name in ("text", "suite")}
        order = ordering(str(asked.query.get("order") or "name"))
        now = self._clock.now()
        return await known_tests(asked.store, asked.line, now, order, **said, limit=asked.limit)

    async def _quarantines(self, asked: _Asked) -> Any:
        return await quarantines(asked.store, asked.line, self._clock.now(), limit=asked.limit)

    async def _output(self, asked: _Asked) -> Any:
        steps = await asked.store.builds.steps(asked.line, asked.number)
        position = int(asked.parts[3])
        return await asked.outputs.whole(steps[position].output) if position < len(steps) else None

    async def _culprits(self, asked: _Asked) -> Any:
        return await culprits(asked.store, asked.line, limit=asked.limit)

    async def _culprit(self, asked: _Asked) -> Any:
        return await culprit(asked.store, asked.line, asked.number)

    async def _hosts(self, asked: _Asked) -> Any:
        return await hosts(asked.store, asked.line, self._clock.now())

    async def _locks(self, asked: _Asked) -> Any:
        return await locks(asked.store, asked.line, self._clock.now(), limit=asked.limit)

    async def _trends(self, asked: _Asked) -> Any:
        return await trends(asked.store, asked.line)

    async def _errors(self, asked: _Asked) -> Any:
        host, seconds = str(asked.query.get("host") or ""), float(asked.query.get("since") or DAY)
        return await errors(asked.store, asked.line, self._clock.now(), host=host, seconds=seconds)

    async def _limits(self, asked: _Asked) -> Any:
        return await limits(asked.store, asked.line)

    async def _limit_changes(self, asked: _Asked) -> Any:
        gauge = str(asked.query.get("gauge") or "")
        return await limit_changes(asked.store, asked.line, gauge=gauge, limit=asked.limit)

    async def _observations(self, asked: _Asked) -> Any:
        return await observations(asked.store, asked.line, limit=asked.limit)

    async def _observation(self, asked: _Asked) -> Any:
        return await observation(asked.store, asked.line, asked.number)

    async def _operations(self, asked: _Asked) -> Any:
        return await operations(asked.store, asked.line, self._clock.now(), limit=asked.limit)

    async def _events(self, asked: _Asked) -> Any:
        after = int(asked.query.get("after") or 0)
        found = await asked.store.events.after(asked.line, after, limit=asked.limit)
        return [
            {
                "number": event.number,
                "at": event.at,
                "kind": event.kind,
                "subject": event.subject,
                "data": dict(event.data),
            }
            for event in found
        ]

    async def _why(self, asked: _Asked) -> Any:
        about = str(asked.query.get("about") or "now")
        return await why(asked.store, asked.line, self._clock.now(), about, asked.outputs)


def _shape(parts: tuple[str, ...]) -> str:
    return "/".join(part if index % 2 == 0 else "*" for index, part in enumerate(parts))


_VIEWS: Mapping[str, Callable[[Rows, _Asked], Awaitable[Any]]] = MappingProxyType(
    {
        "status": Rows._status,  # noqa: SLF001 - the table of this very class
        "pushes": Rows._pushes,  # noqa: SLF001
        "pushes/*": Rows._push,  # noqa: SLF001
        "changes": Rows._changes,  # noqa: SLF001
        "changes/*": Rows._change,  # noqa: SLF001
        "builds": Rows._builds,  # noqa: SLF001
        "tests": Rows._tests,  # noqa: SLF001
        "quarantines": Rows._quarantines,  # noqa: SLF001
        "builds/*": Rows._build,  # noqa: SLF001
        "builds/*/steps/*/output": Rows._output,  # noqa: SLF001
        "culprits": Rows._culprits,  # noqa: SLF001
        "culprits/*": Rows._culprit,  # noqa: SLF001
        "hosts": Rows._hosts,  # noqa: SLF001
        "locks": Rows._locks,  # noqa: SLF001
        "trends": Rows._trends,  # noqa: SLF001
        "errors": Rows._errors,  # noqa: SLF001
        "limits": Rows._limits,  # noqa: SLF001
        "limits/*": Rows._limit_changes,  # noqa: SLF001
        "observations": Rows._observations,  # noqa: SLF001
        "observations/*": Rows._observation,  # noqa: SLF001
        "operations": Rows._operations,  # noqa: SLF001
        "events": Rows._events,  # noqa: SLF001
        "why": Rows._why,  # noqa: SLF001
    }
)
