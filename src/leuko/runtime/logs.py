"""Reads the hosts' logs when somebody asks: recent errors and slow queries, over the open connections."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from leuko.domain.errors import LeukoError, Refused
from leuko.domain.intent import Intent, IntentKind
from leuko.gauges.slow import LINES, Format, SlowQuery, grouped, slow_queries
from leuko.gauges.source import Start, Target
from leuko.gauges.tails import LogLine, Tail, lines_of, newest, tail_argv
from leuko.runtime.gauging import targets_of
from leuko.runtime.ground import Ground

AT_ONCE = 64
SECONDS = 8.0
"""Longest time of one log."""
SHOWN = 200
GROUPS = 100
TROUBLES = 20
LONGEST = timedelta(days=7)
KEPT = timedelta(minutes=15)
"""How long what was read stays in the store: it is large, and soon old."""
WIDE = 4000
"""Bytes of one line of a slow log."""


@dataclass
class Logs:
    """Of one line."""

    ground: Ground
    start: Start

    def __post_init__(self) -> None:
        self._room = asyncio.Semaphore(AT_ONCE)

    async def read(self, intent: Intent) -> Mapping[str, Any]:
        """The answer to an intent: `what` is errors or slow. Raises Refused."""
        asked = intent.arguments
        targets = self._targets(str(asked.get("host") or ""))
        now = self.ground.clock.now()
        seconds = float(asked.get("since") or 600.0)
        since = now - min(LONGEST, timedelta(seconds=max(1.0, seconds)))
        async with self.ground.write() as tx:
            await self.ground.store.intents.forget(tx, IntentKind.READ, now - KEPT)
        if asked.get("what") == "slow":
            return await self._slow(targets, since, now)
        return await self._errors(targets, since, now)

    def _targets(self, host: str) -> list[Target]:
        targets = targets_of(self.ground.configuration, self.ground.hosts)
        if not host:
            return targets
        found = [target for target in targets if target.name == host]
        if not found:
            raise Refused(
                f'there is no host "{host[:80]}"',
                where=str(self.ground.line),
                way_out="`leuko hosts` lists them",
                code="P044",
            )
        return found

    # --- errors ----------------------------------------------------------------------------------------

    async def _errors(self, targets: Sequence[Target], since: datetime, now: datetime) -> Mapping[str, Any]:
        wanted = self._error_logs()
        if not wanted:
            raise Refused(
                "no gauge says which log lines are errors",
                where=str(self.ground.line),
                way_out="give a gauge of errors `log: {..., templates: true}`",
                code="P045",
            )
        asked = [(t, Tail(*log)) for t in targets for log, roles in wanted.items() if _reads(t, roles)]
        found, troubles = await self._read_all(asked, now)
        lines = newest([line for _, lines in found for line in lines], since, SHOWN)
        mask = self.ground.secrets.mask
        return _answer(
            "errors",
            since,
            len(asked),
            troubles,
            lines=[{"host": one.host, "at": _text(one.at), "text": mask(one.text)} for one in lines],
        )

    def _error_logs(self) -> dict[tuple[str, str], frozenset[str]]:
        """(file, expression) -> roles, none for all: of gauges with templates."""
        found: dict[tuple[str, str], frozenset[str]] = {}
        for gauge in self.ground.configuration.gauges.values():
            if gauge.log is not None and gauge.log.templates:
                key = (gauge.log.file, gauge.log.match)
                everywhere = not gauge.roles or (key in found and not found[key])
                found[key] = frozenset() if everywhere else found.get(key, frozenset()) | set(gauge.roles)
        return found

    # --- slow queries ----------------------------------------------------------------------------------

    async def _slow(self, targets: Sequence[Target], since: datetime, now: datetime) -> Mapping[str, Any]:
        logs = self.ground.configuration.slow_queries
        if not logs:
            raise Refused(
                "no log of slow queries is named",
                where=str(self.ground.line),
                way_out="add `slow_queries: [{file: ..., format: mysql}]` to leuko.yml",
                code="P045",
            )
        queries: list[SlowQuery] = []
        troubles: list[dict[str, str]] = []
        number = 0
        for log in logs:
            tail = Tail(log.file, lines=LINES, width=WIDE)
            asked = [(target, tail) for target in targets if _reads(target, frozenset(log.roles))]
            found, failed = await self._read_all(asked, now)
            number += len(asked)
            troubles += failed
            for _, lines in found:
                queries += await asyncio.to_thread(_queries, log.format, lines)
        groups = await asyncio.to_thread(grouped, queries, since)
        mask = self.ground.secrets.mask
        said = [
            {
                "query": mask(group.query),
                "count": group.count,
                "total": round(group.total, 6),
                "worst": group.worst,
                "last": _text(group.last),
                "hosts": dict(sorted(group.hosts.items())[:50]),
            }
            for group in groups[:GROUPS]
        ]
        return _answer("slow", since, number, troubles, queries=said)

    # --- reading ---------------------------------------------------------------------------------------

    async def _read_all(
        self, asked: Sequence[tuple[Target, Tail]], now: datetime
    ) -> tuple[list[tuple[str, list[LogLine]]], list[dict[str, str]]]:
        results = await asyncio.gather(*(self._read(target, tail, now) for target, tail in asked))
        found: list[tuple[str, list[LogLine]]] = []
        troubles: list[dict[str, str]] = []
        for (target, tail), result in zip(asked, results, strict=True):
            if isinstance(result, str):
                troubles.append({"host": target.name, "file": tail.file, "reason": result})
            else:
                found.append((target.name, result))
        return found, troubles

    async def _read(self, target: Target, tail: Tail, now: datetime) -> list[LogLine] | str:
        """Lines, or why there are none."""
        try:
            async with self._room, asyncio.timeout(SECONDS):
                return await self._printed(target, tail, now)
        except TimeoutError:
            return f"no answer within {SECONDS:g} s"
        except (LeukoError, OSError) as error:
            return str(error).splitlines()[0] if str(error) else type(error).__name__

    async def _printed(self, target: Target, tail: Tail, now: datetime) -> list[LogLine] | str:
        program = await self.start(target.name, tail_argv(tail, target.root))
        try:
            printed = [line async for line in program.lines()]
            status = await program.wait()
            if status is None:
                return "the connection went away"
            if status != 0:
                said = (await program.errors()).decode("utf-8", "replace").strip().splitlines()
                return said[-1][:200] if said else f"ended with status {status}"
            return lines_of(target.name, printed, now)
        finally:
            with suppress(LeukoError, OSError):
                await program.close()


def _reads(target: Target, roles: frozenset[str]) -> bool:
    return not roles or target.role in roles


def _queries(form: Format, lines: Sequence[LogLine]) -> list[SlowQuery]:
    return list(slow_queries(form, lines))


def _answer(
    what: str, since: datetime, logs: int, troubles: Sequence[dict[str, str]], **more: Any
) -> Mapping[str, Any]:
    return {
        "what": what,
        "since": since.isoformat(),
        "logs": logs,
        "failed": len(troubles),
        "troubles": list(troubles[:TROUBLES]),
        **more,
    }


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
