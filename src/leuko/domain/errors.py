"""What a user can cause, said so that the user can mend it."""

from __future__ import annotations


class LeukoError(Exception):
    """An error somebody outside the code can mend.

    `where` is a place (`leuko.yml:31:14 push.phases[1].watch`, a host, a command), `rule` what is wrong or
    should be, `way_out` what to do about it, `code` a stable id such as `C012` that the documentation lists.
    """

    exit_code = 1

    def __init__(self, rule: str, *, where: str = "", way_out: str = "", code: str = "") -> None:
        self.rule = rule
        self.where = where
        self.way_out = way_out
        self.code = code
        super().__init__(str(self))

    def __str__(self) -> str:
        head = f"{self.where}: {self.rule}" if self.where else self.rule
        tail = f" [{self.code}]" if self.code else ""
        return f"{head}{tail}" + (f"\n  {self.way_out}" if self.way_out else "")


class Refused(LeukoError):  # noqa: N818 - it is an answer, not a fault
    """A request that the present state does not allow; nothing was changed."""

    exit_code = 4
