"""The watch for commands of the customer's own: it begins with the first test, not with the first Python."""

from __future__ import annotations

import sys
import unittest
from functools import wraps
from typing import Any

from .events import Teller, take_spec
from .unittest_watch import Watch


def wait_for_tests() -> None:
    """A launcher (poetry, say) is a Python, too: only the process that runs tests takes the specification."""
    original = unittest.TestSuite.run

    @wraps(original)
    def run(suite: Any, result: Any, *arguments: Any, **named: Any) -> Any:
        unittest.TestSuite.run = original  # type: ignore[method-assign]  # once is enough
        spec = take_spec()
        if spec is not None:
            teller = Teller(spec)
            teller.greet("unittest {}.{}.{}".format(*sys.version_info[:3]))
            Watch(teller).install()
        return original(suite, result, *arguments, **named)

    unittest.TestSuite.run = run  # type: ignore[method-assign, assignment]  # once more
