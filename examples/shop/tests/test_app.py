import tempfile
import unittest
from pathlib import Path

from shop.app import Shop
from shop.orders import Orders
from shop.records import Logs
from shop.web import Request


class App(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.log = Path(folder.name) / "access.log"
        orders = Orders(":memory:")
        self.addCleanup(orders.close)
        logs = Logs(Path(folder.name), "abc123")
        self.addCleanup(logs.close)
        self.shop = Shop("abc123", orders, logs)

    async def ask(self, method, target, cookie="customer=ann", body=""):
        return await self.shop.answer(Request(method, target, {"cookie": cookie}, body.encode()))

    async def test_the_catalogue(self):
        self.assertEqual((await self.ask("GET", "/")).status, 200)

    async def test_a_product(self):
        self.assertIn("Sencha", (await self.ask("GET", "/product/3")).body)

    async def test_no_such_thing(self):
        for target in ("/product/4711", "/product/x", "/nowhere"):
            self.assertEqual((await self.ask("GET", target)).status, 404)

    async def test_a_broken_cart_is_the_customers_fault(self):
        self.assertEqual((await self.ask("GET", "/cart", "cart=x")).status, 400)

    async def test_putting_something_into_the_cart(self):
        response = await self.ask("POST", "/cart", "cart=3:1", "product=3")
        self.assertEqual(response.headers["Set-Cookie"], "cart=3:2; Path=/")

    async def test_an_order(self):
        response = await self.ask("POST", "/order", "customer=ann; cart=3:2,8:1", "voucher=TEATIME")
        self.assertIn("has the number 1", response.body)
        self.assertEqual(self.shop.orders.count("ann"), 1)
        self.assertIn("orders_total 1", (await self.ask("GET", "/metrics")).body)

    async def test_customers_requests_are_logged_and_the_operators_are_not(self):
        await self.ask("GET", "/health")
        await self.ask("GET", "/")
        self.assertEqual([line.split()[5] for line in self.log.read_text().splitlines()], ["ann"])

    async def test_every_answer_names_its_release(self):
        self.assertEqual((await self.ask("GET", "/revision")).body, "abc123\n")
        self.assertEqual((await self.ask("GET", "/")).headers["X-Release"], "abc123")

    async def test_a_fault_of_ours_is_answered_and_written_down(self):
        self.shop.orders.close()
        response = await self.ask("GET", "/cart", "cart=3:1")
        self.assertEqual(response.status, 500)
        self.assertIn("ProgrammingError", (self.log.parent / "error.log").read_text())
