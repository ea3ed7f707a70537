# SPDX-License-Identifier: BSD-3-Clause
"""The report, whose parts add up; giving memory back; limits; and when the allocator and the kernel do what."""

from __future__ import annotations

import ast
import inspect
import errno
import math
import os
import re
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import zmalloc

LIBRARY = os.environ["ZMALLOC_ALLOCATOR"]
NEAR = 2 << 20  # what a running interpreter may gain between two readings

only_jemalloc = pytest.mark.skipif(LIBRARY != "jemalloc", reason="only jemalloc has this")
all_but_jemalloc = pytest.mark.skipif(LIBRARY == "jemalloc", reason="jemalloc has this")

WALKED = ("pss", "uss", "private_dirty", "swap", "huge_pages", "private_hugetlb", "shared_hugetlb")
DIFFERENCES = ("allocator_overhead_bytes", "allocator_frag_bytes", "allocator_rss_bytes", "rss_overhead_bytes")


@pytest.mark.parametrize("walk", [False, True, 0, 1])
def test_used_and_the_known_differences_are_rss(walk: int) -> None:
    kept = [zmalloc.Block(chance) for chance in range(0, 20_000, 97)]
    report = zmalloc.report(walk=walk)
    differences = [getattr(report, name) for name in DIFFERENCES]
    assert report.used + sum(filter(None, differences)) == report.rss
    levels = [report.allocated, report.active, report.resident, report.rss]
    assert [level is None for level in levels] == [difference is None for difference in differences]
    below = report.used
    for level, difference in zip(levels, differences):
        if level is not None:
            assert level - below == difference
            below = level
    assert report.used == zmalloc.used_memory() >= sum(map(len, kept))


def test_levels_rise() -> None:
    with zmalloc.Block(10 << 20) as block:
        block[:] = b"x" * len(block)
        report = zmalloc.report()
    levels = [level for level in report[:4] if level is not None]
    assert levels == sorted(levels)
    assert report.mem_fragmentation_ratio == report.rss / report.used


def test_without_blocks_there_is_no_ratio(script: Callable) -> None:
    assert script("print(zmalloc.report().used, zmalloc.report().mem_fragmentation_ratio)").stdout == "0 None\n"


def test_what_the_walk_tells() -> None:
    short, long = zmalloc.report(), zmalloc.report(walk=True)
    assert [getattr(short, name) for name in WALKED] == [None] * len(WALKED)
    assert 0 < long.private_dirty <= long.uss <= long.pss <= long.rss
    full, sums = psutil.Process().memory_full_info(), zmalloc.smaps()
    assert abs(long.pss - full.pss) < NEAR
    assert abs(long.uss - full.uss) < NEAR
    assert abs(long.private_dirty - sums["Private_Dirty"]) < NEAR
    assert abs(long.rss - sums["Rss"]) < NEAR
    assert abs(long.huge_pages - sums["AnonHugePages"]) < 32 << 20
    assert abs(short.rss - zmalloc.rss()) < NEAR


def test_which_figures_an_allocator_has() -> None:
    report = zmalloc.report()
    for name in ("mapped", "retained", "metadata"):
        figure = getattr(report, name)
        assert figure is None or (type(figure) is int and figure >= 0)
    if LIBRARY == "jemalloc":
        unwalked = [getattr(report, name) for name in report.__match_args__ if name not in WALKED]
        assert None not in unwalked or report.used == 0
        assert report.allocator_frag_smallbins_ratio >= 1
        assert report.allocator_frag_smallbins_bytes >= report.muzzy == 0
    else:
        assert report.allocator_frag_smallbins_ratio is None
        assert report.allocator_frag_smallbins_bytes is report.muzzy is None
    for name, known in zip(("allocated", "active", "resident"), zmalloc.allocator_info()):
        figure = getattr(report, name)
        assert figure == known if known is None else figure == pytest.approx(known, rel=0.2)


def struct(header: str, name: str) -> dict[str, str]:
    """The fields of a struct and the comments beside them, read in a simpler way than the module's maker does."""
    body = re.search(rf"^struct {name} {{$(.*?)^}};$", header, re.MULTILINE | re.DOTALL)[1]
    return dict(re.findall(r"^ +[\w ]+[ *](\w+)(?:\[\w+\])?;(?:\s*/\* (.*?) \*/)?", body, re.MULTILINE | re.DOTALL))


