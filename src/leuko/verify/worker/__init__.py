"""The worker program: what is sent to the machine that runs the tests, and how it is started there."""

from __future__ import annotations

from importlib import resources

PROTOCOL = 1
"""Of the frames; the worker's first frame, `ready`, says its own."""

_START = """
import os, sys
size = b""
while not size.endswith(b"\\n"):
    size += os.read(0, 1) or sys.exit(2)
left, text = int(size), b""
while len(text) < left:
    text += os.read(0, left - len(text)) or sys.exit(2)
exec(compile(text, "leuko-worker", "exec"))
"""

_UNPACK = """
import os, shutil, sys, tempfile
sys.dont_write_bytecode = True
tools = tempfile.mkdtemp(prefix="leuko-tools-")
for name, text in FILES.items():
    place = os.path.join(tools, "leuko_worker", name)
    os.makedirs(os.path.dirname(place), exist_ok=True)
    with open(place, "w", encoding="utf-8") as file:
        file.write(text)
sys.path.insert(0, tools)
from leuko_worker.main import main
try:
    code = main(tools)
finally:
    shutil.rmtree(tools, ignore_errors=True)
sys.exit(code)
"""


def program() -> str:
    """The whole program as one Python text: it unpacks itself and serves."""
    folder = resources.files(__name__) / "program"
    files = {name: (folder / name).read_text(encoding="utf-8") for name in _names()}
    return f"FILES = {files!r}\n{_UNPACK}"


def start_argv(python: str = "python3") -> list[str]:
    """Starts a worker, in the checkout, by any Python from 3.8. It reads `greeting`, then assignments.

    `-I`: no module of the checkout can stand in for one of the standard library.
    """
    return [python, "-I", "-c", _START]


def greeting() -> bytes:
    """The first bytes of a worker's standard input: the program itself."""
    text = program().encode()
    return str(len(text)).encode() + b"\n" + text


def _names() -> list[str]:
    folder = resources.files(__name__) / "program"
    found = [entry.name for entry in folder.iterdir() if entry.name.endswith((".py", ".mjs"))]
    site = folder / "site"
    if site.is_dir():
        found += [f"site/{entry.name}" for entry in site.iterdir() if entry.name.endswith(".py")]
    return sorted(found)
