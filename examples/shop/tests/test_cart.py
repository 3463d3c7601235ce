import unittest

from shop import cart, catalog
from shop.cart import Line, WrongCart


class Cart(unittest.TestCase):
    def test_what_is_written_is_read(self):
        lines = [Line(catalog.find(3), 2), Line(catalog.find(7), 1)]
        self.assertEqual(cart.parse(cart.write(lines)), lines)

    def test_an_empty_cart(self):
        self.assertEqual(cart.parse(""), [])

    def test_adding_a_product_twice_makes_one_line_of_two(self):
        once = cart.add([], catalog.find(5))
        self.assertEqual(cart.write(cart.add(once, catalog.find(5))), "5:2")

    def test_there_is_a_most_of_one_product(self):
        lines = cart.add([], catalog.find(5), 50)
        self.assertEqual(lines[0].quantity, cart.MOST_OF_ONE)

    def test_nonsense_is_refused(self):
        for text in ("x", "3", "3:", "3:0", "3:-1", "3:999", "3:2;7:1", "3:2:1"):
            with self.subTest(text), self.assertRaises(WrongCart):
                cart.parse(text)

    def test_a_product_that_is_no_more(self):
        with self.assertRaises(catalog.UnknownProduct):
            cart.parse("4711:1")
