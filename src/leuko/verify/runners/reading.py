"""What a worker says of one batch, turned into the events of its cases. No I/O: bytes in, events out."""

from __future__ import annotations

from typing import Any

from leuko.domain.case import OUTPUT_CAP, Case, CaseState
from leuko.verify.engine import Assignment, BatchEnd, OnCase, WorkerLostError
from leuko.verify.runners.calls import Called, conclude
from leuko.verify.runners.cases import Cases, clean, clipped
from leuko.verify.runners.frames import FrameError, Frames
from leuko.verify.runners.junit import Junit
from leuko.verify.runners.tap import Tap
from leuko.verify.runners.teamcity import TeamCity
from leuko.verify.runners.telling import calls

_STOPPED = {"cancelled": "was cancelled", "left alone": "was cancelled: nobody followed it", "timeout": ""}


class Reading:
    """One batch at one worker. Feed it the worker's output until `end` is there.

    `on_case` is called for each test as it happens, from within `feed`. A large report file takes `feed` up
    to some tenths of a second; everything else is quick. Raises WorkerLostError for what is not the protocol.
    """

    def __init__(self, assignment: Assignment, worker: str, on_case: OnCase) -> None:
        self._suite = assignment.suite
        self._batch = assignment.batch
        self._calls = calls(assignment.batch, assignment.suite)
        self._frames = Frames()
        self._cases = Cases(assignment.batch, worker, on_case)
        self._call = Called(())
        self._reader: TeamCity | Tap | None = None
        self._junit: Junit | None = None
        self._outputs: list[str] = []
        self._code: int | None = 0
        self._reason = ""
        self.end: BatchEnd | None = None
        self.notes: list[str] = []
        """What the worker had to say beside results: why a runner could not be kept loaded."""

    @property
    def noise(self) -> str:
        """What stood between the frames, at most its beginning: the worker's own trouble, if any."""
        return self._frames.noise

    def feed(self, data: bytes) -> None:
        """The next bytes of the worker's output."""
        try:
            for frame in self._frames.feed(data):
                self._frame(frame)
        except (FrameError, KeyError, TypeError, ValueError, IndexError) as error:
            raise WorkerLostError(
                f"the worker said something that is not its protocol: {str(error)[:200]}",
                where=f"batch {self._batch.number}",
                way_out="does something print into the worker's own output? Is it of another release?",
                code="B020",
            ) from error

    def _frame(self, frame: dict[str, Any]) -> None:
        match frame["kind"]:
            case "call":
                self._begin(frame["call"])
            case "event":
                self._event(frame)
            case "line":
                if self._reader is not None:
                    self._reader.line(frame["text"], frame["at"])
            case "report":
                self._report(frame)
            case "note":
                self.notes.append(clean(str(frame["text"])))
            case "called":
                self._ended(frame)
            case "end":
                self._finish(frame)
            case _:  # `ready`, and what a newer worker may say besides
                pass

    def _begin(self, number: int) -> None:
        files = self._calls[number]
        self._call = Called(files)
        runner = self._suite.runner
        self._reader, self._junit = None, None
        if runner == "exit":
            self._cases.tell_began(self._cases.case(files[0], ""))
        elif runner == "tap":
            self._reader = Tap(self._cases, files[0])
        elif runner == "phpunit":
            self._reader = TeamCity(self._cases, files[0])
        if runner == "junit":
            self._junit = Junit(self._suite.report, files)

    def _event(self, event: dict[str, Any]) -> None:
        kind = event["e"]
        if kind == "hello":
            self._call.hello = True
            return
        if kind == "file":
            self._call.loading = event["file"] or ""
            return
        case = self._cases.case(event["file"], event.get("name", ""))
        if kind == "found":
            self._cases.tell_found(case)
        elif kind == "began":
            self._cases.tell_began(case)
        elif kind == "empty":
            self._empty(case, event)
        elif kind == "ended":
            output = (event.get("output", ""), event.get("printed", ""))
            state = CaseState(event["state"])
            self._cases.tell_ended(case, state, event["seconds"], event.get("reason", ""), output)

    def _empty(self, case: Case, event: dict[str, Any]) -> None:
        left = event.get("deselected", 0)
        reason = (
            f"none of its {left} tests is selected by the suite's own options" if left else "has no tests"
        )
        self._cases.tell_ended(case, CaseState.SKIPPED, reason=reason)

    def _report(self, frame: dict[str, Any]) -> None:
        if isinstance(self._reader, TeamCity):
            self._reader.report(frame["content"])
        elif self._junit is not None:
            self._junit.add(frame["path"], frame["content"], frame.get("trouble", ""))

    def _ended(self, frame: dict[str, Any]) -> None:
        called = self._call
        called.take(frame)
        if self._reader is not None:
            self._reader.finish(called)
        if self._junit is not None:
            self._junit.tell(self._cases, called)
        conclude(self._cases, self._suite, called)
        self._outputs.append(called.output)
        if self._code == 0:
            self._code = called.exit_code
        self._reason = self._reason or called.said

    def _finish(self, frame: dict[str, Any]) -> None:
        stopped = str(frame.get("stopped", ""))
        if stopped:
            self._code = None
            said = _STOPPED.get(stopped, stopped)
            self._reason = self._reason or said or f"did not end within {self._batch.timeout:g} s"
        output = clipped(clean("\n".join(filter(None, self._outputs))))
        assert len(output) <= OUTPUT_CAP
        self.end = BatchEnd(self._code, float(frame["seconds"]), self._reason, output)
