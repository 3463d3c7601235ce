"""One command of a batch: started, followed live, ended, and what it left behind ended too."""

from __future__ import annotations

import json
import os
import secrets
import signal
import time
from collections import deque
from typing import Any, Deque, Dict, List, Optional

from . import clipping
from .environment import call_environment, filled
from .output import Output
from .pipes import Inlet
from .processes import kill_group, oom_kills
from .reports import seen, send
from .station import Station
from .tap_lines import TapLines

_LONGEST_EVENT = 1 << 20
_MOST_EVENTS = 300_000
"""Of one command: beyond it is a flood, not a suite."""
_LOOK, _BUSY = 0.01, 65536
"""Seconds between two looks into the pipes, and bytes after which there is no pause."""
_MARK_PATIENCE = 0.5
_DUMP, _ASK, _FORCE, _GIVE_UP = 0.0, 0.3, 2.3, 12.0
"""Seconds after a deadline: dump the stacks, SIGTERM, SIGKILL, no longer wait."""


class Call:
    """`task` is one of an assignment's calls. `stop` is asked often: a reason to end at once, or nothing."""

    def __init__(self, station: Station, assignment: Dict[str, Any], number: int) -> None:
        self._station = station
        self._assignment = assignment
        self._task = assignment["calls"][number]
        self._number = number
        self._nonce = secrets.token_hex(8)
        self._output = Output(self._nonce)
        self._top = os.path.abspath(assignment.get("top", ""))
        self._running: Dict[Any, float] = {}
        self._file: Any = None
        self._file_since: Optional[float] = None
        self._events = 0
        self._rest = b""
        self._pending: Deque[Dict[str, Any]] = deque()
        self._pending_since = 0.0
        self._marks = True
        self._runner = 0
        self._captured: List[int] = []
        self._lines = TapLines(self._tell_line, self._tell_text)
        self._why = ""
        self._ended_at: Optional[float] = None
        self._ending = 0

    def run(self) -> None:
        """Runs it to its end, its deadline or a stop, and says so in frames."""
        station, scratch = self._station, self._station.scratch()
        pipe = os.path.join(scratch, "events")
        lines = self._assignment["channel"] == "lines"
        self._events_inlet = Inlet(station.waiting, self._text_lines if lines else self._event_bytes, pipe)
        tap = self._assignment["channel"] == "tap"
        self._out = Inlet(station.waiting, self._lines.feed if tap else self._output.feed)
        self._err = Inlet(station.waiting, self._output.feed) if tap else self._out
        self._inlets = dict.fromkeys((self._out, self._err, self._events_inlet))
        env = call_environment(station, self._assignment, self._task, scratch, pipe, self._nonce, self._top)
        places = {"pipe": pipe, "tools": station.tools, "scratch": scratch}
        argv = filled(self._task["argv"], places)
        self._before = seen(self._assignment.get("report", ""), self._top)
        self._oom = oom_kills()
        station.frames.emit("call", call=self._number)
        self._begun = time.monotonic()
        try:
            started = station.start(
                self._task, argv, env, self._top, self._out.writer, self._err.writer, scratch
            )
        except OSError as error:
            self._finish_pipes()
            self._say_end(None, scratch, trouble="cannot be started: {}".format(error.strerror or error))
            return
        self._out.started()
        self._err.started()
        code = self._follow(started)
        kill_group(started.pid)  # what it left behind in its group
        self._finish_pipes()
        self._say_end(code, scratch)

    def _follow(self, started: Any) -> Optional[int]:
        while True:
            code: Optional[int] = started.poll()
            if code is not None:
                return code
            now = time.monotonic()
            self._flush(now)
            if self._ended_at is None:
                self._check(now)
            if self._ended_at is not None and not self._end(started.pid, now - self._ended_at):
                return None
            busy = sum(inlet.look() for inlet in self._inlets)
            self._station.waiting.once(0.0 if busy > _BUSY else min(_LOOK, self._until(now)))

    def _check(self, now: float) -> None:
        """Is there a reason to end it?"""
        stop = self._station.stop(self._assignment)
        limit = self._assignment["file_timeout"]
        if stop:
            self._why, self._ended_at = stop, now - _FORCE
        elif now - self._begun >= self._task["timeout"]:
            self._why, self._ended_at = "timeout", now
        elif self._file_since is not None and now - self._file_since >= limit:
            self._why, self._ended_at = "file timeout", now
        elif self._events > _MOST_EVENTS:
            self._why, self._ended_at = "flood", now - _FORCE

    def _end(self, group: int, since: float) -> bool:
        """The steps of ending; False when it resists all of them."""
        steps = (_DUMP, _ASK, _FORCE)
        while self._ending < len(steps) and since >= steps[self._ending]:
            if self._ending == 0 and self._runner and since < _ASK:
                try:
                    os.kill(self._runner, signal.SIGXCPU)  # the runner says where it stands
                except (ProcessLookupError, PermissionError):
                    pass
            elif self._ending == 1 and since < _FORCE:
                kill_group(group, signal.SIGTERM)
            elif self._ending == 2:
                kill_group(group)
            self._ending += 1
        return since < _GIVE_UP

    def _until(self, now: float) -> float:
        """Seconds to the next thing that a clock brings."""
        if self._pending:
            return 0.05
        if self._ended_at is not None:
            return 0.1
        times = [self._begun + self._task["timeout"]]
        if self._file_since is not None:
            times.append(self._file_since + self._assignment["file_timeout"])
        return max(0.0, float(min(times)) - now)

    def _event_bytes(self, data: bytes) -> None:
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > _LONGEST_EVENT:
            self._rest = b""
        for line in lines:
            try:
                event = json.loads(line)
                kind = event["e"]
            except (ValueError, TypeError, KeyError):
                continue
            self._events += 1
            if kind == "hello":
                self._hello(event)
            if self._events <= _MOST_EVENTS:
                self._pending.append(event)
        with self._station.frames.together():
            self._flush(time.monotonic())

    def _hello(self, event: Dict[str, Any]) -> None:
        self._runner = int(event["pid"])
        for descriptor in event.get("captured", ()):
            try:  # what a test printed into a capture is read from here even when its process has died
                path = "/proc/{}/fd/{}".format(self._runner, int(descriptor))
                self._captured.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
            except OSError:
                pass

    def _flush(self, now: float) -> None:
        """Tells what waited for the output that belongs to it."""
        while self._pending:
            mark = self._pending[0].get("mark", 0)
            if self._marks and mark > self._output.last:
                self._pending_since = self._pending_since or now
                if now - self._pending_since < _MARK_PATIENCE:
                    return
                self._marks = False  # its output goes elsewhere: no more waiting
            self._pending_since = 0.0
            self._event(self._pending.popleft(), mark, now)

    def _event(self, event: Dict[str, Any], mark: int, now: float) -> None:
        kind = event["e"]
        key = (event.get("file"), event.get("name"))
        if kind == "began":
            self._running[key] = now
            self._output.outside(mark)
            if event.get("file") != self._file:
                self._file_begins(event.get("file"), now)
        elif kind == "file":
            self._file_begins(event.get("file"), now)
        elif kind == "ended":
            self._running.pop(key, None)
            if mark:
                event["printed"] = self._output.until(mark)
        event.pop("mark", None)
        self._station.frames.emit("event", call=self._number, **event)

    def _file_begins(self, file: Any, now: float) -> None:
        self._file, self._file_since = file, now if file is not None else None

    def _text_lines(self, data: bytes) -> None:
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()[-_LONGEST_EVENT:]
        for line in lines:
            self._tell_line(line[: clipping.CAP].decode("utf-8", "backslashreplace"))

    def _tell_line(self, text: str) -> None:
        self._events += 1
        if self._events <= _MOST_EVENTS:
            self._tell_text(text)

    def _tell_text(self, text: str) -> None:
        self._station.frames.emit("line", text=text, at=round(time.monotonic() - self._begun, 3))

    def _finish_pipes(self) -> None:
        for inlet in self._inlets:
            inlet.finish()
        self._marks = False
        self._flush(time.monotonic())
        if self._assignment["channel"] == "tap":
            self._lines.finish()

    def _say_end(self, code: Optional[int], scratch: str, trouble: str = "") -> None:
        seconds = time.monotonic() - self._begun
        captured = "".join(self._read_captured())
        rest = self._output.rest()
        if self._running:
            captured += rest
        else:
            self._output.whole.feed(rest.encode("utf-8"))
        pattern = self._assignment.get("report", "")
        send(self._station.frames, self._number, self._before, pattern, self._top)
        send(self._station.frames, self._number, {}, "*.xml", scratch)
        self._station.frames.emit(
            "called",
            call=self._number,
            exit=code if code is not None and code >= 0 else None,
            signal=-code if code is not None and code < 0 else 0,
            seconds=seconds,
            why=self._why,
            trouble=trouble or full_disk(self._top) or full_disk(scratch),
            oom=oom_kills() > self._oom,
            output=self._output.whole.text(),
            captured=clipping.of_text(captured),
        )
        self._station.clear(scratch)

    def _read_captured(self) -> List[str]:
        found = []
        for descriptor in self._captured:
            try:
                found.append(clipping.of_file(descriptor))
            except OSError:
                pass
            os.close(descriptor)
        self._captured = []
        return found


def full_disk(place: str) -> str:
    """Says so where there is no room left."""
    try:
        state = os.statvfs(place)
    except OSError:
        return ""
    if state.f_bavail * state.f_frsize < 1 << 20:
        return "no space left on the disk of {}".format(place)
    if state.f_files and state.f_favail == 0:
        return "no inodes left on the disk of {}".format(place)
    return ""
