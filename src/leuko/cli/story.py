"""What is known of a push while it is followed: the page it began with, and every event since."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ENDED = frozenset({"LIVE", "ROLLED_BACK", "CANCELLED", "STUCK"})
HELD = "HELD"
HOLD_BACK = -1


@dataclass(slots=True)
class HostLine:
    """Where one host stands."""

    role: str
    phase: int
    state: str
    detail: str = ""


@dataclass(slots=True)
class Story:
    """`revision` and `build` while there is no push yet. Values are those of the API."""

    revision: str = ""
    build: dict[str, Any] | None = None
    page: dict[str, Any] | None = None
    hosts: dict[str, HostLine] = field(default_factory=dict)
    watch: dict[str, Any] = field(default_factory=dict)
    """The newest verdict: phase, decision, ticks, wanted, sentence."""
    waits: str = ""
    refused: str = ""

    @property
    def push(self) -> dict[str, Any] | None:
        """The push's summary, once there is one."""
        return self.page["push"] if self.page else None

    @property
    def number(self) -> int | None:
        """Of the push."""
        return self.push["number"] if self.push else None

    @property
    def state(self) -> str:
        """Of the push; empty before there is one."""
        return str(self.push["state"]) if self.push else ""

    @property
    def over(self) -> bool:
        """Nothing more to follow: ended, held, refused, or a build that is not green."""
        if self.push is not None:
            return self.state in ENDED or self.state == HELD
        return bool(self.refused) or self.build_failed

    @property
    def build_failed(self) -> bool:
        """The build ended, and no push can come of it."""
        return self.build is not None and self.build["state"] in ("failed", "cancelled")

    @property
    def build_broken(self) -> bool:
        """The build could not be carried out, and nobody tries again."""
        return self.build is not None and self.build["state"] == "broken"

    def take_page(self, page: Mapping[str, Any]) -> None:
        """The whole of the push as it is now."""
        self.page = dict(page)
        self.hosts = {
            host["host"]: HostLine(host["role"], host["phase"], host["state"], host["detail"])
            for host in page["hosts"]
        }
        phase = page["push"]["phase"]
        verdict = next((one["verdict"] for one in page["phases"] if one["phase"] == phase), None)
        since = str(page["push"]["since"])
        if verdict and (page["push"]["state"] != "WATCHING" or str(verdict["at"]) >= since):
            self.watch = {
                name: verdict[name] for name in ("phase", "decision", "ticks", "wanted", "sentence")
            }
        elif self.watch.get("phase") != phase:
            self.watch = {}
        self.waits = " ".join(page["why"]) if page["push"]["state"] == "PENDING" else ""

    def take_event(self, event: Mapping[str, Any]) -> str:
        """What has to be asked for again after this event: `push 12`, `build 4`, or nothing."""
        kind, data, subject = event["kind"], event["data"], event["subject"]
        if self.page is None:
            return self._before_push(kind, data, subject)
        ours = data.get("push") == self.number or subject == f"push {self.number}"
        if not ours or event["number"] <= self.page["event"]:
            return ""  # another push's, or the page knows it already
        match kind:
            case "host" if data.get("host") in self.hosts:
                line = self.hosts[data["host"]]
                line.state, line.detail = str(data.get("state", line.state)), str(data.get("detail", ""))
            case "watch":
                self.watch = dict(data)
            case "push.waits":
                self.waits = str(data.get("reason", ""))
            case _:
                return f"push {self.number}"
        return ""

    def _before_push(self, kind: str, data: Mapping[str, Any], subject: str) -> str:
        if kind == "push" and data.get("revision") == self.revision:
            return f"push {data.get('push') or subject.removeprefix('push ')}"
        if kind in ("push.refused", "push.blocked") and subject == self.revision:
            self.refused = str(data.get("reason", ""))
        if kind.startswith("build") and self.build is not None:
            if data.get("again") == self.build["id"]:
                return f"build {data['build']}"
            if subject == f"build {self.build['id']}":
                return f"build {self.build['id']}"
        return ""

    def counts(self, phase: int) -> Counter[str]:
        """Hosts of a phase by state."""
        return Counter(host.state for host in self.hosts.values() if host.phase == phase)

    @property
    def phases(self) -> list[int]:
        """Numbers of the phases that have hosts, in the order in which they are switched."""
        found = {host.phase for host in self.hosts.values()}
        return sorted(found, key=lambda phase: (phase == HOLD_BACK, phase))
