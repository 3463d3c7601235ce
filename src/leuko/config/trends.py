"""What is watched after a release is live: which gauges' slow changes matter, and how much."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from leuko.config.quantities import Duration, PercentageText
from leuko.config.section import Section


class GaugeTrend(Section):
    """How slow changes of one gauge are watched. `true` and `false` alone switch it on and off."""

    watched: bool = Field(True, description="False: not at all.")
    capacity: float | None = Field(
        None, description="The value at which it is used up; a warning says how long is left."
    )
    over: str = Field(
        "",
        pattern=r"^(|[A-Za-z0-9][A-Za-z0-9_.:-]{0,62})$",
        description="What the chain of releases is laid along: `uptime` for what a restart empties, `time`, "
        "or the name of a count gauge, such as requests; empty: `uptime` for memory, else `time`.",
    )
    notable: PercentageText | None = Field(
        None, description="Growth within the horizon that is worth a warning where there is no capacity."
    )

    @model_validator(mode="before")
    @classmethod
    def _switch_alone(cls, value: Any) -> Any:
        """`trend: true` is short for `trend: {}`."""
        return {"watched": value} if isinstance(value, bool) else value


class Trends(Section):
    """Slow failures: what is watched for after a release is live."""

    watch: Duration = Field(
        86400.0,
        description="How long after a push became live its trends are watched at least; longer where "
        "readings do not suffice for an answer yet.",
    )
    horizon: Duration = Field(
        604800.0, description="A capacity that lasts longer than this, or growth that takes longer, can wait."
    )
    notable: PercentageText = Field(
        "10%", description="Growth within the horizon, of the level, that is worth a warning."
    )
    false_warnings: Annotated[float, Field(gt=0.0, le=1000.0)] = Field(
        1.0, description="Warnings a month that chance may give, all gauges and hosts together."
    )
    roll_back: bool = Field(
        False,
        description="Roll a push back by itself when a trend that would use up a capacity within the horizon "
        "began with it and no other push lies on top.",
    )
