# SPDX-License-Identifier: BSD-3-Clause
"""Figures that a process publishes: in Python, in a Monitor, on the command line and for Prometheus."""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zmalloc

from command import inside, rows, run

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux alone has such pages")

CHILD = r"""
import os, sys, zmalloc
kept = [zmalloc.Block(1 << 20) for _ in range(3)]
zmalloc.set_soft_limit(1 << 40, lambda used: None)
zmalloc.publish()
print(zmalloc.used_memory(), flush=True)
for line in sys.stdin:
    exec(line)
    print("done", flush=True)
"""


class Child:
    """A process that publishes, stands still, and does what it is told."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.pid = process.pid
        assert process.stdout is not None
        self.used = int(process.stdout.readline())

    def do(self, code: str) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        print(code, file=self._process.stdin, flush=True)
        assert self._process.stdout.readline() == "done\n"

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def child() -> Iterator[Child]:
    command = [sys.executable, "-c", CHILD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Child(process)
        process.kill()


# A page that says what is asked for: zmalloc_page.h has its fields.
HEAD = struct.Struct("=8sIIQQQQ32sII17Q")


def page(**changes: int | bytes) -> bytes:
    start = int(Path("/proc/self/stat").read_text().rpartition(") ")[2].split()[19])
    now = time.monotonic_ns()
    fields: dict[str, int | bytes] = {
        "magic": b"zmalloc", "version": 1, "size": HEAD.size, "pid": os.getpid(), "start": start, "since_ns": 1,
        "interval_ms": 0, "allocator": b"forged-1", "sequence": 2, "reserved": 0, "refreshed_ns": now,
        "wall_ns": time.time_ns(), "used": 10, "allocated": 30, "active": 60, "resident": 100, "rss": 1 << 20,
        "mapped": 0, "retained": 0, "metadata": 0, "muzzy": 0, "smallbins": 2**64 - 1, "peak": 10,
        "total_allocated": 50, "total_freed": 40, "limit": 0, "soft_limit": 0,
    }  # fmt: skip
    assert not changes.keys() - fields.keys()
    return HEAD.pack(*(fields | changes).values())


@contextmanager
def forged(content: bytes, sealed: bool = True) -> Iterator[None]:
    descriptor = os.memfd_create("zmalloc", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    try:
        os.write(descriptor, content)
        if sealed:
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        yield
    finally:
        os.close(descriptor)


def test_another_process(child: Child) -> None:
    told = zmalloc.published(child.pid)
    assert told.used == child.used >= 3 << 20
    assert (told.allocator, told.interval_ms, told.limit) == (zmalloc.allocator, 0, math.inf)
    assert told.soft_limit == 1 << 40
    assert 0 <= time.time() - told.wall_ns / 1e9 < 600
    child.do("kept.pop()")
    assert zmalloc.published(child.pid).used == told.used  # until it reads its figures
    child.do("zmalloc.report()")
    assert 2 << 20 <= zmalloc.published(child.pid).used < told.used
    child.do("zmalloc.publish(False)")
    with pytest.raises(FileNotFoundError, match="published: the process publishes no figures") as caught:
        zmalloc.published(child.pid)
    assert caught.value.errno == errno.ENOENT
    child.kill()
    with pytest.raises(ProcessLookupError, match="published: No such process"):
        zmalloc.published(child.pid)


def test_a_monitor_s_samples_refresh_it() -> None:
    zmalloc.publish()
    try:
        before = zmalloc.published()
        kept = zmalloc.Block(100_000)
        with zmalloc.Monitor(0.01):
            deadline = time.monotonic() + 60
            while zmalloc.published().used == before.used and time.monotonic() < deadline:
                time.sleep(0.01)
        assert zmalloc.published().used == before.used + zmalloc.zmalloc_size(kept)
    finally:
        zmalloc.publish(False)


def test_an_interval() -> None:
    used = zmalloc.used_memory()
    zmalloc.publish(interval=0.005)
    try:
        kept = zmalloc.Block(100_000)
        deadline = time.monotonic() + 60
        while zmalloc.published().used == used and time.monotonic() < deadline:
            time.sleep(0.01)
        assert zmalloc.published().used == used + zmalloc.zmalloc_size(kept)
    finally:
        zmalloc.publish(False)


@pytest.mark.parametrize("interval", [0, -1, math.nan, math.inf, 2_000_001, 1e300])
def test_intervals_that_are_none(interval: float) -> None:
    with pytest.raises(ValueError, match="publish: argument 'interval' must be above 0"):
        zmalloc.publish(interval=interval)
    for wrong in ("1", True, b"", [1]):
        with pytest.raises(TypeError, match="publish: argument 'interval' must be a number or None"):
            zmalloc.publish(interval=wrong)  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        zmalloc.published()


def test_a_forked_child_has_none_of_its_own() -> None:
    zmalloc.publish()
    try:
        child = os.fork()
        if child == 0:
            try:
                zmalloc.published()
            except FileNotFoundError:
                os._exit(0)
            os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        assert zmalloc.published().used == zmalloc.used_memory()
    finally:
        zmalloc.publish(False)


# What is no page, how it is told, and what top calls it.
FORGERIES: list[tuple[str, Callable[[], bytes], type[OSError], str, str]] = [
    ("another process's", lambda: page(pid=1), PermissionError, "another process's", "foreign"),
    ("an older process of this number", lambda: page(start=5), PermissionError, "another process's", "foreign"),
    ("another version", lambda: page(version=2), OSError, "another version's", "version"),
    ("torn", lambda: page(sequence=7), BlockingIOError, "written all the time", "torn"),
    ("negative", lambda: page(used=2**64 - 8), OSError, "no page of figures", "forged"),
    ("too short", lambda: page()[:100], OSError, "no page of figures", "forged"),
    ("too long", lambda: page() + bytes(1 << 20), OSError, "no page of figures", "forged"),
    ("stale", lambda: page(interval_ms=1, refreshed_ns=time.monotonic_ns() - 15 * 10**9), OSError,
     "has not refreshed its figures for", "stale"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "kind", "words", "word"), [each[1:] for each in FORGERIES],
                         ids=[each[0] for each in FORGERIES])  # fmt: skip
def test_what_is_no_page_is_an_error_and_never_a_figure(
    content: Callable[[], bytes], kind: type[OSError], words: str, word: str
) -> None:
    pid = os.getpid()
    with forged(content()):
        with pytest.raises(kind, match=f"^(\\[Errno \\d+\\] )?published: .*{words}"):
            zmalloc.published()
        said = run("report", pid, "--json")
        told = json.loads(said.out)
        assert (said.status, told["published"], told["used"], told["allocator"]) == (1, None, None, None)
        assert told["rss"] > 0 and told["pss"] > 0
        assert said.err.startswith(f"zmalloc: process {pid}: ") and words in said.err
        listed = json.loads(run("top", "--json", "--published").out)["processes"]
        [told] = [process for process in listed if process["pid"] == pid]
        assert told["published"] is None and told["used"] is None and words in told["error"]
        [row] = [row for row in run("top").out.splitlines() if row.split()[0] == str(pid)]
        assert word in row
    with pytest.raises(FileNotFoundError):
        zmalloc.published()


def test_a_page_that_is_not_sealed() -> None:
    with forged(page(), sealed=False), pytest.raises(OSError, match="no page of figures"):
        zmalloc.published()
    with forged(page()):
        assert zmalloc.published().used == 10


def test_report_of_a_process_that_publishes(child: Child) -> None:
    report = zmalloc.report(pid=child.pid, walk=True)
    assert report.used == child.used
    gaps = [report.allocator_overhead_bytes, report.allocator_frag_bytes, report.allocator_rss_bytes,
            report.rss_overhead_bytes]  # fmt: skip
    assert report.used + sum(gap for gap in gaps if gap is not None) == report.rss
    assert report.mem_fragmentation_ratio == report.rss / report.used
    assert report.pss is not None
    child.do("zmalloc.publish(False)")
    assert zmalloc.report(pid=child.pid).used is None


@pytest.mark.parametrize("walk", [False, True])
def test_a_monitor_of_a_process_that_publishes(child: Child, walk: bool) -> None:
    with zmalloc.Monitor(0.01, walk=walk, pid=child.pid) as monitor:
        child.do("kept.pop(); zmalloc.report()")
        deadline = time.monotonic() + 60
        while monitor.samples()[-1].used == child.used and time.monotonic() < deadline:
            time.sleep(0.01)
    first, last = monitor.samples()[0], monitor.samples()[-1]
    assert first.used == child.used > last.used > 0
    assert last.peak >= first.used and last.soft_limit == 1 << 40 and last.limit is None
    assert monitor.published is not None and monitor.published.used == last.used
    assert monitor.to_dict()["allocator"] == zmalloc.allocator
    assert monitor.unpublished is None
    assert monitor.rates() is not None
    child.do("zmalloc.publish(False)")
    assert monitor.sample().used is None
    assert monitor.published is None


def test_each_sample_of_a_monitor_has_what_is_published(child: Child) -> None:
    with zmalloc.Monitor(0.01, pid=child.pid) as monitor:
        deadline = time.monotonic() + 60
        while monitor.taken < 20 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert {sample.used for sample in monitor.samples()} == {child.used} and monitor.taken >= 20


@pytest.mark.parametrize("walk", [False, True])
@pytest.mark.parametrize("what", ["nothing", "no page", "a page"])
def test_samples_do_not_look_at_all_descriptors(child: Child, what: str, walk: bool) -> None:
    """Those looks would take longer than all else, by far."""
    publishes = {"nothing": "zmalloc.publish(False)", "a page": "zmalloc.publish()",
                 "no page": "zmalloc.publish(False); fd = os.memfd_create('zmalloc')"}  # fmt: skip
    child.do(publishes[what])
    child.do("import resource; most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]")
    child.do("resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))")
    costs = []
    for _ in range(2):
        monitor = zmalloc.Monitor(None, pid=child.pid, walk=walk)
        monitor.sample()
        least = math.inf
        for _ in range(20):
            began = time.thread_time()
            sample = monitor.sample()
            least = min(least, time.thread_time() - began)
            assert sample.used == (child.used if what == "a page" else None)
            assert (monitor.unpublished is not None) is (what == "no page")
        costs.append(least)
        child.do("more = [os.dup(0) for _ in range(3000)]")
    assert costs[1] < 2 * costs[0] + 0.0005, costs


def test_a_monitor_finds_what_is_published_later(child: Child) -> None:
    """Though it does not look at every sample: there may be many descriptors to look at."""
    child.do("zmalloc.publish(False)")
    with zmalloc.Monitor(0.01, pid=child.pid) as monitor:
        child.do("import time; time.sleep(0.1); zmalloc.publish()")
        deadline = time.monotonic() + 60
        while monitor.samples()[-1].used is None and time.monotonic() < deadline:
            time.sleep(0.01)
    assert (monitor.samples()[0].used, monitor.samples()[-1].used) == (None, child.used)


def test_a_monitor_of_a_page_that_is_none(child: Child) -> None:
    monitor = zmalloc.Monitor(None, pid=child.pid)
    assert monitor.sample().used == child.used
    child.do("zmalloc.publish(False)")
    forge = "fd = os.memfd_create('zmalloc', os.MFD_ALLOW_SEALING); os.write(fd, b'?' * 224)"
    child.do(f"{forge}; import fcntl; fcntl.fcntl(fd, fcntl.F_ADD_SEALS, 7)")
    sample = monitor.sample()
    assert (sample.used, sample.rss is not None, monitor.published) == (None, True, None)
    assert monitor.unpublished is not None and monitor.unpublished.errno == errno.EBADMSG


def test_report_on_the_command_line(child: Child) -> None:
    told = json.loads(inside("report", child.pid, "--json").out)
    assert (told["used"], told["allocator"]) == (child.used, zmalloc.allocator)
    assert told["published"]["interval"] is None and 0 <= told["published"]["age"] < 600
    said = inside("report", child.pid, "--bytes")
    assert (said.status, said.err) == (0, "")
    assert said.out.splitlines()[0].endswith(f", {zmalloc.allocator}")
    figures = {name: value for name, value, *_ in rows(said.out)[2:-1]}
    assert figures["used"] == str(child.used)
    assert (figures["limit"], figures["soft_limit"]) == ("none", str(1 << 40))
    assert said.out.splitlines()[-1].startswith("Its own figures are of ")


def test_watch_on_the_command_line(child: Child) -> None:
    said = inside("watch", child.pid, "-c", "2", "-n", ".01", "--bytes")
    heads = said.out.splitlines()[1].split()
    assert heads[:6] == ["time", "used", "allocated", "active", "resident", "rss"] and heads[-2:] == ["as", "of"]
    assert said.out.splitlines()[2].split()[1] == said.out.splitlines()[3].split()[1] == str(child.used)
    lines = inside("watch", child.pid, "-c", "2", "-n", ".01", "--json").out.splitlines()
    assert [json.loads(line)["used"] for line in lines] == [child.used] * 2
    assert json.loads(lines[0])["published"]["wall"] == json.loads(lines[1])["published"]["wall"]


def test_picture_of_a_process_that_publishes(child: Child, tmp_path: Path) -> None:
    """The levels from the inside up to RSS, as of this process; the kernel's alone where nothing is published."""
    pytest.importorskip("matplotlib", reason="no matplotlib for this interpreter")
    monitor = zmalloc.Monitor(None, pid=child.pid, walk=True)
    for code in ("kept.append(zmalloc.Block(8 << 20)); zmalloc.report()", "kept.clear(); zmalloc.report()"):
        monitor.sample()
        child.do(code)
    monitor.sample()
    axes = monitor.plot()
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert "used: in blocks" in names and not any("PSS" in name or "USS" in name for name in names)
    assert any(name.startswith("soft limit of used") for name in names)
    [used] = [area for area in axes.collections if area.get_label() == "used: in blocks"]
    heights = {round(y, 3) for path in used.get_paths() for _, y in path.vertices}
    size = 1 << (20 if axes.get_ylabel() == "MiB" else 10)
    assert {round(sample.used / size, 3) for sample in monitor.samples()} <= heights
    picture = tmp_path / "child.png"
    said = run("plot", child.pid, "-c", "2", "-n", ".01", "-o", picture)
    assert said.status == 0 and picture.read_bytes().startswith(b"\x89PNG")
    child.do("zmalloc.publish(False)")
    silent = zmalloc.Monitor(None, pid=child.pid, walk=True)
    silent.sample()
    names = [text.get_text() for text in silent.plot().get_legend().get_texts()]
    assert "used: in blocks" not in names and any(name.startswith("RSS − PSS") for name in names)


