"""What a search came to, or how far it is, as sentences for the person who has to act."""

from __future__ import annotations

from leuko.domain.culprit import Inquiry, Subject, Suspect

SHOWN = 3


def named(suspect: Suspect) -> str:
    """`1a2b3c4d "Vouchers" by Ann`."""
    subject = suspect.subject if len(suspect.subject) <= 72 else suspect.subject[:69] + "..."
    by = f" by {suspect.author}" if suspect.author else ""
    return f'{suspect.revision[:8]} "{subject}"{by}' if subject else f"{suspect.revision[:8]}{by}"


def titles(subjects: tuple[Subject, ...]) -> str:
    """The first few, and how many more."""
    shown = ", ".join(one.title for one in subjects[:SHOWN])
    more = len(subjects) - SHOWN
    return shown + (f" and {more} more" if more > 0 else "")


def answer(inquiry: Inquiry) -> str:
    """One sentence for each different answer."""
    groups: dict[tuple[str, tuple[int, ...]], list[Subject]] = {}
    for subject in inquiry.subjects:
        groups.setdefault((subject.answer, subject.culprits), []).append(subject)
    return " ".join(_one(inquiry, tuple(subjects)) for subjects in groups.values())


def _one(inquiry: Inquiry, subjects: tuple[Subject, ...]) -> str:
    first, what = subjects[0], titles(subjects)
    runs = len(inquiry.probes)
    match first.answer:
        case "culprit" if len(first.culprits) == 1:
            who = named(inquiry.suspects[first.culprits[0] - 1])
            return f"{who} broke {what}: it fails there and passes at its parent ({runs} runs)."
        case "culprit":
            names = ", ".join(inquiry.revision(version)[:8] for version in first.culprits)
            return f"One of {names} broke {what}: what lies between cannot be tested."
        case "flake":
            return (
                f"No change broke {what}: a flake. It passes where it failed, and fails by chance about "
                f"{first.rate:.0%} of the time."
            )
        case "before":
            return (
                f"No change of this range broke {what}: it fails at {inquiry.good[:8]}, too, which comes "
                "before all of them. Look at what the tests need from outside."
            )
        case "open":
            return progress(inquiry)
        case _:
            return _unclear(inquiry, first, what)


def _unclear(inquiry: Inquiry, subject: Subject, what: str) -> str:
    if not subject.culprits:
        return f"Which change broke {what} cannot be told: the ends of the range cannot be tested."
    names = ", ".join(named(inquiry.suspects[version - 1]) for version in subject.culprits[:SHOWN])
    more = len(subject.culprits) - SHOWN
    rest = f", or one of {more} more" if more > 0 else ""
    return (
        f"Which change broke {what} cannot be told after {len(inquiry.probes)} runs: perhaps {names}{rest}."
    )


def progress(inquiry: Inquiry) -> str:
    """How far a search is, and whom it suspects most."""
    waiting = inquiry.open
    done = sum(probe.state != "running" for probe in inquiry.probes)
    many = (
        f"Which of {len(inquiry.suspects)} changes broke" if inquiry.last > 1 else "Whether the change broke"
    )
    head = f"{many} {titles(waiting)} is being looked for: {done} runs so far"
    first = waiting[0] if waiting else None
    if first is None or not first.changes:
        return head + "."
    best = max(range(len(first.changes)), key=lambda index: first.changes[index])
    if first.flake > first.changes[best]:
        return f"{head}, most likely a flake ({first.flake:.0%})."
    return f"{head}, most likely {named(inquiry.suspects[best])} ({first.changes[best]:.0%})."


def warning(inquiry: Inquiry, suspect: Suspect) -> str:
    """Why the commit lock is taken."""
    version = inquiry.suspects.index(suspect) + 1
    mine = tuple(one for one in inquiry.subjects if one.culprits == (version,))
    follows = "everything that lands on top is red until it is fixed or reverted"
    return f"{named(suspect)} broke {titles(mine)}; {follows}"
