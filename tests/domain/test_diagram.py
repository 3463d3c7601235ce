"""The page of the push's states is drawn from the table, and is up to date."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from leuko.domain.push import TABLE, State

ROOT = Path(__file__).parent.parent.parent


def drawn():
    spec = importlib.util.spec_from_file_location("diagram", ROOT / "tools" / "diagram.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_committed_page_is_what_the_table_says() -> None:
    module = drawn()
    assert module.PAGE.read_text() == module.page(), "run `python tools/diagram.py`"


def test_every_state_and_event_has_its_words() -> None:
    module = drawn()
    assert set(module.MEANINGS) == set(State)
    assert set(module.EVENTS) == {event for row in TABLE.values() for event in row}
