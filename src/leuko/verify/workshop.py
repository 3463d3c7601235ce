"""A build's folder: `checkout`, `home` and `tmp`, its owner, and its end."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from leuko.domain.errors import LeukoError
from leuko.verify.account import Account


class WorkshopError(LeukoError):
    """The folder of builds cannot be used."""

    exit_code = 5


@dataclass(frozen=True, slots=True)
class Workshop:
    """The folders of one build."""

    folder: Path
    account: Account

    @property
    def checkout(self) -> Path:
        """The revision's tree."""
        return self.folder / "checkout"

    @property
    def home(self) -> Path:
        """HOME of its commands: empty at first."""
        return self.folder / "home"

    @property
    def temporary(self) -> Path:
        """TMPDIR of its commands."""
        return self.folder / "tmp"

    def hand_over(self) -> None:
        """Gives everything to the account, once the tree is there and before anything of it runs."""
        self.home.mkdir()
        self.temporary.mkdir()
        self.folder.chmod(0o700)
        if not self.account.separate:
            return
        objects = self.checkout / ".git" / "objects"
        for top, folders, files in os.walk(self.folder):
            names = folders if objects in (Path(top), *Path(top).parents) else [*folders, *files]
            for name in names:  # object files are hard links into the mirror: they stay ours
                os.chown(os.path.join(top, name), self.account.uid, self.account.gid, follow_symlinks=False)  # noqa: PTH118 - names may be undecodable
        os.chown(self.folder, self.account.uid, self.account.gid)

    def seal(self) -> None:
        """Takes the folder back: from now on only the controller gets in."""
        if self.account.separate:
            os.chown(self.folder, 0, 0)

    def unseal(self) -> None:
        """Lets the account in again."""
        if self.account.separate:
            os.chown(self.folder, self.account.uid, self.account.gid)

    def free_space_trouble(self) -> str:
        """Says so where the disk is full, else nothing."""
        state = os.statvfs(self.folder)
        if state.f_bavail * state.f_frsize < 1 << 20:
            return f"no space left on the disk of {self.folder.parent}"
        if state.f_files and state.f_favail == 0:
            return f"no inodes left on the disk of {self.folder.parent}"
        return ""

    def remove(self) -> None:
        """Takes the folder away, whatever the build did to its modes."""
        if self.folder.exists():
            self.seal()
            self.folder.chmod(0o700)
        remove_tree(self.folder)


def make(root: Path, build: str, account: Account) -> Workshop:
    """A new folder below `root`, with a name that other builds cannot guess."""
    root.mkdir(parents=True, exist_ok=True)
    if account.separate:
        os.chown(root, 0, 0)
        root.chmod(0o711)
    if not account.reaches(root):
        raise WorkshopError(
            f"the user {account.name!r} cannot get into the folder of builds",
            where=str(root),
            way_out="one of the folders above it is closed to others: choose another place for builds",
            code="B001",
        )
    folder = root / f"{build}-{secrets.token_hex(8)}"
    folder.mkdir(mode=0o700)
    return Workshop(folder, account)


def inside(checkout: Path, path: str) -> Path:
    """The folder that becomes the release; refused when it leads out of the checkout or is none."""
    top = checkout.resolve()
    found = (checkout / path).resolve()
    where = f"release.path {path!r}"
    if found != top and top not in found.parents:
        raise WorkshopError(
            "leads out of the checkout", where=where, way_out="name a folder inside it", code="B002"
        )
    if not found.is_dir():
        raise WorkshopError(
            "is not a folder of the checkout",
            where=where,
            way_out="does the build command make it? `release.path` is relative to the top of the repository",
            code="B003",
        )
    return found


def remove_tree(folder: Path) -> None:
    """Removes a folder whatever its modes are; never follows a symlink. Raises when something stays."""
    for _ in range(64):  # each round opens the folders that the one before stumbled over
        stumbled: list[str] = []

        def note(_call: object, path: str, _error: object, seen: list[str] = stumbled) -> None:
            seen.append(path)

        shutil.rmtree(folder, onerror=note)
        if not os.path.lexists(folder) or not stumbled:
            return
        for path in stumbled:
            for place in (os.path.dirname(path), path):  # noqa: PTH120 - names may be undecodable
                if stat.S_ISDIR(_mode(place)):
                    os.chmod(place, stat.S_IRWXU)  # noqa: PTH101 - as above
    shutil.rmtree(folder)


def _mode(place: str) -> int:
    try:
        return os.lstat(place).st_mode
    except OSError:
        return 0
