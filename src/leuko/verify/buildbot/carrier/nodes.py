"""Set-up nodes: each runs once in a tree, and the batches that come later find what it left."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from typing import Any, Dict

from .processes import MARK
from .voice import Voice

TAIL = 65_536
STANDARD_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def environment(order: Dict[str, Any], folder: str) -> Dict[str, Any]:
    """The whole environment of commands of the build: nothing of the worker's but its PATH."""
    own = os.environ.get("PATH", "")
    return {
        **order["environment"],
        "PATH": own + ":" + STANDARD_PATH if own else STANDARD_PATH,
        "LANG": "C.UTF-8",
        "HOME": os.path.join(folder, "home"),
        "TMPDIR": os.path.join(folder, "tmp"),
        "USER": os.environ.get("USER", ""),
        "LOGNAME": os.environ.get("LOGNAME", ""),
        "SHELL": "/bin/sh",
        "CI": "true",
        "LEUKO_REVISION": order["revision"],
        "LEUKO_BUILD": order["build"],
        MARK: folder,
    }


def set_up(order: Dict[str, Any], folder: str, voice: Voice) -> bool:
    """Runs the nodes that the batch needs and that were not run in this tree yet; True where all passed."""
    path = os.path.join(folder, "setup.json")
    done = {}
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            done = json.load(file)
    for node in order["setup"]:
        name = node["name"]
        if name not in done:
            if all(done.get(need, {}).get("state") == "passed" for need in node["needs"]):
                voice.tell("node", name=name, state="running")
                done[name] = run_node(node, order, folder)
            else:
                done[name] = {"state": "skipped", "reason": "what it needs did not pass"}
            with open(path + ".new", "w", encoding="utf-8") as file:
                json.dump(done, file)
            os.replace(path + ".new", path)
            voice.tell("node", name=name, **done[name])
        elif done[name]["state"] != "passed":
            voice.tell("node", name=name, **done[name])
    return all(done[node["name"]]["state"] == "passed" for node in order["setup"])


def run_node(node: Dict[str, Any], order: Dict[str, Any], folder: str) -> Dict[str, Any]:
    """What came of one node of the set-up."""
    log = os.path.join(folder, "setup.log")
    begun = time.monotonic()
    with open(log, "wb") as out:
        process = subprocess.Popen(
            ["/bin/sh", "-c", node["run"]],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=os.path.join(folder, "checkout"),
            env=environment(order, folder),
            start_new_session=True,
        )
        reason = ""
        try:
            code = process.wait(node["timeout"])
        except subprocess.TimeoutExpired:
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            code, reason = process.wait(), "did not end within %g s" % node["timeout"]
    seconds = round(time.monotonic() - begun, 3)
    if code != 0 and not reason:
        reason = "exit %d" % code if code > 0 else "was ended by signal %d" % -code
    broken = "a program it starts is not there or cannot be run" if code in (126, 127) else ""
    state = "passed" if code == 0 else "failed"
    return {"state": state, "seconds": seconds, "reason": reason, "broken": broken, "output": end_of(log)}


def end_of(path: str) -> str:
    """The last part of a file."""
    with open(path, "rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - TAIL))
        return file.read().decode("utf-8", "replace")
