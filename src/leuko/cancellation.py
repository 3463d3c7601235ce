"""Cancellation that is obeyed, whatever else happens in that moment.

A task that is asked to end may be in the middle of a step that turns the request into another error, or
loses it. Loops that run for ever ask here once a round, so that such a step costs a round and not the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

T = TypeVar("T")


def asked_to_end() -> bool:
    """True where the running task was cancelled, also when the CancelledError got lost on its way."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def obey() -> None:
    """Raises CancelledError where the running task was cancelled before."""
    if asked_to_end():
        raise asyncio.CancelledError


async def apart(step: Awaitable[T]) -> T:
    """Awaits a step in a task of its own; a cancellation of the caller is the step's, too.

    A TaskGroup that fails counts as a cancellation of its task ever after (before Python 3.13): in the task
    of a loop that asks `asked_to_end`, one failing step would be the end of the loop.
    """
    return await asyncio.ensure_future(step)


async def end(task: asyncio.Task[Any]) -> None:
    """Cancels a task of one's own and waits until it has ended; what it died of is taken as known.

    Unlike awaiting it with CancelledError suppressed, this does not swallow a cancellation of the caller.
    """
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()
