"""An engine that plays tests instead of running them: the fake behind the port, for what dispatching does.

A suite's files are scripts: each line is `name outcome [seconds]`, and outcomes are pass, fail, skip, hang, die
(the worker dies), crash (the command ends by a signal), flaky (fails at its first worker only),
exit:N (the command ends there), loud. A file without lines has no tests.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from leuko.domain.case import Case, CaseBegan, CaseEnded, CaseFound, CaseResult, CaseState
from leuko.verify.engine import BatchEnd, WorkerLostError

STATES = {"pass": CaseState.PASSED, "fail": CaseState.FAILED, "skip": CaseState.SKIPPED}


@dataclass
class Scripted:
    """`scripts`: file -> its text; `killers`: tests that kill their worker so many times."""

    scripts: dict[str, str]
    names: tuple[str, ...] = ("w1", "w2")
    dies: dict[str, int] = field(default_factory=dict)
    live: bool = True
    batches: list = field(default_factory=list)
    seen_failing: dict = field(default_factory=dict)
    code: int | None = None
    """What the command ends with when every test passed."""

    def __post_init__(self):
        self._idle = asyncio.Queue()
        self._killed: dict[str, asyncio.Event] = {}
        self.reserved: set[str] = set()
        self.running: set[str] = set()
        self.there = list(self.names)
        for name in self.names:
            self._idle.put_nowait(name)

    async def idle(self):
        name = await self._idle.get()
        self.reserved.add(name)
        return name

    def release(self, worker):
        self.reserved.discard(worker)
        self._idle.put_nowait(worker)

    def workers(self):
        return tuple(self.there)

    async def close(self):
        pass

    async def run(self, worker, assignment, on_case):
        self.batches.append((worker, assignment.batch))
        self.running.add(worker)
        self._killed[worker] = asyncio.Event()
        play = asyncio.create_task(self._play(worker, assignment.batch, on_case))
        killed = asyncio.create_task(self._killed[worker].wait())
        try:
            await asyncio.wait({play, killed}, return_when=asyncio.FIRST_COMPLETED)
            if not play.done():
                raise WorkerLostError(f"{worker} was killed", where=worker)
            return play.result()
        finally:
            play.cancel()
            killed.cancel()
            self.running.discard(worker)
            self.release(worker)

    def kill(self, worker):
        self._killed[worker].set()

    async def _play(self, worker, batch, on_case):
        code = self.code or 0
        chosen = [(file, line.split()) for file in batch.files for line in self.scripts[file].splitlines()]
        cases = []
        for file, (name, outcome, *_) in chosen:
            case = Case(batch.suite, file, name)
            if (not batch.only or case in batch.only) and case not in batch.without:
                cases.append((case, outcome))
        for case, _ in cases:
            if self.live:
                on_case(CaseFound(case))
        for case, outcome in cases:
            if self.live:
                on_case(CaseBegan(case, worker))
            await asyncio.sleep(0)
            ended = await self._one(worker, case, outcome)
            if isinstance(ended, BatchEnd):
                return ended
            on_case(CaseEnded(ended))
            code = code or int(ended.state is CaseState.FAILED)
        if not cases:
            code = 5
        return BatchEnd(code, 0.0)

    async def _one(self, worker, case, outcome):
        kind, _, detail = outcome.partition(":")
        match kind:
            case "hang":
                await asyncio.Event().wait()
            case "die":
                if self.dies.setdefault(str(case), 99) > 0:
                    self.dies[str(case)] -= 1
                    raise WorkerLostError(f"{worker} fell silent", where=worker)
            case "crash":
                return BatchEnd(None, 0.0, "was ended by SIGSEGV", "core dumped")
            case "timeout":
                return BatchEnd(None, 0.0, "did not end within 60 s", "stack")
            case "exit":
                return BatchEnd(int(detail), 0.0, "", "said this")
            case "flaky":
                first = self.seen_failing.setdefault(case, worker)
                state = CaseState.FAILED if first == worker else CaseState.PASSED
                return CaseResult(case, state, 0.01, worker, reason="now and then")
        return CaseResult(case, STATES.get(kind, CaseState.PASSED), 0.01, worker, reason=detail)
