"""What a changed file runs, and the sentence that says why."""

from __future__ import annotations

from pathlib import Path

from leuko.runtests.choice import choose
from leuko.runtests.imports import Imports

TESTS = {"tests/test_cart.py", "tests/orders/test_stock.py", "web/cart.test.js", "web/list.test.js"}


def test_a_file_of_tests_runs_itself():
    choice = choose(["tests/test_cart.py"], TESTS, {})
    assert choice.files == ("tests/test_cart.py",)
    assert choice.why == "tests/test_cart.py changed: it runs."


def test_a_conftest_runs_what_lies_below():
    choice = choose(["tests/orders/conftest.py"], TESTS, {})
    assert choice.files == ("tests/orders/test_stock.py",)


def test_who_imports_it_goes_before_who_is_called_after_it():
    importers = {"tests/orders/test_stock.py": "shop/cart.py"}
    choice = choose(["shop/cart.py"], TESTS, importers)
    assert choice.files == ("tests/orders/test_stock.py",)
    assert "that imports it runs" in choice.why
    assert choose(["shop/cart.py"], TESTS, {}).files == ("tests/test_cart.py",)
    assert choose(["web/cart.js"], TESTS, {}).files == ("web/cart.test.js",)


def test_else_those_of_its_folder_or_nothing_and_it_says_so():
    assert choose(["web/style.css"], TESTS, {}).files == ("web/cart.test.js", "web/list.test.js")
    nothing = choose(["README.md"], TESTS, {})
    assert (nothing.files, nothing.why) == ((), "README.md changed: no test is known to use it.")


def test_imports_are_followed_through_other_files(tmp_path: Path):
    files = {
        "src/shop/__init__.py": "",
        "src/shop/money.py": "RATE = 1",
        "src/shop/cart.py": "from . import money",
        "tests/test_cart.py": "from shop.cart import total",
        "tests/test_other.py": "import json",
        "tests/test_broken.py": "def (",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    imports = Imports(tmp_path)
    found = imports.importers(["src/shop/money.py"], files)
    assert found == {"src/shop/cart.py": "src/shop/money.py", "tests/test_cart.py": "src/shop/money.py"}
    (tmp_path / "tests/test_other.py").write_text("import shop.money  # now it does")
    assert "tests/test_other.py" in imports.importers(["src/shop/money.py"], files)
