"""Which request gets which answer."""

from __future__ import annotations

from time import perf_counter

from shop import cart, catalog, pages, pricing
from shop.orders import EmptyOrder, Orders
from shop.records import Logs, Metrics
from shop.web import Request, Response


class Shop:
    def __init__(self, revision: str, orders: Orders, logs: Logs) -> None:
        self.revision = revision
        self.orders = orders
        self.logs = logs
        self.metrics = Metrics()

    async def answer(self, request: Request) -> Response:
        response = self.operations(request) or await self.customers(request)
        response.headers["X-Release"] = self.revision
        return response

    def operations(self, request: Request) -> Response | None:
        """What the people who run the shop ask. It is in no log and no figure."""
        if request.path == "/health":
            return Response(200, f"well, {self.orders.count()} orders\n", "text/plain")
        if request.path == "/revision":
            return Response(200, f"{self.revision}\n", "text/plain")
        if request.path == "/metrics":
            return Response(200, self.metrics.text(), "text/plain; version=0.0.4")
        return None

    async def customers(self, request: Request) -> Response:
        """What customers ask: answered whatever happens, written down, counted."""
        started = perf_counter()
        customer = request.cookies.get("customer", "-")
        try:
            response = await self.page(request, customer)
        except (catalog.UnknownProduct, cart.WrongCart, EmptyOrder) as wrong:
            status = 404 if isinstance(wrong, catalog.UnknownProduct) else 400
            response = Response(status, pages.problem("Not here", str(wrong)))
        except Exception as exception:
            self.logs.error(request.target, customer, exception)
            response = Response(500, pages.problem("Sorry", "That went wrong. It is our fault, not yours."))
        seconds = perf_counter() - started
        self.metrics.request(response.status, seconds)
        self.logs.access(request.method, request.target, response.status, seconds * 1000, customer)
        return response

    async def page(self, request: Request, customer: str) -> Response:
        if request.method == "GET" and request.path == "/":
            return Response(200, pages.catalogue())
        if request.method == "GET" and request.path.startswith("/product/"):
            return self.product(request)
        if request.path == "/cart":
            return self.add(request) if request.method == "POST" else self.cart(request, customer)
        if request.method == "POST" and request.path == "/order":
            return self.order(request, customer)
        return Response(404, pages.problem("Not here", "There is no such page."))

    def product(self, request: Request) -> Response:
        id = request.path.removeprefix("/product/")
        return Response(200, pages.product(catalog.find(int(id) if id.isdigit() else 0)))

    def cart(self, request: Request, customer: str) -> Response:
        lines = cart.parse(request.cookies.get("cart", ""))
        voucher = request.query.get("voucher", "")
        price = pricing.quote(lines, voucher, self.orders.count(customer))
        return Response(200, pages.cart(lines, voucher, price))

    def add(self, request: Request) -> Response:
        id = request.form.get("product", "")
        lines = cart.parse(request.cookies.get("cart", ""))
        more = cart.add(lines, catalog.find(int(id) if id.isdigit() else 0))
        return Response(303, "", headers={"Location": "/cart", "Set-Cookie": f"cart={cart.write(more)}; Path=/"})

    def order(self, request: Request, customer: str) -> Response:
        lines = cart.parse(request.cookies.get("cart", ""))
        voucher = request.form.get("voucher", "")
        price = pricing.quote(lines, voucher, self.orders.count(customer))
        number = self.orders.place(customer, lines, voucher, price)
        self.metrics.orders += 1
        return Response(200, pages.thanks(number, price), headers={"Set-Cookie": "cart=; Path=/"})
