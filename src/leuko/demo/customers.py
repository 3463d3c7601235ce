"""What customers of the shop do. Nothing in here knows which release is a good one."""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

CUSTOMERS_PER_HOST = 40

_CATEGORIES = {"TEATIME": range(1, 6), "POTS": range(6, 10), "SWEETS": range(10, 13)}
_PRODUCTS = range(1, 13)


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of one customer, and the status that a shop in order answers it with."""

    method: str
    target: str
    customer: str
    cart: str = ""
    body: str = ""
    expected: int = 200

    @property
    def marker(self) -> bytes:
        """Stands in every page of a shop in order."""
        return b"" if self.expected == 303 else b"Leaf & Pot"


def customers_of(hosts: Sequence[str], per_host: int = CUSTOMERS_PER_HOST) -> dict[str, list[str]]:
    """Host -> its customers. A customer stays with a host for good, by a hash of the name."""
    found: dict[str, list[str]] = {host: [] for host in hosts}
    number = 0
    while any(len(customers) < per_host for customers in found.values()):
        number += 1
        customer = f"c{number:05d}"
        mine = found[hosts[zlib.crc32(customer.encode()) % len(hosts)]]
        if len(mine) < per_host:
            mine.append(customer)
    return found


def visit(customer: str, chance: random.Random) -> Visit:
    """Whatever this customer does next: looking around mostly, ordering now and then."""
    what = chance.random()
    if what < 0.25:
        return Visit("GET", "/", customer)
    if what < 0.55:
        return Visit("GET", f"/product/{chance.choice(_PRODUCTS)}", customer)
    cart, voucher = _cart(chance)
    if what < 0.65:
        product = urlencode({"product": chance.choice(_PRODUCTS)})
        return Visit("POST", "/cart", customer, cart, product, 303)
    query = urlencode({"voucher": voucher}) if voucher else ""
    if what < 0.82:
        return Visit("GET", f"/cart?{query}" if query else "/cart", customer, cart)
    return Visit("POST", "/order", customer, cart, query)


def _cart(chance: random.Random) -> tuple[str, str]:
    """A cart, and the voucher that came with the newsletter: who has one mostly buys what it is for."""
    voucher = chance.choice(list(_CATEGORIES)) if chance.random() < 0.55 else ""
    shelf = _CATEGORIES[voucher] if voucher and chance.random() < 0.85 else _PRODUCTS
    products = sorted(chance.sample(shelf, chance.randint(1, 3)))
    return ",".join(f"{product}:{chance.randint(1, 3)}" for product in products), voucher
