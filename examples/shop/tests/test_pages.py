import unittest

from shop import cart, catalog, pages, pricing


class Pages(unittest.TestCase):
    def test_the_catalogue_links_every_product(self):
        text = pages.catalogue()
        for product in catalog.PRODUCTS:
            self.assertIn(f"/product/{product.id}>{product.name}", text)

    def test_a_product_has_its_price_and_a_button(self):
        text = pages.product(catalog.find(6))
        self.assertIn("34.90", text)
        self.assertIn("name=product value=6", text)

    def test_the_cart_shows_what_is_in_it(self):
        lines = cart.parse("1:2")
        text = pages.cart(lines, "TEATIME", pricing.quote(lines, "TEATIME"))
        self.assertIn("Assam", text)
        self.assertIn("discount 3.16", text)

    def test_an_empty_cart_cannot_be_ordered(self):
        self.assertNotIn("/order", pages.cart([], "", pricing.quote([])))

    def test_what_customers_type_is_not_html(self):
        lines = cart.parse("1:1")
        self.assertNotIn("<script>", pages.cart(lines, '"><script>', pricing.quote(lines)))
