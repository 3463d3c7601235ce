"""The configuration as values: what `leuko.yml` holds once it is loaded, merged and checked.

Frozen pydantic models; `loading.py` reads and places them, `quantities.py` parses durations and shares.
Field descriptions are the reference: the JSON Schema and the annotated example are checked against them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from leuko.config.farm import Coverage, Culprits, Farm, Outside, Reverts
from leuko.config.quantities import Duration, PercentageText, ShareText, TickCount
from leuko.config.section import Section
from leuko.config.sources import (
    PLACEHOLDER,
    CommandSource,
    GraphiteSource,
    HostSource,
    HttpSource,
    LogSource,
    PrometheusSource,
    SlowLog,
    SqlSource,
)
from leuko.config.trends import GaugeTrend, Trends
from leuko.config.verify import Verify

Direction = Literal["up", "down", "both"]


class Release(Section):
    """How a release is built, once. May come from the revision's own `leuko.yml`."""

    build: str = Field(
        "", description="Shell command that builds, in the verified checkout; empty: nothing to do."
    )
    path: str = Field(".", description="The folder, inside the checkout, that becomes the component's tree.")
    exclude: tuple[str, ...] = Field((), description="Glob patterns left out of the tree; `.git` always is.")
    linked_dirs: tuple[str, ...] = Field(
        (), description="Folders that live in `shared/` and are linked into each release."
    )
    linked_files: tuple[str, ...] = Field(
        (), description="Files that live in `shared/` and are linked into each release."
    )
    timeout: Duration = Field(1800.0, description="Longest time of the build command.")


class Hooks(Section):
    """Shell commands on the host, run in the release's folder. May come from the revision's own file."""

    before_stage: str = Field("", description="Before the release is copied.")
    after_stage: str = Field("", description="When the release is there and complete, before any switch.")
    drain: str = Field("", description="Takes the host out of its load balancer, before a switch.")
    before_switch: str = Field("", description="Just before `current` points at the new release.")
    reload: str = Field("", description="Makes the application run what `current` now points at.")
    after_switch: str = Field("", description="When the host runs the new release and is healthy.")
    undrain: str = Field("", description="Puts the host back into its load balancer.")
    before_restore: str = Field("", description="Just before `current` points at the old release again.")
    after_restore: str = Field("", description="When the host runs the old release again.")
    stop: str = Field("", description="Stops the application: how a failed first push is taken back.")
    timeout: Duration = Field(120.0, description="Longest time of one hook.")


class Health(Section):
    """How a host is asked whether it serves, after a reload. May come from the revision's own file."""

    command: str = Field(
        "", description="Shell command on the host; exit 0 is healthy. `curl -fsS localhost:$PORT/health`."
    )
    timeout: Duration = Field(10.0, description="Longest time of one try.")
    tries: int = Field(5, ge=1, le=100, description="Tries before the host counts as unhealthy.")
    pause: Duration = Field(1.0, description="Time between two tries.")


class Running(Section):
    """How a host is asked what it really runs: a command that prints the release's name or revision."""

    command: str = Field(
        "", description="Prints the revision or release that the processes run, not where the link points."
    )


class Ssh(Section):
    """How hosts are reached. Only from the installation's own file."""

    user: str = Field("", description="Login on the hosts; empty: as ssh_config says.")
    port: int = Field(22, ge=1, le=65535, description="Port of the hosts' ssh server.")
    identity: str = Field("", description="Private key file; empty: agent and defaults.")
    known_hosts: str = Field(
        "", description="File of host keys; empty: the user's own. Unknown keys are refused."
    )
    jump: tuple[str, ...] = Field((), description="Jump hosts, `user@host:port`, in order.")
    options: dict[str, str] = Field({}, description="Further ssh_config options.")
    driver: Literal["auto", "asyncssh", "openssh"] = Field(
        "auto", description="`openssh` uses the ssh program; `auto` does so where ssh_config asks for it."
    )
    connect_timeout: Duration = Field(10.0, description="Longest time until a host must have answered.")