def fields(named_tuple: type) -> list[str]:
    """Their names in order; there is no __match_args__ before Python 3.10."""
    return [name for name, member in vars(named_tuple).items() if inspect.ismemberdescriptor(member)]


CLASSES = {
    "zmalloc_report": "Report",
    "zmalloc_memory_limits": "MemoryLimits",
    "zmalloc_mapping": "Mapping",
    "zmalloc_published": "Published",
}


@pytest.mark.parametrize("name", CLASSES)
def test_a_struct_s_fields_and_words(name: str, source: Path) -> None:
    members = struct((source / "include" / "zmalloc.h").read_text(), name)
    members.pop("size")  # for C alone
    members.pop("count", None)
    of_class = getattr(zmalloc, CLASSES[name])
    assert set(fields(of_class)) == set(members)
    if name != "zmalloc_mapping":
        assert fields(of_class) == list(members)
    for member, comment in members.items():
        words = re.findall(r"\w+", comment)
        told = re.findall(r"\w+", getattr(of_class, member).__doc__ or "")
        assert any(told[i : i + len(words)] == words for i in range(len(told) + 1)), (told, words)


def test_the_stub_has_the_same_fields() -> None:
    stub = ast.parse(Path(zmalloc.__file__).with_name("_zmalloc.pyi").read_text())
    tuples = [node for node in stub.body if isinstance(node, ast.ClassDef) and node.name != "Block"]
    assert len(tuples) == 8
    for node in tuples:
        methods = [method for method in node.body if isinstance(method, ast.FunctionDef)]
        properties = [method.name for method in methods if not method.name.startswith("_")]
        assert properties == fields(getattr(zmalloc, node.name))


def test_purge_says_what_came_back() -> None:
    zmalloc.purge()  # what other tests have left
    start = zmalloc.rss()
    kept = [zmalloc.Block(20_000) for _ in range(3000)]
    for block in kept:
        block[:] = b"x" * len(block)
    full = zmalloc.rss()
    del block
    kept.clear()
    assert full - start > 40 << 20
    before = zmalloc.rss()
    returned = zmalloc.purge()
    after = zmalloc.rss()
    assert type(returned) is int
    assert abs(before - after - returned) < NEAR
    assert after - start < 16 << 20
    assert zmalloc.purge() < NEAR


@only_jemalloc
def test_purge_returns_most_where_nothing_decays() -> None:
    zmalloc.set_decay(-1, -1)
    try:
        kept = [zmalloc.Block(20_000) for _ in range(3000)]
        for block in kept:
            block[:] = b"x" * len(block)
        kept.clear()
        assert zmalloc.report().allocator_rss_bytes > 40 << 20
        assert zmalloc.purge() > 40 << 20
    finally:
        zmalloc.set_decay(10_000, 0)


@only_jemalloc
@pytest.mark.parametrize("times", [(0, 0), (-1, -1), (5000, 300), (1, 2**44), (10_000, 0)])
def test_decay_times_are_kept(times: tuple[int, int]) -> None:
    assert zmalloc.set_decay(*times) is None
    decay = zmalloc.decay()
    assert isinstance(decay, zmalloc.Decay)
    assert (decay.dirty_ms, decay.muzzy_ms) == decay == times


@only_jemalloc
@pytest.mark.parametrize("times", [(-2, 0), (0, -2), (-(2**63), 0), (2**63 - 1, 0), (0, 2**63 - 1), (2**45, 2**45)])
def test_decay_times_that_are_none(times: tuple[int, int]) -> None:
    before = zmalloc.decay()
    with pytest.raises(ValueError, match="^set_decay: Invalid argument"):
        zmalloc.set_decay(*times)
    assert zmalloc.decay() == before


@only_jemalloc
def test_the_background_thread_is_wanted_or_not() -> None:
    def threads() -> int:
        return len(os.listdir("/proc/self/task"))

    assert zmalloc.background_thread() is False
    before = threads()
    for on in (True, 1):
        assert zmalloc.background_thread(on) is None
        assert zmalloc.background_thread() is True
        assert zmalloc.zmalloc_background_thread_enabled() is True
        assert threads() > before
    zmalloc.background_thread(False)
    assert zmalloc.background_thread() is False


