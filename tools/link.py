"""Puts this checkout's src on the virtual environment's path and writes the `leuko` script.

What `pip install --editable` does, without downloading a build backend that no lock file covers.
"""

import stat
import sys
import sysconfig
from pathlib import Path

root = Path(__file__).resolve().parent.parent
site = Path(sysconfig.get_paths()["purelib"])
(site / "leuko-checkout.pth").write_text(f"{root / 'src'}\n")
script = Path(sys.prefix) / "bin" / "leuko"
script.write_text(f"#!{sys.executable}\nfrom leuko.cli.main import main\n\nmain()\n")
script.chmod(script.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