class HostEntry(Section):
    """One host, where its name alone does not say it all."""

    name: str = Field(
        description="Unique in the fleet; a range such as `www[01:20]` stands for several hosts."
    )
    address: str = Field("", description="Where it is reached; empty: its name.")
    port: int | None = Field(None, ge=1, le=65535, description="ssh port; empty: as in fleet.ssh.")
    user: str = Field("", description="Login; empty: as in fleet.ssh.")
    root: str = Field("", description="Overrides fleet.root on this host.")
    vars: dict[str, str] = Field({}, description="Environment of its hooks, and `{name}` in gauge addresses.")

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, value: Any) -> Any:
        """`- www1.example.com` is short for `- name: www1.example.com`."""
        return {"name": value} if isinstance(value, str) else value


class Role(Section):
    """The hosts of one role."""

    hosts: tuple[HostEntry, ...] = Field(
        (),
        description="Hosts by name, or with more about each; `www[01:20].example.com` stands for twenty.",
    )
    pushed: bool = Field(True, description="False: only watched (a database, a cache).")

    @model_validator(mode="before")
    @classmethod
    def _hosts_alone(cls, value: Any) -> Any:
        """`www: [www1, www2]` is short for `www: {hosts: [www1, www2]}`."""
        return {"hosts": value} if isinstance(value, list | tuple) else value


class Inventory(Section):
    """Hosts from elsewhere: an Ansible inventory file (INI or YAML), or a command that prints one."""

    file: str = Field("", description="Path, from the folder of this file.")
    command: tuple[str, ...] = Field((), description="argv; prints INI, YAML or the JSON of `--list`.")
    groups: dict[str, str] = Field(
        {}, description="Ansible group -> role. Groups not named here are left out."
    )
    vars: tuple[str, ...] = Field(
        (),
        description="Inventory variables that hooks and gauge addresses get; others stay there.",
    )
    refresh: Duration = Field(300.0, description="How often a command is asked again.")


class Fleet(Section):
    """The servers. Hosts and ssh only from the installation's own file."""

    transport: Literal["ssh", "local"] = Field(
        "ssh", description="`local`: the hosts are folders of this machine, for trials and for one server."
    )
    root: str = Field(
        "/srv",
        description="Folder on the hosts; the application lives in `<root>/<application>/<component>`. "
        "May hold `{name}`, the host's.",
    )
    roles: dict[str, Role] = Field({}, description="Role -> its hosts: `www: [www1, www2]`.")
    inventory: Inventory | None = Field(
        None, description="Further hosts, from an Ansible inventory or a list."
    )
    ssh: Ssh = Field(Ssh(), description="How hosts are reached.")
    hooks: Hooks = Field(Hooks(), description="What runs on a host around a switch.")
    health: Health = Field(Health(), description="How a host is asked whether it serves.")
    running: Running = Field(Running(), description="How a host is asked what it really runs.")
    min_healthy: ShareText = Field(
        "75%", description="Part of each role that stays in service while hosts switch."
    )
    keep: int = Field(5, ge=2, le=100, description="Good releases kept on every host.")


class Phase(Section):
    """A set of hosts switched together, then watched."""

    hosts: ShareText | None = Field(
        None, description='A count ("2") or the share reached ("10%"), of each role.'
    )
    roles: tuple[str, ...] = Field((), description="Only these roles.")
    names: tuple[str, ...] = Field((), description="These very hosts.")
    watch: TickCount = Field(
        12,
        description='How many closed ticks with data the watch lasts: 12, "12 ticks", or "1m".',
    )
    gate: str = Field("", description="Reserved: a person or program that must agree before the phase.")
    run_once: str = Field("", description="Reserved: a step that runs once, on one host, before the phase.")


class Budget(Section):
    """What may go wrong with hosts before a push stops."""

    unreachable: ShareText = Field(
        "10%", description="Hosts that may be left out because they cannot be reached, over the whole push."
    )
    failed: int = Field(
        0,
        ge=0,
        description="Failed switches that later phases may restore and leave out; among canaries one is "
        "always enough to stop.",
    )


class Window(Section):
    """A time in which no push starts: five cron fields for its beginning, and how long it lasts."""

    start: str = Field(description='Cron fields, for example "0 16 * * FRI".')
    lasts: Duration = Field(description="How long it lasts.")
    timezone: str = Field("UTC", description='Of the cron fields: "Europe/Berlin".')
    reason: str = Field("", description="Shown to whoever asks why nothing moves.")


