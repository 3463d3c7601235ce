"""Keeps what the sampler learns of log lines, so that a restart knows which kinds are new."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from leuko.domain.template import Template
from leuko.gauges.kinds import MOST, Kinds
from leuko.runtime.ground import Ground

KEEP_SECONDS = 5.0
AT_ONCE = 500
"""Rows of one transaction."""


@dataclass
class Templates:
    """Of one line."""

    ground: Ground

    async def learn(self, kinds: Mapping[str, Kinds]) -> None:
        """Tells each gauge what was known before."""
        for gauge, known in kinds.items():
            known.learn(await self.ground.store.templates.of_gauge(self.ground.line, gauge))

    async def keep(self, kinds: Mapping[str, Kinds]) -> None:
        """Saves what changed. New ones name the push that runs; secrets in them are hidden."""
        changed = [self._hidden(one) for known in kinds.values() for one in known.changes()]
        if not changed:
            return
        store, line = self.ground.store, self.ground.line
        push = await store.pushes.active(line)
        number = push.number if push is not None else None
        for start in range(0, len(changed), AT_ONCE):
            rows = [replace(one, push=number) for one in changed[start : start + AT_ONCE]]
            async with self.ground.write() as tx:
                await store.templates.save(tx, rows)
        for gauge, known in kinds.items():
            if len(known) >= MOST:
                async with self.ground.write() as tx:
                    await store.templates.forget(tx, gauge, keep=MOST)

    def _hidden(self, one: Template) -> Template:
        mask = self.ground.secrets.mask
        return replace(one, text=mask(one.text), example=mask(one.example))
