"""Says what happens while it happens: one line an event that a person would want to know."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TextIO

_BOLD, _DIM, _RED, _GREEN, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[0m"


class Teller:
    """Writes to a stream; silent with `quiet`. On a terminal a watch is one line that counts."""

    def __init__(self, began: datetime, *, stream: TextIO | None = None, quiet: bool = False) -> None:
        self._began = began
        self._stream = stream or sys.stderr
        self._quiet = quiet
        self._live = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._colour = self._live and not os.environ.get("NO_COLOR")
        self._open = False
        self._tested = 0
        """The build whose tests were told last."""
        self._switched: dict[int, list[str]] = {}

    def heading(self, text: str) -> None:
        """Of an act."""
        self._close()
        self._write(f"\n{self._in(_BOLD, text)}\n")

    def line(self, at: datetime, text: str, tone: str = "") -> None:
        """One thing that happened."""
        self._close()
        seconds = max(0.0, (at - self._began).total_seconds())
        mark = f"{int(seconds // 60)}:{seconds % 60:04.1f}"
        colour = {"good": _GREEN, "bad": _RED}.get(tone, "")
        self._write(f"  {self._in(_DIM, mark)}  {self._in(colour, text)}\n")

    def plain(self, text: str) -> None:
        """As it is."""
        self._close()
        self._write(text + "\n")

    def event(self, event: Mapping[str, Any]) -> None:
        """What an event means to people; nothing for most."""
        at, data = datetime.fromisoformat(event["at"]), event["data"]
        match event["kind"]:
            case "change" if data.get("author"):
                short = str(data["revision"])[:8]
                self.line(at, f'{short} landed: "{data["subject"]}" by {data["author"]}')
            case "build.step" if data.get("state") != "running":
                tone = "" if data["state"] == "passed" else "bad"
                seconds = float(data.get("seconds", 0))
                self.line(at, f"{data['kind']} {data['step']}: {data['state']} in {seconds:.1f} s", tone)
            case "build.tests":
                self._tests(at, data)
            case "release":
                self.line(at, f"release {data['release']} built once, {data['bytes'] / 1000:.0f} KB")
            case "host" if data.get("state") in {"switched", "restored"}:
                hosts = self._switched.setdefault(int(data.get("push", 0)), [])
                hosts.append(str(data["host"]))
            case "push":
                self._push(at, data)
            case "watch":
                self._watch(at, data)
            case "study" if data.get("said"):
                self.line(at, f"push {data['push']}: {data['said'][0]}")
            case kind:
                self._locks(kind, at, data)

    def _locks(self, kind: str, at: datetime, data: Mapping[str, Any]) -> None:
        if kind == "lock":
            self.line(at, f"{data['kind']} lock {data['lock']} taken ({data['severity']})", "bad")
        elif kind == "unlock":
            self.line(at, f"lock {data['lock']} lifted: {data['why']}", "good")

    def _tests(self, at: datetime, data: Mapping[str, Any]) -> None:
        """Counts while tests run, one line when all of a build have ended."""
        counts = data["counts"]
        open_ones = int(counts["waiting"]) + int(counts["running"])
        if open_ones or not counts["all"]:
            self.progress(f"{int(counts['all']) - open_ones} of {counts['all']} tests")
        elif self._tested != data["build"]:
            self._tested = data["build"]
            bad = f", {counts['failed']} failed" if counts["failed"] else ""
            self.line(at, f"tests: {counts['passed']} passed{bad}", "bad" if bad else "")

    def _push(self, at: datetime, data: Mapping[str, Any]) -> None:
        if "from" not in data:
            if data.get("foresight"):
                self.line(at, f"push {data['push']}: {data['foresight']}")
            return
        phase, phases = int(data["phase"]) + 1, data["phases"]
        which = "the canaries" if phase == 1 and phases > 1 else f"phase {phase} of {phases}"
        match data["to"]:
            case "STAGING":
                self.line(at, f"push {data['push']}: copying to every host")
            case "SWITCHING":
                self.line(at, f"push {data['push']}: switching on {which}")
            case "WATCHING":
                self.line(at, f"push {data['push']}: watching {which}: {self._taken(data)}")
            case "ROLLING_BACK":
                self.line(at, f"push {data['push']}: ROLLING BACK: {data['reason']}", "bad")
                self._taken(data)
            case "ROLLED_BACK":
                self.line(at, f"push {data['push']}: ROLLED BACK on {self._taken(data)}", "bad")
            case "HELD":
                self.line(at, f"push {data['push']}: HELD: {data['reason']}", "bad")
            case "LIVE":
                self.line(at, f"push {data['push']}: LIVE on every host", "good")
            case other:
                self.line(at, f"push {data['push']}: {other} {data['reason']}")

    def _taken(self, data: Mapping[str, Any]) -> str:
        """The hosts that changed since it was asked last."""
        hosts = sorted(set(self._switched.pop(int(data["push"]), [])))
        return ", ".join(hosts) or "no host"

    def _watch(self, at: datetime, data: Mapping[str, Any]) -> None:
        text = f"{data['ticks']} of {data['wanted']} ticks: {data['sentence']}"
        if data["decision"] != "continue":
            self.line(at, str(data["sentence"]))
        else:
            self.progress(text)

    def progress(self, text: str) -> None:
        """A line that the next one takes the place of; only on a terminal."""
        if self._live and not self._quiet:
            self._stream.write("\r" + self._in(_DIM, f"{'':9}{text[:100]:<100}"))
            self._stream.flush()
            self._open = True

    def _close(self) -> None:
        if self._open:
            self._stream.write("\r" + " " * 118 + "\r")
            self._open = False

    def _in(self, colour: str, text: str) -> str:
        return f"{colour}{text}{_PLAIN}" if self._colour and colour else text

    def _write(self, text: str) -> None:
        if not self._quiet:
            self._stream.write(text)
            self._stream.flush()
