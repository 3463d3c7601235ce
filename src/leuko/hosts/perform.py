"""Carries orders out over a connection, and finds out what came of them when the connection dies."""

from __future__ import annotations

import asyncio
import base64
import secrets as randomness
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from leuko.domain.order import Fence, Order, OrderKind, Outcome, Result
from leuko.domain.payload import Payload
from leuko.hosts import orders
from leuko.hosts.orders import Program, Reach
from leuko.hosts.parcels import Parcels, ask_for
from leuko.hosts.port import Channel, Connection, Unreachable

Source = Callable[[], Awaitable[Connection]]
Progress = Callable[[int, int], None]
"""Told (bytes that arrived, bytes in all) after each block."""

_BLOCK = 128 * 1024
_OUTSTANDING = 2
_WORDS = {
    b"done": Result.DONE,
    b"failed": Result.FAILED,
    b"refused": Result.REFUSED,
    b"timed-out": Result.TIMED_OUT,
}


_EXIT = "failed with exit code"
_SHOWN = 160
"""Characters of a failed hook's last line that its sentence ends with."""


def _last_words(output: str) -> str:
    """`: sudo: systemctl: command not found`, or nothing where it printed nothing."""
    lines = ["".join(c if c.isprintable() else " " for c in line).strip() for line in output.splitlines()]
    last = next((line for line in reversed(lines) if line), "")
    return f": {last[:_SHOWN]}" if last else ""


@dataclass
class _Reply:
    """What the program has said so far."""

    orders: frozenset[str]
    token: str
    facts: dict[str, str] = field(default_factory=dict)
    output: bytes = b""
    result: Result | None = None

    def take(self, line: bytes) -> None:
        """One line; what is none of the protocol's is left out (a banner, a login script's chatter)."""
        word, _, rest = line.partition(b" ")
        if word == b"F":
            name, _, value = rest.decode("utf-8", "replace").partition(" ")
            self.facts[name] = value
        elif word == b"O":
            self.output = base64.b64decode(rest, validate=False)
        elif word == b"X":
            token, _, tail = rest.partition(b" ")
            order, _, result = tail.partition(b" ")
            if (
                token.decode("ascii", "replace") == self.token
                and order.decode("ascii", "replace") in self.orders
            ):
                self.result = _WORDS.get(result.strip())

    def outcome(self, order: Order) -> Outcome:
        """For the caller, with the secrets masked."""
        facts = dict(self.facts)
        reason = orders.masked(facts.pop("reason", ""), order.secrets)
        output = orders.masked(self.output.decode("utf-8", "replace"), order.secrets)
        return Outcome(
            self.result or Result.UNKNOWN,
            f"{reason}{_last_words(output)}" if _EXIT in reason else reason,
            output,
            _number(facts.pop("seconds", "")),
            _number(facts.pop("link_ns", "")) / 1e9,
            facts,
        )