class PushSection(Section):
    """How a release goes out."""

    phases: tuple[Phase, ...] = Field(
        (Phase(hosts="10%", watch=12), Phase(hosts="100%", watch=60)),
        description="In order; the first one's hosts are the canaries.",
    )
    hold_back: ShareText | None = Field(
        None, description="Hosts kept on the old release until the last phase has passed."
    )
    false_rollbacks: PercentageText = Field(
        "0.5%", description="Part of healthy pushes that the verdict may roll back by chance: at most 10 %."
    )
    observe: bool = Field(
        False, description="Judge without acting: what would have rolled back or held is told, and goes on."
    )
    rotate: bool = Field(True, description="Other canaries at each push.")
    budget: Budget = Field(Budget(), description="What may go wrong with hosts before a push stops.")
    windows: tuple[Window, ...] = Field((), description="Times in which no push starts.")
    approver: bool = Field(
        False, description="A push that changes hooks, gauges, limits or fleet waits for a person."
    )
    stage_timeout: Duration = Field(1800.0, description="Longest time of the copy to one host.")
    switch_timeout: Duration = Field(
        600.0, description="Longest time of the switch of one host, with its hooks."
    )
    watch_timeout: Duration = Field(1800.0, description="Longest watch of one phase; then the push is held.")
    held_timeout: Duration = Field(
        3600.0, description="How long a held push waits for a person; then it rolls back."
    )
    restore_timeout: Duration = Field(
        300.0, description="After this, a host that could not be restored makes the push STUCK."
    )


class GaugeLimit(Section):
    """An operator's hard bound. Counts are in events a minute."""

    above: float | None = Field(None, description="Broken by a value above this.")
    below: float | None = Field(None, description="Broken by a value below this.")
    scope: Literal["host", "aggregate"] = Field(
        "host", description="Each host by itself, or the sum or mean of a role and of all."
    )
    role: str = Field("", description="Only hosts of this role; empty: all that the gauge is read on.")
    host: str = Field("", description="Only the host of this name.")
    readings: int = Field(2, ge=1, le=100, description="Readings in a row that must break it.")


class Gauge(Section):
    """Something watched. May come from the revision's own file; the installation's limits are the floor."""

    kind: Literal["count", "level", "ratio"] = Field(
        description="count: events; level: a value of now; ratio: a part of a whole."
    )
    direction: Direction = Field("up", description="Which way is bad.")
    unit: str = Field("", description="Shown behind the number: ms, MB.")
    roles: tuple[str, ...] = Field((), description="Only hosts of these roles; empty: all.")
    required: bool = Field(True, description="Must have data in 80 % of a watch's ticks.")
    must_see: Annotated[float | None, Field(gt=1.0)] = Field(
        None, description="Smallest change, as a factor, that a pass must have been able to show."
    )
    limits: tuple[GaugeLimit, ...] = Field((), description="Hard bounds.")
    host: HostSource | None = Field(None, description="Source: a figure of the host.")
    log: LogSource | None = Field(None, description="Source: lines of a log file.")
    http: HttpSource | None = Field(None, description="Source: a number from an HTTP endpoint of each host.")
    prometheus: PrometheusSource | None = Field(None, description="Source: an answer of Prometheus.")
    graphite: GraphiteSource | None = Field(None, description="Source: a series of Graphite.")
    sql: SqlSource | None = Field(None, description="Source: a number from a database.")
    command: CommandSource | None = Field(None, description="Source: a number that a program prints.")
    trend: GaugeTrend | None = Field(
        None, description="Watched for slow changes; left out: only memory and disk of the hosts are."
    )

    @property
    def hostless(self) -> bool:
        """True where it is of the whole and belongs to no host."""
        if self.graphite is not None:
            return PLACEHOLDER.search(self.graphite.target) is None
        if self.command is not None:
            return self.command.on == "controller" and not self.command.by
        asked = self.prometheus or self.sql
        return asked is not None and not asked.by


