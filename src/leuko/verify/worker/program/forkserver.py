"""A test runner kept loaded: each batch runs in a fork of it, so that nothing of one batch reaches the next.

    python3 leuko_worker/forkserver.py MODULE DESCRIPTOR [bare]

Only the runner and its installed plugins are loaded here, never a file of the checkout: what a fork finds is
what a fresh interpreter would find after importing them. Where plugins start threads or bring files of the
checkout along, the worker starts this again, `bare`. It sends requests through a socket, the descriptors of
the output with them.
"""

from __future__ import annotations

import array
import json
import os
import runpy
import signal
import socket
import sys
from typing import Any, Dict, List, Tuple

_PRELOADED = {"pytest": "pytest", "leuko_worker.unittest_runner": "unittest"}


def main(module: str, descriptor: int, bare: bool) -> Dict[str, Any]:
    """Serves until the worker closes its end. Returns in a fork only: with what the fork is to run."""
    sys.path[0] = os.getcwd()  # as with `python -m`
    line = socket.socket(fileno=descriptor)
    __import__(_PRELOADED[module])
    if module == "pytest" and not bare:
        try:
            _load_plugins()
        except Exception as error:  # noqa: BLE001 - private parts that have moved, or a plugin that does not load
            _say(line, unsafe="its plugins do not load: {!r}".format(error)[:300])
            os._exit(1)
    unsafe = _unsafe()
    if unsafe:
        _say(line, unsafe=unsafe)
        os._exit(1)
    _say(line, ready=True)
    while True:
        request, descriptors = _receive(line)
        if not request:
            os._exit(0)
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            line.close()
            return _become(request, descriptors)
        for each in descriptors:
            os.close(each)
        _say(line, pid=pid)
        _, status = os.waitpid(pid, 0)
        _say(line, code=-os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))


def _load_plugins() -> None:
    """Imports the installed plugins of pytest as pytest would: with their assertions rewritten."""
    from importlib import import_module
    from importlib.metadata import distributions

    from _pytest.assertion import install_importhook
    from _pytest.config import get_config

    if os.environ.get("PYTEST_DISABLE_PLUGIN_AUTOLOAD"):
        return
    config = get_config([])
    hook = install_importhook(config)
    try:
        mark: Any = config._mark_plugins_for_rewrite  # noqa: SLF001 - else pytest warns of modules loaded before it
        mark(*[hook, False][: mark.__code__.co_argcount - 1])
        for distribution in distributions():
            for entry in distribution.entry_points:
                if entry.group == "pytest11":
                    import_module(entry.value.partition(":")[0].strip())
    finally:
        sys.meta_path.remove(hook)


def _unsafe() -> str:
    """Why a fork of this process would not be like a process of its own; empty where it is."""
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        return "{} threads run in it".format(threads)
    top = os.path.join(os.path.realpath(os.getcwd()), "")
    for name, module in list(sys.modules.items()):
        path = os.path.realpath(str(getattr(module, "__file__", None) or "/"))
        if path.startswith(top) and "site-packages" not in path and "dist-packages" not in path:
            return "it would keep {} of the checkout".format(name)
    return ""


def _become(request: Dict[str, Any], descriptors: List[int]) -> Dict[str, Any]:
    """In the fork: what a process of its own would have."""
    os.setsid()
    _die_with_parent()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in zip((0, 1, 2), (nothing, *descriptors)):
        os.dup2(source, target)
    for each in (nothing, *descriptors):
        os.close(each)
    os.chdir(request["cwd"])
    sys.path[0] = request["cwd"]
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv[:] = [request["module"], *request["arguments"]]
    return request


def _die_with_parent() -> None:
    import ctypes

    try:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
    except (OSError, AttributeError):  # another kernel
        pass


def _say(line: socket.socket, **facts: Any) -> None:
    line.send(json.dumps(facts).encode("ascii"))


def _receive(line: socket.socket) -> Tuple[Dict[str, Any], List[int]]:
    found = array.array("i")
    data, ancillary, _, _ = line.recvmsg(4096, socket.CMSG_LEN(2 * found.itemsize))
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(content[: len(content) - len(content) % found.itemsize])
    if not data:
        return {}, []
    with open(data.decode("utf-8"), encoding="utf-8") as file:
        return json.load(file), list(found)


if __name__ == "__main__":
    request = main(sys.argv[1], int(sys.argv[2]), "bare" in sys.argv[3:])
    runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
