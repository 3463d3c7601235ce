"""What all batches of a worker share: its frames, its one place to wait, its folder, its loaded runner."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections import deque
from typing import Any, Deque, Dict, List, Optional

from .events import SPEC
from .frames import Frames
from .pipes import Waiting
from .processes import reap
from .started import Cold, search
from .warm import ColdError, Loaded, Warm, load

_READ = 1 << 18
_MOST_LOADED = 4


class Station:
    """`tools` holds the package `leuko_worker`; `folder` is the worker's own, cleared at its end."""

    def __init__(self, frames: Frames, waiting: Waiting, tools: str, folder: str, keeper: int) -> None:
        self._keeper = keeper
        self.frames = frames
        self.waiting = waiting
        self.tools = tools
        self._folder = folder
        self._loaded: Dict[str, Optional[Loaded]] = {}
        self._rest = b""
        self._lines: Deque[Dict[str, Any]] = deque()
        self._cancelled = False
        self.over = False
        """Nothing more comes in."""
        os.set_blocking(0, False)
        waiting.listen(0, self._read)

    def next(self) -> Optional[Dict[str, Any]]:
        """The next assignment; None when there will be none."""
        while not self._lines and not self.over:
            self.waiting.once(None)
        self._cancelled = False
        return self._lines.popleft() if self._lines else None

    def stop(self, assignment: Dict[str, Any]) -> str:
        """Why what runs is to end at once; empty where it is not."""
        if self._cancelled:
            return "cancelled"
        if self.over and not assignment.get("last"):
            return "left alone"
        return ""

    def start(
        self,
        task: Dict[str, Any],
        argv: List[str],
        env: Dict[str, str],
        top: str,
        out: int,
        err: int,
        scratch: str,
    ) -> Any:
        """Starts a call's command: in a fork of a loaded runner where that may be. Raises OSError."""
        if task.get("warm"):
            try:
                return self._fork(task["warm"], env, top, out, err, scratch)
            except ColdError as error:
                if str(error):  # said once
                    self.frames.emit("note", text="the runner is not kept loaded: {}".format(error))
        if not search(argv[0], env):
            raise FileNotFoundError(2, "{}: no such program".format(argv[0]))
        return Cold(argv, env, top, out, err)

    def _fork(
        self, warm: Dict[str, Any], env: Dict[str, str], top: str, out: int, err: int, scratch: str
    ) -> Warm:
        own = {name: value for name, value in env.items() if name != SPEC}
        key = json.dumps([warm["head"], warm["module"], top, own], sort_keys=True)
        if key not in self._loaded:
            self._make_room()
            self._loaded[key] = None  # when it fails, it is not tried again
            self._loaded[key] = load(self.tools, warm["head"], warm["module"], own, top)
        loaded = self._loaded[key]
        if loaded is None:
            raise ColdError("")
        request = {"module": warm["module"], "arguments": warm["arguments"], "env": env, "cwd": top}
        place = os.path.join(scratch, "request.json")
        with open(place, "w", encoding="utf-8") as file:
            json.dump(request, file)
        try:
            pid = loaded.start(place, out, err)
        except ColdError:  # something ended it between two batches: once more
            loaded.close()
            self._loaded[key] = None
            loaded = self._loaded[key] = load(self.tools, warm["head"], warm["module"], own, top)
            pid = loaded.start(place, out, err)
        loaded.listen(self.waiting)
        return Warm(loaded, pid)

    def _make_room(self) -> None:
        """Few are kept loaded: they take memory."""
        while len(self._loaded) >= _MOST_LOADED:
            oldest = self._loaded.pop(next(iter(self._loaded)))
            if oldest is not None:
                oldest.close()

    def between(self) -> None:
        """Between two batches: buries what was left to us."""
        loaded = [each.pid for each in self._loaded.values() if each is not None]
        reap((self._keeper, *loaded))

    def scratch(self) -> str:
        """A folder for one call."""
        return tempfile.mkdtemp(dir=self._folder)

    def clear(self, scratch: str) -> None:
        """Takes it away."""
        shutil.rmtree(scratch, ignore_errors=True)

    def _read(self) -> None:
        try:
            data = os.read(0, _READ)
        except BlockingIOError:
            return
        if not data:
            self.over = True
            self.waiting.forget(0)
            return
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            if not line.strip():
                continue
            order = json.loads(line)
            if order.get("cancel"):
                self._cancelled = True
            else:
                self._lines.append(order)
