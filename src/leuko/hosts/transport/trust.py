"""Known hosts, read once for a thousand connections: parsed again only when a file has changed."""

from __future__ import annotations

from pathlib import Path

import asyncssh

Stamp = tuple[tuple[str, int, int], ...]


class KnownHosts:
    """Parsed known_hosts files."""

    def __init__(self) -> None:
        self._parsed: dict[Stamp, asyncssh.SSHKnownHosts] = {}

    def read(self, files: tuple[str, ...]) -> asyncssh.SSHKnownHosts:
        """All of them as one. A file that is missing holds no keys; one that cannot be read is an OSError."""
        paths = [path for file in files if (path := Path(file).expanduser()).is_file()]
        stamp = tuple((str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in paths)
        if stamp not in self._parsed:
            self._parsed = {
                k: v for k, v in self._parsed.items() if [p for p, *_ in k] != [p for p, *_ in stamp]
            }
            text = "\n".join(path.read_text(errors="replace") for path in paths)
            self._parsed[stamp] = asyncssh.import_known_hosts(text)
        return self._parsed[stamp]
