"""What a cart costs, in cents."""

from __future__ import annotations

from dataclasses import dataclass

from shop.cart import Line

SHIPPING = 490
FREE_SHIPPING_FROM = 5000

# voucher -> the category it is for, and how many percent it takes off
VOUCHERS = {
    "TEATIME": ("tea", 20),
    "SWEETS": ("sweets", 15),
    "POTS": ("ware", 10),
}


@dataclass(frozen=True)
class Quote:
    subtotal: int
    discount: int
    shipping: int

    @property
    def total(self) -> int:
        return self.subtotal - self.discount + self.shipping


def quote(lines: list[Line], voucher: str = "", earlier_orders: int = 0) -> Quote:
    subtotal = sum(line.cents for line in lines)
    discount = voucher_discount(lines, voucher)
    shipping = 0 if not lines or subtotal - discount >= FREE_SHIPPING_FROM else SHIPPING
    return Quote(subtotal, discount, shipping)


def voucher_discount(lines: list[Line], voucher: str) -> int:
    """What the voucher takes off the lines of its category. An unknown voucher takes nothing off."""
    if voucher not in VOUCHERS:
        return 0
    category, percent = VOUCHERS[voucher]
    return sum(line.cents for line in lines if line.product.category == category) * percent // 100
