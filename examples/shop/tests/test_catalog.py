import unittest

from shop import catalog


class Catalog(unittest.TestCase):
    def test_every_product_is_found_by_its_number(self):
        for product in catalog.PRODUCTS:
            self.assertIs(catalog.find(product.id), product)

    def test_a_number_that_is_not_there(self):
        with self.assertRaises(catalog.UnknownProduct):
            catalog.find(4711)

    def test_categories_hold_every_product_once(self):
        found = [product for products in catalog.categories().values() for product in products]
        self.assertEqual(sorted(found, key=lambda p: p.id), list(catalog.PRODUCTS))

    def test_everything_costs_something(self):
        self.assertTrue(all(product.cents > 0 for product in catalog.PRODUCTS))
