# SPDX-License-Identifier: BSD-3-Clause
"""What make servers makes of a suite's lines: which tests passed, which failed and why, and what differs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from builds import SERVERS, Build
from client import Client
from compare import CAUSES, Causes, Run, compare, tell
from debian_source import originals, version
from figures import settled
from profile_of import counted
from suites import Outcome, parse, run_suites

GREEN, RED, CYAN, OFF = "\x1b[0;32m", "\x1b[0;31m", "\x1b[0;36m", "\x1b[0m"
TEXT = f"""Cleanup: may take some time... OK
Starting test server at port 31111
[ready]: 4711
Testing unit/sample
[{GREEN}ok{OFF}]: A short one (3 ms)
[{GREEN}ok{OFF}]: A pair (1 with one) (12 ms)
[{GREEN}ok{OFF}]: A short one (4 ms)
[{RED}err{OFF}]: A short one in tests/unit/sample.tcl
Expected '1' to be equal to '2' (context: type eval line 3 cmd {{assert_equal 1 2}} proc ::test)
[{CYAN}ignore{OFF}]: A large one: large memory flag not provided
[{CYAN}ignore{OFF}]: needs other flags
[{GREEN}ok{OFF}]: The last, not in time
[1/1 done]: unit/sample (2 seconds)

                   The End

!!! WARNING The following tests failed:

*** [{RED}err{OFF}]: A short one in tests/unit/sample.tcl
Expected '1' to be equal to '2' (context: type eval line 3 cmd {{assert_equal 1 2}} proc ::test)
Cleanup: may take some time... OK
"""


def named(*names: str) -> set[str]:
    return {f"unit/sample: {name}" for name in names}


def test_what_a_suite_printed() -> None:
    outcome = parse("unit/sample", TEXT, 1)
    assert outcome.passed == named("A short one", "A pair (1 with one)", "A short one #2", "The last, not in time")
    assert outcome.failed.keys() == named("A short one #3")
    assert outcome.failed["unit/sample: A short one #3"].startswith("Expected '1' to be equal to '2' (context")
    assert outcome.left_out == ["unit/sample: A large one: large memory flag not provided",
                                "unit/sample: needs other flags"]  # fmt: skip


@pytest.mark.parametrize("last, says", [
    (f"[{RED}exception{OFF}]: Executing test client: I/O error reading reply.\nI/O error\n    while running", "I/O"),
    (f"[{RED}err{OFF}]: Can't start the Redis server\nCONFIGURATION:port 1\nERROR:none", "Can't start"),
    ("[TIMEOUT]: clients state report follows.\nsock => (IN PROGRESS) A long one\nKilling\nEnd\n\n\n", "A long one"),
    ("Segmentation fault", "Segmentation fault"),
])  # fmt: skip
def test_a_suite_that_stops_has_failed(last: str, says: str) -> None:
    outcome = parse("unit/sample", f"[ok]: One (1 ms)\n{last}\n", 1)
    assert outcome.passed == named("One")
    assert outcome.failed.keys() == named("stopped")
    assert says in outcome.failed["unit/sample: stopped"]


def test_a_suite_that_stops_after_a_failure() -> None:
    said = "[err]: One in tests/unit/sample.tcl\nno\n[err]: Can't start the server\nnone\n"
    outcome = parse("unit/sample", said, 1)
    assert outcome.failed == {"unit/sample: One": "no [err]: Can't start the server",
                              "unit/sample: stopped": "[err]: Can't start the server none"}  # fmt: skip


def test_a_suite_that_passes_has_not_failed() -> None:
    outcome = parse("unit/sample", "[ok]: One (1 ms)\n\\o/ All tests passed without errors!\n", 0)
    assert (outcome.passed, outcome.failed, outcome.left_out) == (named("One"), {}, [])


RUNTEST = """#!/bin/sh
echo "[ok]: $2 from $6 on (1 ms)"
[ ! -e fails ] || { echo "[err]: it in tests/$2.tcl"; exit 1; }
"""


def test_each_build_has_its_outcome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """However many are run at once, and with ports of its own."""
    monkeypatch.setenv("ZMALLOC_PORT", "20000")
    builds = []
    for layer in ("own", "quantum8", "libc"):
        folder = tmp_path / layer
        (folder / "tests/unit").mkdir(parents=True)
        for unit in ("one", "two"):
            (folder / f"tests/unit/{unit}.tcl").touch()
        (folder / "runtest").write_text(RUNTEST)
        (folder / "runtest").chmod(0o755)
        builds.append(Build("redis-7.0", layer, "7.0.99", folder))
    (builds[1].folder / "fails").touch()
    outcomes = run_suites(builds, ["unit/*"], 2)
    for outcome, port in zip(outcomes, (20000, 20500, 21000), strict=True):
        assert outcome.passed == {f"unit/{unit}: unit/{unit} from {port} on" for unit in ("one", "two")}
    assert [sorted(outcome.failed) for outcome in outcomes] == [[], ["unit/one: it", "unit/two: it"], []]
    assert "redis 7.0.99, quantum8: unit/two: 1 passed, 1 failed\n    unit/two: it: " in capsys.readouterr().out


def outcome_of(passed: str = "", failed: str = "") -> Outcome:
    return Outcome(named(*passed.split()), {test: "it said so" for test in named(*failed.split())})


CAUSE: Causes = [(r"redis-\S* libc", r"^unit/sample: (b|c)$", "libc has no such call")]


@pytest.mark.parametrize("own, ours, gone, rows, unknown", [
    (("a b", ""), ("a b", ""), "", [], False),
    (("a", "b"), ("a", "b"), "", [], False),  # both fail
    (("a b", ""), ("a", "b"), "", [["b", "fails", "libc has no such call"]], False),
    (("a b", ""), ("b", "a"), "", [["a", "fails", "UNKNOWN: it said so"]], True),
    (("a", "b"), ("a b", ""), "", [["b", "passes", "on its own layer: it said so"]], False),
    (("a", ""), ("a", ""), "a", [["a", "fails once", "passes when run again: it said so"]], False),
    (("a b", ""), ("b", ""), "", [["a", "is not run", "UNKNOWN: "]], True),
    (("a b", ""), ("a", ""), "", [["b", "is not run", "libc has no such call"]], False),
    (("a b", ""), ("a", "stopped"), "", [["stopped", "fails", "UNKNOWN: it said so"]], True),
])  # fmt: skip
def test_differences(
    own: tuple[str, str], ours: tuple[str, str], gone: str, rows: list[list[str]], unknown: bool
) -> None:
    again = {test: "it said so" for test in named(*gone.split())}
    found = compare("redis-7.0 libc", outcome_of(*own), outcome_of(*ours), again, CAUSE)
    assert found.rows == [[f"unit/sample: {test}", does, why] for test, does, why in rows]
    assert found.unknown is unknown


def test_a_cause_is_for_its_builds_alone() -> None:
    own, ours = outcome_of("b"), outcome_of("", "b")
    assert not compare("redis-7.0 libc", own, ours, {}, CAUSE).unknown
    assert compare("redis-7.0 quantum8", own, ours, {}, CAUSE).unknown
    assert compare("valkey-9.1 libc", own, ours, {}, CAUSE).unknown


def test_causes_fit_a_build() -> None:
    there = [f"{name} {layer}" for name, server in SERVERS.items() for layer in server.layers if layer != "own"]
    for builds, tests, why in CAUSES:
        assert any(re.search(builds, build) for build in there), builds
        assert re.compile(tests).pattern and why[0].islower() and not why.endswith(".")


def test_the_tables(capsys: pytest.CaptureFixture[str]) -> None:
    own = parse("unit/sample", TEXT, 1)
    ours = outcome_of("a", "b")
    runs = [Run(Build("redis-7.0", layer, "7.0.99", Path()), outcome, own, {})
            for layer, outcome in {"own": own, "quantum8": ours, "jemalloc": Outcome()}.items()]  # fmt: skip
    assert tell(runs, [])
    said = capsys.readouterr().out
    assert "| redis 7.0.99, own | 4 | 1 | 2 |" in said
    assert "| redis 7.0.99, quantum8 | 1 | 1 | 0 |" in said
    assert "| redis 7.0.99, quantum8 | unit/sample: b | fails | UNKNOWN: it said so |" in said
    assert "| redis 7.0.99, jemalloc | unit/sample: A short one #2 | is not run | UNKNOWN:  |" in said
    assert "own | unit" not in said
    assert not tell(runs[:1], [])
    assert "differences" not in capsys.readouterr().out


class Fake(Client):
    """A server that defragments, as long as it has to, at so many questions a look."""

    def __init__(self, looks: list[tuple[int, int, int]]) -> None:
        self.looks = iter(looks)
        self.seen = 0

    def info(self, section: str) -> dict[str, str]:
        if section == "stats":
            self.seen += 1
            self.hits, self.misses, self.running = next(self.looks)
            return {"active_defrag_hits": str(self.hits), "active_defrag_misses": str(self.misses)}
        return {"active_defrag_running": str(self.running)}


def test_defragmentation_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    ends = Fake([(1, 10, 40)] * 3 + [(1, 10, 0)] * 9)
    settled(ends)
    assert ends.seen == 3 + 5
    goes_on = Fake([(min(look, 9), look * 400_000, 40) for look in range(20)])
    settled(goes_on)
    assert goes_on.seen == 10 + 4  # the fourth is more than a round after the last move


PROFILE = """version: 1
events: Ir
fl=(1) src/server.c
fn=(1) set
10 100
cfi=(2) src/zmalloc.c
cfn=(2) zmalloc
calls=5 20
11 5000
fl=(2)
fn=(2)
20 30
+1 4
fi=(3) include/jemalloc/internal/arena.h
22 200
fe=(2)
* 6
fl=(4) ???
fn=(3) _int_malloc
0 50
"""


def test_whose_instructions_they_are(tmp_path: Path) -> None:
    """By the file a line is from, or by the function's name; a callee's are its own."""
    (tmp_path / "out.1").write_text(PROFILE)
    assert counted(tmp_path / "out.1") == {"rest": 100, "layer": 40, "allocator": 250}


def test_a_signature_is_no_release(tmp_path: Path) -> None:
    """Some packages have one beside it, and a folder has no order."""
    release = tmp_path / "server_1.2.3+ds.orig.tar.xz"
    for path in (Path(f"{release}.asc"), release):
        path.touch()
    assert originals(tmp_path) == [release]
    assert version(tmp_path) == "1.2.3"