class Locks(Section):
    """How locks behave."""

    override: tuple[str, ...] = Field(
        (),
        description="Identities, as git server or API authenticate them, whose `Leuko-Override:` counts.",
    )
    expire: Duration | None = Field(
        None, description="Locks taken by a rollback end by themselves after this; empty: never."
    )


class Notify(Section):
    """Who is told of what."""

    urls: tuple[str, ...] = Field(
        (), description="Notification addresses (Apprise); write them as secrets: `secret:NAME`."
    )
    on: tuple[
        Literal[
            "live", "rolled_back", "held", "stuck", "build_failed", "observed", "detector", "trend", "culprit"
        ],
        ...,
    ] = Field(
        ("rolled_back", "held", "stuck", "build_failed", "observed", "detector", "trend", "culprit"),
        description="What is told. `observed`: what an observing push would have gone back for; `detector`: "
        "the verdict is wrong more often than it promises; `trend`: something slowly goes wrong; "
        "`culprit`: which change broke the tests, and its revert.",
    )
    command: tuple[str, ...] = Field((), description="argv run on the controller with the message on stdin.")


class Secret(Section):
    """Where a secret comes from: exactly one of the three."""

    env: str = Field("", description="Environment variable of `leuko serve`.")
    file: str = Field(
        "", description="Path, from the folder of this file; one line break at its end is taken off."
    )
    command: tuple[str, ...] = Field((), description="argv; prints the value.")


class Component(Section):
    """A part of the application with a tree of its own; what is not said here is as in `release`."""

    release: Release | None = Field(None, description="What differs from `release` at the top level.")
    roles: tuple[str, ...] = Field((), description="Roles that get it; empty: all.")


class Configuration(Section):
    """One line: an application in an environment."""

    application: str = Field(
        pattern=r"^[a-z][a-z0-9-]{0,62}$", description="Its name: in folders, addresses and messages."
    )
    environment: str = Field(
        "production",
        pattern=r"^[a-z][a-z0-9-]{0,62}$",
        description="Where it runs. `leuko.<environment>.yml` beside this file is laid over it.",
    )
    components: dict[str, Component] = Field({}, description="Empty: one, called `app`.")
    repository: str = Field(description="Path or address git can fetch from.")
    branch: str = Field("main", description="What lands on this branch goes live.")
    paths: tuple[str, ...] = Field(
        (), description="Glob patterns: only commits that touch one of them concern this application."
    )
    poll: Duration = Field(
        10.0, description="How often the branch is asked for news, besides the post-receive hook."
    )
    continuous: bool = Field(True, description="A green change goes live with no person's action.")
    tick: Duration = Field(5.0, description="Sampling interval.")
    revision_file: str = Field(
        "leuko.yml", description="The revision's own file, in its tree, for what it may say itself."
    )
    verify: Verify = Field(Verify(), description="How a change is verified.")
    farm: Farm = Field(Farm(), description="The machines that run the tests.")
    outside: Outside = Field(Outside(), description="Results of another CI that count as verification.")
    coverage: Coverage = Field(Coverage(), description="Changed lines that no test ran.")
    culprits: Culprits = Field(Culprits(), description="The search for the change that broke the tests.")
    reverts: Reverts = Field(Reverts(), description="Taking back what broke the tests.")
    verify_user: str = Field(
        "leuko-verify",
        description="Tests and builds run as this user, when the controller is root and the user exists. "
        "Only from the installation's own file.",
    )
    release: Release = Field(Release(), description="How a release is built.")
    fleet: Fleet = Field(Fleet(), description="The servers.")
    push: PushSection = Field(PushSection(), description="How a release goes out.")
    gauges: dict[str, Gauge] = Field({}, description="Name -> what is watched.")
    trends: Trends = Field(Trends(), description="What is watched after a release is live.")
    slow_queries: tuple[SlowLog, ...] = Field((), description="Logs that `leuko slow` and its page read.")
    locks: Locks = Field(Locks(), description="How locks behave.")
    notify: Notify = Field(Notify(), description="Who is told of what.")
    secrets: dict[str, Secret] = Field(
        {}, description="Name -> source; they reach hooks through a 0600 file named by LEUKO_SECRETS."
    )
