"""What a customer is about to buy. It travels in a cookie: `3:2,7:1` is two of product 3 and one of product 7."""

from __future__ import annotations

from dataclasses import dataclass

from shop.catalog import Product, find

MOST_OF_ONE = 20


class WrongCart(ValueError):
    """The cookie holds something else than a cart."""


@dataclass(frozen=True)
class Line:
    product: Product
    quantity: int

    @property
    def cents(self) -> int:
        return self.product.cents * self.quantity


def parse(text: str) -> list[Line]:
    lines = []
    for part in filter(None, text.split(",")):
        id, colon, quantity = part.partition(":")
        if not (colon and id.isdigit() and quantity.isdigit() and 1 <= int(quantity) <= MOST_OF_ONE):
            raise WrongCart(f"not a cart: {text[:80]!r}")
        lines.append(Line(find(int(id)), int(quantity)))
    return lines


def write(lines: list[Line]) -> str:
    return ",".join(f"{line.product.id}:{line.quantity}" for line in lines)


def add(lines: list[Line], product: Product, quantity: int = 1) -> list[Line]:
    """The cart with so many more of a product, at most MOST_OF_ONE."""
    before = {line.product.id: line.quantity for line in lines}
    total = min(MOST_OF_ONE, before.get(product.id, 0) + quantity)
    if product.id not in before:
        return [*lines, Line(product, total)]
    return [Line(line.product, total) if line.product.id == product.id else line for line in lines]