class Orders:
    """Performs orders. One for all hosts; it keeps nothing but the payloads' digests."""

    def __init__(self, *, program: Program | None = None, grace: float = 15.0, asks: int = 3) -> None:
        self._program = program or orders.default_program()
        self._grace = grace
        self._asks = asks
        self._parcels = Parcels()

    async def perform(
        self,
        source: Source,
        reach: Reach,
        order: Order,
        payload: Payload | None = None,
        *,
        progress: Progress | None = None,
    ) -> Outcome:
        """What came of the order. Never raises for what the host or the network does.

        When the connection dies under it, the host is asked; an order that it never began or did not end is
        given once more (it has the same id: the host answers a repeated one from its journal). UNKNOWN only
        when the host cannot be asked, UNREACHABLE only when nothing was sent.
        """
        outcome = await self._attempt(source, reach, order, payload, progress)
        for _ in range(self._asks):
            if outcome.result is not Result.UNKNOWN or order.kind is OrderKind.PROBE:
                break
            known = await self._ask(source, reach, order)
            if known is None:
                continue
            if known.result is not Result.UNKNOWN:
                return known
            again = await self._attempt(source, reach, order, payload, progress)
            # it was sent before: not getting through now does not make it unsent
            outcome = replace(again, result=Result.UNKNOWN) if again.result is Result.UNREACHABLE else again
        return outcome

    async def probe(
        self, source: Source, reach: Reach, component: str, *, running: str = "", ask: str = ""
    ) -> Outcome:
        """Looks at the host and changes nothing; `facts.Facts.of(outcome)` reads it.

        With `ask`, an order's id: the recorded outcome of that order when it has ended (then `replayed` is
        among the facts), else `asked` says running, interrupted or unknown.
        """
        order = Order(
            f"probe-{randomness.token_hex(4)}",
            OrderKind.PROBE,
            Fence("probe", 0, 0),
            component,
            running=running,
            deadline=20.0,
        )
        more = {"ask": ask, "ask_tries": "100"} if ask else {}

        def text(token: str) -> bytes:
            return orders.header(order, reach, token=token, more=more)

        return await self._exchange(source, order, text, ask=ask)

    async def abort(
        self, source: Source, reach: Reach, component: str, victim: str, *, fence: Fence, why: str
    ) -> Outcome:
        """Ends an order's processes from another channel. DONE when none runs, whatever it had done."""
        order = Order(f"kill-{randomness.token_hex(4)}", OrderKind.PROBE, fence, component, deadline=30.0)

        def text(token: str) -> bytes:
            return orders.kill_header(victim, reach, component, why=why, fence=fence, token=token)

        return await self._exchange(source, order, text)

    async def _ask(self, source: Source, reach: Reach, order: Order) -> Outcome | None:
        """The recorded outcome; UNKNOWN when the host has none; None when the host cannot be asked."""
        answer = await self.probe(source, reach, order.component, ask=order.id)
        if "replayed" in answer.facts:
            return replace(answer, output=orders.masked(answer.output, order.secrets))
        return replace(answer, result=Result.UNKNOWN) if answer.done else None

    async def _attempt(
        self, source: Source, reach: Reach, order: Order, payload: Payload | None, progress: Progress | None
    ) -> Outcome:
        more: dict[str, str] = {}
        if order.kind is OrderKind.STAGE and payload is not None:
            try:
                more = await ask_for(self._parcels, payload)
            except OSError as error:
                return Outcome(Result.FAILED, f"the release's archive cannot be read here: {error}")

        def text(token: str) -> bytes:
            return orders.header(order, reach, token=token, more=more)

        return await self._exchange(source, order, text, payload, progress)

    async def _exchange(
        self,
        source: Source,
        order: Order,
        text: Callable[[str], bytes],
        payload: Payload | None = None,
        progress: Progress | None = None,
        *,
        ask: str = "",
    ) -> Outcome:
        reply = _Reply(frozenset({order.id, ask}), randomness.token_hex(8))
        letter = self._program.packed + text(reply.token)
        command = orders.argv(order.id, order.deadline, self._program, bounded=order.kind in orders.BOUNDED)
        try:
            channel = await (await source()).start(command)
        except Unreachable as error:
            return Outcome(Result.UNREACHABLE, str(error))
        try:
            async with asyncio.timeout(order.deadline + self._grace):
                await self._dialogue(channel, letter, reply, payload, progress)
        except TimeoutError:
            reply.facts["reason"] = f"no answer after {order.deadline + self._grace:.0f} s"
        finally:
            await channel.close()
        return reply.outcome(order)

    async def _dialogue(
        self,
        channel: Channel,
        letter: bytes,
        reply: _Reply,
        payload: Payload | None,
        progress: Progress | None,
    ) -> None:
        lines = channel.lines()
        try:
            await channel.write(letter)
            async for line in lines:
                if line.startswith(b"W "):
                    await self._answer(channel, lines, reply, _wanted(line, payload), progress)
                else:
                    reply.take(line)
                if reply.result is not None:
                    return
        except Unreachable as error:
            reply.facts.setdefault("reason", str(error))
            with suppress(Unreachable):  # what the program said before its end still counts
                async for line in lines:
                    reply.take(line)
        if reply.result is None:
            await _explain(channel, reply)

    async def _answer(
        self,
        channel: Channel,
        lines: AsyncIterator[bytes],
        reply: _Reply,
        path: str,
        progress: Progress | None,
    ) -> None:
        """Sends the payload, or lets the host see that none comes: its order fails then, and says so."""
        try:
            await self._send(channel, lines, reply, path, progress)
        except OSError as error:
            reply.facts["archive"] = f"{path or 'no archive'}: {error.strerror}"
            await channel.end_input()

    async def _send(
        self,
        channel: Channel,
        lines: AsyncIterator[bytes],
        reply: _Reply,
        path: str,
        progress: Progress | None,
    ) -> None:
        parcel = await self._parcels.of(path)
        await channel.write(b"P %d %s\n" % (parcel.size, parcel.sha256.encode()))
        outstanding = 0
        with open(path, "rb") as file:  # noqa: PTH123, ASYNC230 - blocks of 128 KiB, mostly from the page cache
            while block := file.read(_BLOCK):
                await channel.write(block)
                outstanding += 1
                if outstanding >= _OUTSTANDING:
                    if not await _acknowledged(lines, reply, parcel.size, progress):
                        return
                    outstanding -= 1
        while outstanding and await _acknowledged(lines, reply, parcel.size, progress):
            outstanding -= 1


async def _acknowledged(
    lines: AsyncIterator[bytes], reply: _Reply, size: int, progress: Progress | None
) -> bool:
    """False when the program said anything but that a block arrived: its last word, or its end."""
    async for line in lines:
        if line.startswith(b"A "):
            if progress is not None:
                progress(int(line[2:]), size)
            return True
        reply.take(line)
        if reply.result is not None:
            return False
    return False


async def _explain(channel: Channel, reply: _Reply) -> None:
    """The program ended without its last line: all that there is to say why."""
    status = await channel.wait()
    errors = (await channel.errors()).decode("utf-8", "replace").strip()
    said = f"the host's program ended without an answer (exit status {status})"
    reply.facts["reason"] = f"{said}: {errors[-500:]}" if errors else reply.facts.get("reason", said)
    if status in (126, 127):
        reply.result = Result.FAILED
        reply.facts["reason"] = f"a program that Leuko needs on the host is missing: {errors[-500:]}"


def _wanted(line: bytes, payload: Payload | None) -> str:
    if payload is None:
        return ""
    words = line.decode("utf-8", "replace").split()
    return payload.deltas[words[2]] if words[1:2] == ["delta"] and len(words) > 2 else payload.full


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
