"""What an intent means to a push, and how a refusal is told."""

from __future__ import annotations

from leuko.domain.errors import LeukoError, Refused
from leuko.domain.intent import Intent, IntentKind
from leuko.domain.push import Abort, Hold, Promote, Push, Resume
from leuko.domain.push import Intent as PushIntent


def refusal(error: LeukoError) -> dict[str, str]:
    """As the API and the CLI show it."""
    return {"rule": error.rule, "where": error.where, "way_out": error.way_out, "code": error.code}


def check_fresh(intent: Intent, push: Push) -> None:
    """Letting a push go on by an old picture of it is refused; stopping it never is."""
    if intent.kind not in (IntentKind.PROMOTE, IntentKind.RESUME) or not intent.seen_state:
        return
    if intent.seen_state != push.state.value or intent.seen_version not in (None, push.version):
        raise Refused(
            f"{push.name} is {push.state} now, and was {intent.seen_state} when you looked",
            where=str(push.line),
            way_out="look at it again, and decide again",
            code="P013",
        )


def event_of(intent: Intent) -> PushIntent:
    """What it means to the push."""
    match intent.kind:
        case IntentKind.ABORT:
            return Abort(intent.by, intent.why)
        case IntentKind.HOLD:
            return Hold(intent.by, intent.why)
        case IntentKind.RESUME:
            return Resume(intent.by, intent.why)
        case _:
            return Promote(intent.by, intent.why)


def fault(error: Exception) -> dict[str, str]:
    """An error that is nobody's but ours."""
    return {
        "rule": f"it could not be obeyed: {type(error).__name__}: {error}",
        "where": "",
        "way_out": "this is a fault of Leuko's; the controller's log tells more",
        "code": "P015",
    }
