"""Where hosts write down what customers asked: looked for while nothing else tells of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from leuko.cancellation import obey
from leuko.hosts.port import Unreachable

if TYPE_CHECKING:
    from leuko.cli.inspection import Found
    from leuko.hosts.port import Connection

Access = Literal["readable", "closed"]
_COMBINED = ('" 5[0-9][0-9] ', '" [0-9]{3} ')
_JSON = ('"status":5[0-9][0-9]', '"status":[0-9]{3}')
PLACES: Mapping[str, tuple[str, str]] = MappingProxyType({
    "/var/log/nginx/access.log": _COMBINED,
    "/var/log/apache2/access.log": _COMBINED,
    "/var/log/httpd/access_log": _COMBINED,
    "/var/log/caddy/access.log": _JSON,
})  # fmt: skip
"""Usual places of access logs, with what a failed answer and any answer look like in them."""
_LOOK = 'for f; do if [ -r "$f" ]; then echo "readable $f"; elif [ -e "$f" ]; then echo "closed $f"; fi; done'
LOOKING_SECONDS = 10.0
NONE = (
    "What customers meet is not watched yet, and no access log lies in one of the usual places "
    f"({', '.join(PLACES)}). Name yours, or an address that tells figures, under `gauges` in leuko.yml."
)


async def access_logs(connection: Connection, places: Sequence[str] = tuple(PLACES)) -> dict[str, Access]:
    """Those of `places` that are there, and whether this login may read them. A slow host has none."""
    import asyncio

    channel = await connection.start(("sh", "-c", _LOOK, "sh", *places))
    found: dict[str, Access] = {}
    try:
        async with asyncio.timeout(LOOKING_SECONDS):
            async for line in channel.lines():
                access, _, path = line.decode("utf-8", "replace").strip().partition(" ")
                if path in places and access in ("readable", "closed"):
                    found[path] = "readable" if access == "readable" else "closed"
            await channel.wait()
    except (TimeoutError, Unreachable):
        obey()
    finally:
        await channel.close()
    return found


def advice(hosts: Sequence[Found]) -> Iterator[str]:
    """What to write under `gauges`: of the log that most hosts let us read, else how to be let."""
    reached = [one for one in hosts if one.reachable]
    if not reached:
        return
    readable = Counter(path for one in reached for path, access in one.logs.items() if access == "readable")
    closed = Counter(path for one in reached for path, access in one.logs.items() if access == "closed")
    if readable:
        path, number = readable.most_common(1)[0]
        yield f"What customers meet is not watched yet. {path} is on {number} of {len(reached)} hosts."
        yield "Write this into leuko.yml, under `gauges`:"
        yield from block(path)
    elif not closed:
        yield NONE
    for path, number in closed.items():
        user = next(one.user for one in reached if path in one.logs)
        yield (
            f"{path} is there on {number} of {len(reached)} hosts, but {user} may not read it: "
            f"`sudo usermod -aG adm {user}` on the host lets it on Debian"
        )


def block(path: str) -> Iterator[str]:
    """Two gauges of that log, as lines of leuko.yml."""
    failed, answered = PLACES[path]
    yield from (
        "  requests:",
        "    kind: count",
        "    direction: down",
        f'    log: {{file: {path}, match: "."}}',
        "  errors:",
        "    kind: ratio",
        "    required: false",
        f"    log: {{file: {path}, match: '{failed}', of: '{answered}'}}",
        "    limits:",
        "      - above: 0.05     # never more than 5 % errors on a server",
    )