def test_metrics_of_a_process_that_publishes(child: Child) -> None:
    prometheus = pytest.importorskip("prometheus_client", reason="no prometheus_client for this interpreter")
    from zmalloc import metrics

    registry = prometheus.CollectorRegistry()
    metrics.Collector(registry, pid=child.pid)
    assert registry.get_sample_value("zmalloc_memory_used_bytes") == child.used
    when = registry.get_sample_value("zmalloc_published_timestamp_seconds")
    assert when is not None and 0 <= time.time() - when < 600
    child.do("zmalloc.publish(False)")
    assert registry.get_sample_value("zmalloc_memory_used_bytes") is None
    assert registry.get_sample_value("zmalloc_published_timestamp_seconds") is None


def listed(*arguments: object) -> list[dict]:
    said = run("top", "--json", *arguments)
    assert (said.status, said.err) == (0, "")
    processes: list[dict] = json.loads(said.out)["processes"]
    return processes


def test_top(child: Child) -> None:
    processes = listed()
    [told] = [process for process in processes if process["pid"] == child.pid]
    assert (told["used"], told["allocator"], told["error"]) == (child.used, zmalloc.allocator, None)
    assert told["rss"] > told["private_dirty"] > 0 and told["pss"] > 0
    assert told["mem_fragmentation_ratio"] == pytest.approx(told["rss"] / told["used"])
    assert os.getpid() in [process["pid"] for process in processes]
    assert all(os.stat(f"/proc/{child.pid}").st_uid == os.geteuid() for _ in processes)
    assert [process["rss"] for process in processes] == sorted((each["rss"] for each in processes), reverse=True)
    assert child.pid in [process["pid"] for process in listed("--published")]
    assert os.getpid() not in [process["pid"] for process in listed("--published")]
    assert len(listed("--top", "2")) == 2


