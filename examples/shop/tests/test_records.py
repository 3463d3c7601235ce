import tempfile
import unittest
from pathlib import Path

from shop.records import Logs, Metrics


class Records(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.logs = Logs(self.folder, "r1")
        self.addCleanup(self.logs.close)

    def test_a_request_is_one_line_of_seven_words(self):
        self.logs.access("GET", "/cart?x=1", 200, 1.26, "ann")
        words = (self.folder / "access.log").read_text().split(" ")
        self.assertEqual(words[1:], ["GET", "/cart?x=1", "200", "1.3", "ann", "r1\n"])

    def test_whatever_a_customer_sends_stays_one_line(self):
        self.logs.access("GET", "/a\nb c", 404, 1, "")
        lines = (self.folder / "access.log").read_text().splitlines()
        self.assertEqual([line.split(" ")[2:6] for line in lines], [["/a?b?c", "404", "1.0", "-"]])

    def test_an_error_leaves_its_traceback(self):
        try:
            raise ValueError("no tea")
        except ValueError as error:
            self.logs.error("/", "ann", error)
        self.assertIn("ValueError: no tea", (self.folder / "error.log").read_text())

    def test_metrics_as_text(self):
        metrics = Metrics()
        metrics.request(200, 0.25)
        metrics.request(500, 0.25)
        self.assertIn('requests_total{code="500"} 1', metrics.text())
        self.assertIn("request_seconds_sum 0.500000\nrequest_seconds_count 2", metrics.text())
