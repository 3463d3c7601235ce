"""Touched lines, and which of them tests ran."""

from __future__ import annotations

from leuko.domain.coverage import ChangeCoverage, FileCoverage, Lines, compared, placed, touched

PATCH = """diff --git a/shop/cart.py b/shop/cart.py
index 1..2 100644
--- a/shop/cart.py
+++ b/shop/cart.py
@@ -3 +3,2 @@ def total
-old
+new
++++ b/not/a/file.py
@@ -9,2 +10,0 @@
-gone
-gone
@@ -20,0 +19 @@
+added
\\ No newline at end of file
diff --git a/old name.py b/new name.py
similarity index 90%
rename from old name.py
rename to new name.py
--- a/old name.py
+++ b/new name.py\t
@@ -1 +1 @@
-a
+b
diff --git a/gone.py b/gone.py
deleted file mode 100644
--- a/gone.py
+++ /dev/null
@@ -1,2 +0,0 @@
-a
-b
diff --git a/moved.py b/elsewhere.py
similarity index 100%
rename from moved.py
rename to elsewhere.py
diff --git a/logo.png b/logo.png
Binary files a/logo.png and b/logo.png differ
"""


def test_touched_lines_are_those_of_the_new_files():
    assert touched(PATCH) == {"shop/cart.py": {3, 4, 19}, "new name.py": {1}}
    assert touched("") == {}


def test_paths_of_reports_are_found_in_the_repository():
    reported = {
        "/builds/12/checkout/shop/cart.py": Lines(frozenset({1})),
        "./shop/cart.py": Lines(frozenset({2}), frozenset({1, 3})),
        "/usr/lib/python3/cart.py": Lines(frozenset({9})),
        "src\\win.py": Lines(frozenset({4})),
    }
    found = placed(reported, ["shop/cart.py", "src/win.py", "other.py"])
    assert found == {
        "shop/cart.py": Lines(frozenset({1, 2}), frozenset({3})),
        "src/win.py": Lines(frozenset({4})),
    }


def test_only_lines_that_can_run_count():
    changed = {"a.py": frozenset({1, 2, 3, 4}), "README.md": frozenset({1}), "b.py": frozenset({1, 2})}
    known = {"a.py": Lines(frozenset({1, 9}), frozenset({2, 8}))}
    one, two = compared(changed, known, {".py"}, {"b.py": frozenset({2})})
    assert one == FileCoverage("a.py", 2, (2,))
    assert two == FileCoverage("b.py", 1, (2,), unknown=True)
    found = ChangeCoverage((one, two))
    assert (found.measured, found.missed) == (3, 2)
    assert found.sentence == "no test ran 2 of the 3 lines that the change touches (33% ran)"


def test_what_is_not_known_is_never_whole():
    assert ChangeCoverage(trouble="no report").share is None
    assert ChangeCoverage().share is None
    assert "is not known: no report" in ChangeCoverage(trouble="no report").sentence


def test_lines_are_told_as_ranges():
    assert FileCoverage("a", 9, (3, 7, 8, 9, 12)).ranges == "3, 7-9, 12"
    assert FileCoverage("a", 0, ()).ranges == ""
