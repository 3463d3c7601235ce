import unittest

from shop import cart, pricing


def lines(text):
    return cart.parse(text)


class Pricing(unittest.TestCase):
    def test_goods_and_shipping(self):
        price = pricing.quote(lines("1:2"))
        self.assertEqual((price.subtotal, price.discount, price.shipping, price.total), (1580, 0, 490, 2070))

    def test_shipping_is_free_for_large_orders(self):
        self.assertEqual(pricing.quote(lines("7:1")).shipping, 0)

    def test_nothing_costs_nothing(self):
        self.assertEqual(pricing.quote([]).total, 0)

    def test_a_voucher_is_for_its_category(self):
        price = pricing.quote(lines("1:1,8:1"), "TEATIME")
        self.assertEqual(price.discount, 158)

    def test_the_discount_can_cost_the_free_shipping(self):
        self.assertEqual(pricing.quote(lines("7:1"), "POTS").shipping, 0)
        self.assertEqual(pricing.quote(lines("2:4"), "TEATIME").shipping, 490)

    def test_an_unknown_voucher_takes_nothing_off(self):
        self.assertEqual(pricing.quote(lines("1:1"), "FRIEND").discount, 0)
