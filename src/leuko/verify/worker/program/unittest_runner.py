"""unittest for a batch: files instead of modules, and each test told while it runs.

python3 -m leuko_worker.unittest_runner [-v] [-q] [-b] [--locals] FILE...
"""

from __future__ import annotations

import importlib
import os
import sys
import unittest
from typing import Any, Dict, Iterator, List, Optional

from .clipping import of_text
from .events import Teller, take_spec
from .unittest_watch import Place, Watch, reason_of, text_of


def main(arguments: List[str]) -> int:
    """Exit code 0 where no test failed."""
    flags = {argument for argument in arguments if argument.startswith("-")}
    spec = take_spec() or {}
    teller = Teller(spec)
    teller.greet("unittest {}.{}.{}".format(*sys.version_info[:3]))
    loading = Loading(teller)
    suite = unittest.TestSuite()
    for file in arguments:
        if not file.startswith("-"):
            suite.addTests(_chosen(loading.load(file), loading.found, spec))
    teller.tell("file", file=None)
    watch = Watch(teller, loading.found, loading.told)
    kept = list(flat(suite))
    watch.expect(kept)
    for test in kept:
        file, name = loading.found[id(test)]
        teller.note("found", file=file, name=name)
    watch.install()
    runner = unittest.TextTestRunner(
        verbosity=0,  # dots and names would stand in the output of tests
        buffer=bool(flags & {"-b", "--buffer"}),
        tb_locals="--locals" in flags,
        warnings=None if sys.warnoptions else "default",
    )
    return 0 if runner.run(suite).wasSuccessful() and not loading.broken else 1


class Loading:
    """Files into tests. `found` has the place of each; `told` the files that are settled by their import."""

    def __init__(self, teller: Teller) -> None:
        self._teller = teller
        self.found: Dict[int, Place] = {}
        self.told: Dict[str, bool] = {}
        self.broken = False

    def load(self, file: str) -> List[Any]:
        """The tests of a file; the second of a name gets " (2)"."""
        shown = self._teller.shown(os.path.join(self._teller.spec["top"], file))
        self._teller.tell("file", file=shown)
        module = os.path.splitext(os.path.normpath(file))[0].replace(os.sep, ".")
        try:
            loaded = importlib.import_module(module)
        except unittest.SkipTest as skip:
            self._settle(shown, "skipped", str(skip), "")
            return []
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001 - a module may even exit while it is imported
            error = sys.exc_info()
            self.broken = True
            self._settle(shown, "failed", "cannot be imported: " + reason_of(error), text_of(error))
            return []
        tests = list(flat(unittest.defaultTestLoader.loadTestsFromModule(loaded)))
        counts: Dict[str, int] = {}
        for test in tests:
            identity, head = str(test.id()), type(test).__module__ + "."
            name = identity[len(head) :] if identity.startswith(head) else identity
            counts[name] = counts.get(name, 0) + 1
            numbered = name if counts[name] == 1 else "{} ({})".format(name, counts[name])
            self.found[id(test)] = (shown, numbered)
        return tests

    def _settle(self, file: str, state: str, reason: str, output: str) -> None:
        self.told[file] = True
        self._teller.tell(
            "ended", file=file, name="", state=state, seconds=0.0, reason=reason[:300], output=of_text(output)
        )


def _chosen(tests: List[Any], found: Dict[int, Place], spec: Dict[str, Any]) -> List[Any]:
    only: Optional[Dict[str, List[str]]] = spec["only"]
    without: Dict[str, List[str]] = spec["without"]

    def wanted(test: Any) -> bool:
        file, name = found[id(test)]
        asked = only is None or file not in only or not name or name in only[file]
        return asked and name not in without.get(file, ())

    return [test for test in tests if wanted(test)]


def flat(tests: Any) -> Iterator[Any]:
    """Single tests out of suites of suites."""
    for test in tests:
        if isinstance(test, unittest.BaseTestSuite):
            yield from flat(test)
        else:
            yield test


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