@all_but_jemalloc
@pytest.mark.parametrize(
    ("name", "ask"),
    [
        ("background_thread", zmalloc.background_thread),
        ("background_thread", lambda: zmalloc.background_thread(True)),
        ("decay", zmalloc.decay),
        ("set_decay", lambda: zmalloc.set_decay(0, 0)),
    ],
)
def test_others_say_that_they_have_none(name: str, ask: Callable[[], object]) -> None:
    with pytest.raises(OSError, match=rf"^\[Errno \d+\] {name}: ") as caught:
        ask()
    assert caught.value.errno == errno.ENOTSUP


@pytest.fixture
def huge_pages() -> Iterator[None]:
    """As they were."""
    yield
    zmalloc.disable_thp(False)


def test_huge_pages_can_be_forbidden(huge_pages: None) -> None:
    setting = re.search(r"\[(\w+)\]", Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text())[1]
    assert zmalloc.thp() == setting
    assert zmalloc.disable_thp() is None
    assert (zmalloc.thp(), zmalloc.zmalloc_thp()) == ("never", 0)
    zmalloc.disable_thp(disable=False)
    assert zmalloc.thp() == ("never", "madvise", "always")[zmalloc.zmalloc_thp()] == setting


def test_limits() -> None:
    limits = zmalloc.memory_limits()
    assert isinstance(limits, zmalloc.MemoryLimits)
    assert limits.physical == zmalloc.memory_size()
    for name, number in (("address_space", resource.RLIMIT_AS), ("data", resource.RLIMIT_DATA)):
        own = resource.getrlimit(number)[0]
        assert getattr(limits, name) == (math.inf if own == resource.RLIM_INFINITY else own)
    known = [limit for limit in limits if limit is not None]
    assert all(limit == math.inf or type(limit) is int for limit in known)
    assert zmalloc.memory_limit() == min(known)
    assert math.inf == zmalloc.ZMALLOC_NO_LIMIT


@pytest.mark.parametrize(("name", "number"), [("address_space", "RLIMIT_AS"), ("data", "RLIMIT_DATA")])
def test_a_limit_of_a_process(name: str, number: str, script: Callable) -> None:
    result = script(
        "import resource\n"
        f"resource.setrlimit(resource.{number}, (1 << 30, resource.getrlimit(resource.{number})[1]))\n"
        f"print(zmalloc.memory_limits().{name}, zmalloc.memory_limit())\n"
    )
    assert result.stdout == f"{1 << 30} {min(1 << 30, zmalloc.memory_limit())}\n", result.stderr


# Of another process.

OF_THE_WALK = set(WALKED)


def test_another_process(stopped: int) -> None:
    """What the kernel knows, and nothing of what its allocator does."""
    report = zmalloc.report(stopped)
    assert isinstance(report, zmalloc.Report)
    names = [name for name in zmalloc.Sample._fields if hasattr(report, name)]
    assert len(names) == len(report) > 18
    assert {name for name in names if getattr(report, name) is not None} == {"rss"}
    assert report.rss == zmalloc.rss(stopped)
    walked = zmalloc.report(pid=stopped, walk=True)
    assert {name for name in names if getattr(walked, name) is not None} == OF_THE_WALK | {"rss"}

    def agree() -> bool:
        """One reading of many must: whoever shares its pages comes and goes."""
        walked, sums = zmalloc.report(pid=stopped, walk=True), zmalloc.smaps(pid=stopped)
        figures = (walked.rss, walked.pss, walked.private_dirty, walked.swap, walked.huge_pages,
                   walked.private_hugetlb, walked.shared_hugetlb)  # fmt: skip
        fields = ("Rss", "Pss", "Private_Dirty", "Swap", "AnonHugePages", "Private_Hugetlb", "Shared_Hugetlb")
        known = tuple(sums[field] for field in fields)
        return figures == known and walked.uss == sums["Private_Clean"] + sums["Private_Dirty"]

    assert any(agree() for _ in range(500))
    assert "unknown" in report._repr_html_()


@pytest.mark.parametrize("pid", [None, -1, os.getpid()])
def test_this_process_by_all_its_names(pid: int | None) -> None:
    with zmalloc.Block(1000):
        assert zmalloc.report(pid).used == zmalloc.used_memory() > 0


def test_what_is_no_process() -> None:
    with pytest.raises(ProcessLookupError):
        zmalloc.report(2**22 + 1)
    with pytest.raises(TypeError, match="walk=True"):  # once the only argument
        zmalloc.report(True)
    with pytest.raises(TypeError):
        zmalloc.report(None, True)
    with pytest.raises(TypeError):
        zmalloc.report("1")
