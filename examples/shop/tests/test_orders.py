import tempfile
import unittest
from pathlib import Path

from shop import cart, pricing
from shop.orders import EmptyOrder, Orders


class OrdersTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "orders.db"
        self.orders = Orders(self.path)
        self.addCleanup(self.orders.close)

    def place(self, customer):
        lines = cart.parse("3:1")
        return self.orders.place(customer, lines, "", pricing.quote(lines))

    def test_orders_are_numbered(self):
        self.assertEqual([self.place("ann"), self.place("bob")], [1, 2])

    def test_orders_are_counted_by_customer(self):
        for customer in ("ann", "bob", "ann"):
            self.place(customer)
        self.assertEqual((self.orders.count("ann"), self.orders.count("zoe"), self.orders.count()), (2, 0, 3))

    def test_the_next_release_reads_them(self):
        self.place("ann")
        later = Orders(self.path)
        self.addCleanup(later.close)
        self.assertEqual(later.count(), 1)

    def test_an_empty_cart_is_no_order(self):
        with self.assertRaises(EmptyOrder):
            self.orders.place("ann", [], "", pricing.quote([]))