@pytest.mark.parametrize("key", ["pss", "private_dirty", "used", "fragmentation", "pid", "name"])
def test_top_sorts(child: Child, key: str) -> None:
    found = [process[key] for process in listed("--sort", key)]
    known = [value for value in found if value is not None]
    assert known == sorted(known, reverse=key not in ("pid", "name"))
    assert found == known + [None] * (len(found) - len(known))


def test_top_filters(child: Child) -> None:
    child.do("open('/proc/self/comm', 'w').write('Odd\\x1b[31mname')")
    assert [process["pid"] for process in listed("--filter", "odd")] == [child.pid]
    assert listed("--filter", "no process is called so") == []
    said = run("top", "--filter", "ODD", "--bytes", "-c", "2", "-n", ".01")
    first, second = said.out.split("\n\n")
    for table in (first, second):
        heads, row, sums = table.splitlines()
        assert heads.split()[1:] == ["rss", "pss", "private_dirty", "used", "fragmentation", "rss/used", "as", "of",
                                     "name"]  # fmt: skip
        assert row.split()[0] == str(child.pid) and str(child.used) in row.split()
        assert row.endswith("Odd\\x1b[31mname") and sums.endswith("1 process")
    none = run("top", "--filter", "no process is called so")
    assert (none.status, none.out.splitlines()[-1].strip()) == (0, "0 processes")


def test_top_while_processes_end() -> None:
    """Processes come and go all the time, and nothing is said of it."""
    code = "import os\nwhile True:\n  pid = os.fork()\n  if pid == 0:\n    os._exit(0)\n  os.waitpid(pid, 0)"
    with subprocess.Popen([sys.executable, "-c", code]) as busy:
        try:
            said = run("top", "-c", "5", "-n", ".01", "--json")
        finally:
            busy.send_signal(signal.SIGKILL)
    assert (said.status, said.err, said.out.count("\n")) == (0, "", 5)


@pytest.mark.parametrize("wrong", ["--sort size", "-n 0", "-c 0", "--top 0", "5", "--filter"])
def test_top_says_what_is_wrong(wrong: str) -> None:
    said = inside("top", *wrong.split())
    assert (said.status, said.out) == (2, "")
    assert said.err.startswith("zmalloc: top: ")
