"""The orders, in SQLite, outside of the releases: every release of the shop reads those of the one before."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timezone
from pathlib import Path

from shop import cart
from shop.cart import Line
from shop.pricing import Quote

SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    number INTEGER PRIMARY KEY,
    customer TEXT NOT NULL,
    at TEXT NOT NULL,
    cart TEXT NOT NULL,
    voucher TEXT NOT NULL,
    total INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS orders_customer ON orders (customer);
"""


class EmptyOrder(ValueError):
    """Nothing was in the cart."""


class Orders:
    def __init__(self, path: Path | str) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, timeout=5)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(SCHEMA)

    def place(self, customer: str, lines: list[Line], voucher: str, price: Quote) -> int:
        """Writes the order down and gives its number."""
        if not lines:
            raise EmptyOrder("the cart is empty")
        at = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        row = (customer, at, cart.write(lines), voucher, price.total)
        done = self._db.execute("INSERT INTO orders (customer, at, cart, voucher, total) VALUES (?, ?, ?, ?, ?)", row)
        return int(done.lastrowid or 0)

    def count(self, customer: str = "") -> int:
        """How many orders there are, of one customer or of all."""
        where, values = ("WHERE customer = ?", (customer,)) if customer else ("", ())
        return int(self._db.execute(f"SELECT count(*) FROM orders {where}", values).fetchone()[0])

    def close(self) -> None:
        self._db.close()
