"""The pages, as HTML."""

from __future__ import annotations

from html import escape

from shop.cart import Line
from shop.catalog import Product, categories
from shop.pricing import Quote

STYLE = "body{font:16px/1.5 Georgia,serif;max-width:40em;margin:2em auto}td,th{padding:.2em 1em;text-align:left}"


def page(title: str, body: str) -> str:
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)} - Leaf & Pot</title>"
        f"<style>{STYLE}</style><p><a href=/>Leaf & Pot</a> <a href=/cart>Cart</a><h1>{escape(title)}</h1>{body}</html>"
    )


def money(cents: int) -> str:
    return f"{cents / 100:.2f} &euro;"


def catalogue() -> str:
    shelves = "".join(f"<h2>{escape(name)}</h2>{_shelf(products)}" for name, products in categories().items())
    return page("Catalogue", shelves)


def _shelf(products: list[Product]) -> str:
    items = (f"<li><a href=/product/{p.id}>{escape(p.name)}</a> {money(p.cents)}" for p in products)
    return f"<ul>{''.join(items)}</ul>"


def product(wanted: Product) -> str:
    form = f"<form method=post action=/cart><button name=product value={wanted.id}>Into the cart</button></form>"
    return page(wanted.name, f"<p>{escape(wanted.text)}<p>{money(wanted.cents)}{form}")


def cart(lines: list[Line], voucher: str, price: Quote) -> str:
    rows = "".join(
        f"<tr><td>{line.quantity}<td>{escape(line.product.name)}<td>{money(line.cents)}" for line in lines
    )
    form = (
        "<form method=post action=/order><label>Voucher "
        f'<input name=voucher value="{escape(voucher)}"></label> <button>Order</button></form>'
    )
    return page("Your cart", f"<table>{rows}</table>{_price(price)}{form}" if lines else "<p>It is empty.")


def _price(price: Quote) -> str:
    return (
        f"<p>Goods {money(price.subtotal)}, discount {money(price.discount)}, shipping {money(price.shipping)}: "
        f"<b>{money(price.total)}</b>"
    )


def thanks(number: int, price: Quote) -> str:
    return page("Thank you", f"<p>Your order has the number {number}.{_price(price)}")


def problem(title: str, text: str) -> str:
    return page(title, f"<p>{escape(text)}")
