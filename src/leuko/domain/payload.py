"""The files that carry a release's tree to hosts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Payload:
    """Prepared files on the controller (paths as text) of one component of one release.

    `deltas` maps the name of a release that a host already has to the file that turns it into the target.
    """

    component: str
    target: str
    manifest: str
    full: str
    deltas: Mapping[str, str] = field(default_factory=dict, hash=False)
