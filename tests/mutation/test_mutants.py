# SPDX-License-Identifier: BSD-3-Clause
"""The changes that are made to sources, and that what was judged by hand is still about the sources as they are."""

from __future__ import annotations

import json
import os
from fnmatch import fnmatch
from pathlib import Path

import pytest
from mutants import Mutant, changes_in, mutants_of, read_equivalents, stale
from run import TESTS_OF, patterns_that_fit_nothing, names_of_tests
from sources import files_that_run_here, rows_of_tests

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


LIST = """# why

a.c, f
- return a < b;
+ return a <= b;
+ return a
  > b;
for two
reasons

a.c
- int i = 1;
+ int i = 2;
outside

b.c
- x
+ y
no
"""


def changed(text: str) -> set[str]:
    return {text[:begin] + new + text[end:] for begin, end, new in changes_in(text)}


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("x = a < b;", {"x = a <= b;", "x = a >= b;"}),
        ("x = a == b;", {"x = a != b;"}),
        ("x = a && b;", {"x = a || b;"}),
        ("x = a + b;", {"x = a - b;"}),
        ("x = !a;", {"x = a;"}),
        ("x = true;", {"x = false;"}),
        ("x = 7u;", {"x = 8u;", "x = 6u;"}),
        ("x = 0;", {"x = 1;"}),
        ("x = 0x10;", {"x = 17;", "x = 15;"}),
        ("x++;", {"x--;"}),
        ("if (a) {}", {"if (!(a)) {}"}),
        ("return a->b;", {"return 0;"}),
        ("return NULL;", set()),
        ("{ call(a); }", {"{ ; }"}),
        ("{ int i = a; }", set()),
        ("{ struct slot *s = a; }", set()),
        ("{ char *s = a; }", set()),
        ("{ for (; a; b) {} }", set()),
        ("char *s = *p; x = &y; x = -y;", set()),
        ('"a < 1"; \'1\'; /* a < 1 */ // a < 1\n', set()),
        ("#if A < 1 \\\n    && B < 2\n", set()),
    ],
)
def test_changes(text: str, changes: set[str]) -> None:
    assert changed(text) == changes


def test_a_change_names_its_line_and_is_made_there(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text("int f(void)\n{\n    return a <\n           b;\n}\n")
    by_text = {mutant.after: mutant for mutant in mutants_of(tmp_path, "a.c")}
    assert by_text["return a >="] == Mutant("a.c", "f", 3, 27, 28, ">=", "return a <", "return a >=")
    changed_text = by_text["return a >="].apply((tmp_path / "a.c").read_text())
    assert changed_text.split("\n")[2:4] == ["    return a >=", "           b;"]
    assert by_text["return 0;"].before == "return a < b;"


def test_all_sources_can_be_changed() -> None:
    files = files_that_run_here()
    sources = [file for file in files if file.endswith(".c")]
    assert len(sources) > 20
    assert [file for file in sources if not mutants_of(ROOT, file)] == []
    headers = {file for file in files if file.endswith(".h")}
    assert len(headers) > 20 and "src/allocator/darwin.h" not in headers


def test_every_pattern_is_about_a_source() -> None:
    assert patterns_that_fit_nothing(files_that_run_here()) == []


def test_a_file_has_the_tests_of_its_row_first() -> None:
    rows = {"src/os/linux/barrier.c": ["barrier"], "src/sync/plain.h": ["totals"]}
    assert names_of_tests("src/os/linux/barrier.c", rows)[0] == "barrier"
    assert names_of_tests("src/sync/plain.h", rows)[0] == "totals"
    assert names_of_tests("src/account/roster.h", rows_of_tests())[0] == "unit_roster"
    assert names_of_tests("src/os/unix/region.h", {}) == TESTS_OF["src/os/unix/region.*"]


def test_a_judgement_without_its_line_is_stale(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text("int i = 1;\n\nstatic int f(int a,\n             int b)\n{\n    return a < b;\n}\n")
    (tmp_path / "list").write_text(LIST)
    equivalents = read_equivalents(tmp_path / "list")
    assert equivalents["a.c, f", "return a < b;", "return a <= b;"] == "for two reasons"
    assert sorted(stale(tmp_path, equivalents)) == [("a.c, f", "return a < b;", "return a > b;"), ("b.c", "x", "y")]


def test_no_judgement_is_stale() -> None:
    equivalents = read_equivalents(HERE / "equivalents.txt")
    assert equivalents
    assert stale(ROOT, equivalents) == []


def test_tests_that_are_to_notice_exist() -> None:
    """But for those of the hardened tree, and for a language's where it has none here."""
    info = Path(os.environ["ZMALLOC_BUILD"]) / "meson-info" / "intro-tests.json"
    tests = [test["name"] for test in json.loads(info.read_text())]
    languages = [name for name in ("python ", "lua_alloc ") if not any(test.startswith(name) for test in tests)]
    names = {name for row in TESTS_OF.values() for name in row} - {"hardened*", "programs hardened"}
    assert len(names) > 20
    missing = {name for name in names if not any(fnmatch(test, name) for test in tests)}
    assert {name for name in missing if not name.startswith(tuple(languages))} == set()
