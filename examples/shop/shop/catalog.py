"""What the shop sells."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Product:
    id: int
    name: str
    category: str
    cents: int
    text: str


PRODUCTS = (
    Product(1, "Assam", "tea", 790, "Malty, strong, for the first cup of the day."),
    Product(2, "Darjeeling first flush", "tea", 1450, "Light and flowery, picked in March."),
    Product(3, "Sencha", "tea", 990, "Green, grassy, two minutes at 70 degrees."),
    Product(4, "Lapsang Souchong", "tea", 1120, "Dried over pine smoke."),
    Product(5, "Rooibos", "tea", 640, "Red, mild, without caffeine."),
    Product(6, "Glass pot", "ware", 3490, "Holds a litre, with a strainer."),
    Product(7, "Cast iron pot", "ware", 5990, "Keeps warm for an hour."),
    Product(8, "Two cups", "ware", 1890, "Thin porcelain, white."),
    Product(9, "Bamboo whisk", "ware", 1290, "For matcha, eighty prongs."),
    Product(10, "Shortbread", "sweets", 490, "Butter, flour, sugar, salt."),
    Product(11, "Candied ginger", "sweets", 560, "Hot and sweet."),
    Product(12, "Dark chocolate", "sweets", 420, "74 percent, from Ecuador."),
)

_BY_ID = {product.id: product for product in PRODUCTS}


class UnknownProduct(LookupError):
    """There is no product of that number."""


def find(id: int) -> Product:
    try:
        return _BY_ID[id]
    except KeyError:
        raise UnknownProduct(f"no product {id}") from None


def categories() -> dict[str, list[Product]]:
    """The products by category, in the order of the catalogue."""
    found: dict[str, list[Product]] = {}
    for product in PRODUCTS:
        found.setdefault(product.category, []).append(product)
    return found
