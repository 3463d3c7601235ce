"""The set-up of a build: nodes in their order, each a visible step, with what depends on them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from leuko.config.verify import SetupNode
from leuko.config.verify_rules import node_name
from leuko.domain.case import CaseState, NodeChanged

RunNode = Callable[[str, SetupNode], Awaitable[NodeChanged]]
"""Runs one node, called so; how it ended: passed, or failed with a reason, and `broken` where it says nothing
about the commit."""
OnNode = Callable[[NodeChanged], None]


class SetUp:
    """`run` runs them all; `passed` waits for some of them."""

    def __init__(self, nodes: Sequence[SetupNode], run_node: RunNode, on_node: OnNode) -> None:
        loop = asyncio.get_running_loop()
        self._nodes = {node_name(index, node): node for index, node in enumerate(nodes)}
        self._ends: dict[str, asyncio.Future[NodeChanged]] = {
            name: loop.create_future() for name in self._nodes
        }
        self._run_node = run_node
        self._on_node = on_node

    async def run(self) -> tuple[NodeChanged, ...]:
        """All nodes, each as soon as those that it needs have passed; how each ended, in order."""
        for name in self._nodes:
            self._on_node(NodeChanged(name, CaseState.WAITING))
        async with asyncio.TaskGroup() as group:
            for index, (name, node) in enumerate(self._nodes.items()):
                needs = tuple(self._nodes)[:index] if node.needs is None else node.needs
                group.create_task(self._one(name, node, needs))
        return tuple(future.result() for future in self._ends.values())

    async def missing(self, needs: Sequence[str] | None) -> str:
        """Waits for these nodes (None: all); the name of one that did not pass, empty where all did."""
        for name in self._nodes if needs is None else needs:
            ended = await asyncio.shield(self._ends[name])
            if ended.state is not CaseState.PASSED:
                return name
        return ""

    async def _one(self, name: str, node: SetupNode, needs: Sequence[str]) -> None:
        missing = await self.missing(needs)
        if missing:
            ended = NodeChanged(name, CaseState.SKIPPED, reason=f'not run: "{missing}" did not pass')
        else:
            self._on_node(NodeChanged(name, CaseState.RUNNING))
            ended = await self._run_node(name, node)
        self._on_node(ended)
        self._ends[name].set_result(ended)
