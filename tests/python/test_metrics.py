# SPDX-License-Identifier: BSD-3-Clause
"""The collector for prometheus_client: read back with that package's own parsers, and over HTTP."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmalloc

prometheus = pytest.importorskip("prometheus_client", reason="no prometheus_client for this interpreter")
metrics = pytest.importorskip("zmalloc.metrics", reason="no prometheus_client for this interpreter")

from prometheus_client.openmetrics import exposition as openmetrics  # noqa: E402
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics  # noqa: E402
from prometheus_client.parser import text_string_to_metric_families as parse_text  # noqa: E402

RSS = "process_resident_memory_bytes"
WALKED = {
    f"process_{what}_memory_bytes"
    for what in "proportional unique private_dirty swap huge_pages private_hugetlb shared_hugetlb".split()
}
NEAR = 4 << 20  # what a running interpreter may gain between two readings

# The figures that stay as they are while nothing is allocated, by where the module has them.
STEADY: dict[str, Callable[[], float | None]] = {
    "zmalloc_memory_used_bytes": zmalloc.used_memory,
    "zmalloc_memory_peak_bytes": zmalloc.peak_memory,
    "zmalloc_memory_limit_bytes": zmalloc.limit,
    "zmalloc_memory_soft_limit_bytes": zmalloc.soft_limit,
    "zmalloc_allocated_bytes_total": zmalloc.zmalloc_total_allocated,
    "zmalloc_freed_bytes_total": zmalloc.zmalloc_total_freed,
}
FROM_REPORT = {
    RSS: "rss", "zmalloc_memory_allocated_bytes": "allocated", "zmalloc_memory_active_bytes": "active",
    "zmalloc_memory_resident_bytes": "resident", "zmalloc_memory_mapped_bytes": "mapped",
    "zmalloc_memory_retained_bytes": "retained", "zmalloc_memory_metadata_bytes": "metadata",
    "zmalloc_allocator_overhead_bytes": "allocator_overhead_bytes",
    "zmalloc_allocator_frag_bytes": "allocator_frag_bytes", "zmalloc_allocator_rss_bytes": "allocator_rss_bytes",
    "zmalloc_rss_overhead_bytes": "rss_overhead_bytes",
    "zmalloc_memory_fragmentation_ratio": "mem_fragmentation_ratio",
    "zmalloc_smallbins_frag_ratio": "allocator_frag_smallbins_ratio",
    "process_proportional_memory_bytes": "pss", "process_unique_memory_bytes": "uss",
    "process_private_dirty_memory_bytes": "private_dirty", "process_swap_memory_bytes": "swap",
    "process_huge_pages_memory_bytes": "huge_pages", "process_private_hugetlb_memory_bytes": "private_hugetlb",
    "process_shared_hugetlb_memory_bytes": "shared_hugetlb", "zmalloc_memory_muzzy_bytes": "muzzy",
    "zmalloc_smallbins_frag_bytes": "allocator_frag_smallbins_bytes",
}  # fmt: skip


def told(registry: prometheus.CollectorRegistry) -> dict[str, float]:
    """Each sample's value, read from the text."""
    families = parse_text(prometheus.generate_latest(registry).decode())
    samples = [sample for family in families for sample in family.samples]
    assert len(samples) == len({sample.name for sample in samples})
    return {sample.name: sample.value for sample in samples}


@pytest.fixture
def registry() -> prometheus.CollectorRegistry:
    return prometheus.CollectorRegistry()


@pytest.mark.parametrize("walk", [False, True])
def test_every_known_figure_and_no_other(walk: bool, registry: prometheus.CollectorRegistry) -> None:
    metrics.Collector(registry, walk=walk)
    with zmalloc.Block(1 << 20) as block:
        block[:] = b"x" * len(block)
        values, report = told(registry), zmalloc.report(walk=walk)
        for name, ask in STEADY.items():
            assert values.pop(name, math.inf) == ask()
    assert (values.pop("zmalloc_info"), values.pop("zmalloc_process_info")) == (1, 1)
    known = {name: getattr(report, figure) for name, figure in FROM_REPORT.items()}
    assert values.keys() == {name for name, figure in known.items() if figure is not None}
    assert WALKED & values.keys() == (WALKED if walk else set())
    for name, value in values.items():
        assert value == pytest.approx(known[name], rel=0.5, abs=NEAR)


def test_types_units_and_words(registry: prometheus.CollectorRegistry) -> None:
    metrics.Collector(registry, walk=True)
    with zmalloc.Block(100), zmalloc.limit(1 << 40):
        families = list(parse_openmetrics(openmetrics.generate_latest(registry).decode()))
    assert len(families) >= 13
    for family in families:
        assert re.fullmatch(r"[A-Z].+\.", family.documentation)
        [sample] = family.samples
        if family.name == "zmalloc":
            assert (family.type, sample.name) == ("info", "zmalloc_info")
            assert sample.labels == {"allocator": zmalloc.allocator, "version": zmalloc.__version__}
            continue
        if family.name == "zmalloc_process":
            name = Path("/proc/self/comm").read_text().rstrip("\n")
            assert (family.type, sample.name) == ("info", "zmalloc_process_info")
            assert sample.labels == {"pid": str(os.getpid()), "name": name}
            continue
        assert family.unit == ("ratio" if family.name.endswith("_ratio") else "bytes")
        counted = family.name in ("zmalloc_allocated_bytes", "zmalloc_freed_bytes")
        expected = ("counter", family.name + "_total") if counted else ("gauge", family.name)
        assert (family.type, sample.name) == expected
        assert sample.labels == {}


def test_the_docstring_has_all_of_them() -> None:
    table = dict(re.findall(r"^  (\w+) {2,}(gauge|counter|info): \w", metrics.__doc__, re.MULTILINE))
    counters = {"zmalloc_allocated_bytes_total", "zmalloc_freed_bytes_total"}
    assert set(table) == set(FROM_REPORT) | set(STEADY) | {
        "zmalloc_info", "zmalloc_process_info", "zmalloc_published_timestamp_seconds"}  # fmt: skip
    assert {name for name, kind in table.items() if kind == "counter"} == counters
    after_walk = metrics.__doc__.partition("With the walk")[2]
    assert set(re.findall(r"process_\w+_memory_bytes", after_walk)) == WALKED


def test_limits_are_told_while_they_are_set(registry: prometheus.CollectorRegistry) -> None:
    metrics.Collector(registry)
    names = {"zmalloc_memory_limit_bytes", "zmalloc_memory_soft_limit_bytes"}
    assert not names & told(registry).keys()
    zmalloc.set_soft_limit(1 << 30)
    try:
        with zmalloc.limit(1 << 31):
            assert {name: told(registry)[name] for name in names} == dict(zip(sorted(names), (1 << 31, 1 << 30)))
        assert names & told(registry).keys() == {"zmalloc_memory_soft_limit_bytes"}
    finally:
        zmalloc.set_soft_limit(None)
    assert not names & told(registry).keys()


def test_counters_grow_by_what_is_allocated(registry: prometheus.CollectorRegistry) -> None:
    metrics.Collector(registry)
    before = told(registry)
    block = zmalloc.Block(12_345)
    cost = zmalloc.zmalloc_size(block)
    grown = told(registry)
    block.close()
    after = told(registry)
    for name, steps in {"allocated": (cost, 0), "freed": (0, cost)}.items():
        name = f"zmalloc_{name}_bytes_total"
        assert (grown[name] - before[name], after[name] - grown[name]) == steps


# RSS is told once.


def test_the_default_registry_has_rss_already(script: Callable) -> None:
    result = script(
        "import prometheus_client, zmalloc.metrics\n"
        "zmalloc.metrics.Collector()\n"
        "lines = prometheus_client.generate_latest().decode().splitlines()\n"
        f"print(sum(line.startswith('{RSS} ') for line in lines))\n"
        "print(sum(line.startswith('zmalloc_memory_used_bytes ') for line in lines))\n"
        "try: zmalloc.metrics.Collector()\n"
        "except ValueError as error: print(str(error)[:10])\n"
        "print(prometheus_client.generate_latest().decode().count('\\nzmalloc_memory_used_bytes '))\n"
    )
    assert result.stdout == "1\n1\nDuplicated\n1\n", result.stderr


def test_a_registry_of_one_s_own(registry: prometheus.CollectorRegistry) -> None:
    metrics.Collector(registry)
    assert RSS in told(registry)
    with pytest.raises(ValueError, match="Duplicated"):
        metrics.Collector(registry)
    assert "zmalloc_memory_used_bytes" in told(registry)


def test_beside_the_collector_for_processes(registry: prometheus.CollectorRegistry) -> None:
    prometheus.ProcessCollector(registry=registry)
    metrics.Collector(registry)
    values = told(registry)  # which refuses what is there twice
    assert {RSS, "process_cpu_seconds_total", "zmalloc_memory_used_bytes"} <= values.keys()


def test_rss_is_told_or_not_as_it_is_asked_for(registry: prometheus.CollectorRegistry) -> None:
    metrics.Collector(registry, rss=False)
    assert RSS not in told(registry)
    collector = metrics.Collector(None)
    assert RSS in {family.name for family in collector.collect()}
    another = prometheus.CollectorRegistry()
    another.register(collector)
    assert RSS in told(another)


def test_a_collector_can_be_taken_away(registry: prometheus.CollectorRegistry) -> None:
    collector = metrics.Collector(registry)
    registry.unregister(collector)
    assert told(registry) == {}
    metrics.Collector(registry)


# Another process.


def test_another_process(stopped: int, registry: prometheus.CollectorRegistry) -> None:
    metrics.Collector(registry, pid=stopped)
    assert told(registry) == {RSS: zmalloc.rss(stopped), "zmalloc_process_info": 1}
    walked = prometheus.CollectorRegistry()
    metrics.Collector(walked, walk=True, pid=stopped)
    values, sums = told(walked), zmalloc.smaps(pid=stopped)
    assert values.keys() == WALKED | {RSS, "zmalloc_process_info"}
    assert values[RSS] == sums["Rss"]
    assert values["process_private_dirty_memory_bytes"] == sums["Private_Dirty"]
    # Whoever shares its pages may end meanwhile.
    assert values["process_proportional_memory_bytes"] == pytest.approx(sums["Pss"], rel=0.3)
    unique = sums["Private_Clean"] + sums["Private_Dirty"]
    assert values["process_unique_memory_bytes"] == pytest.approx(unique, rel=0.3)


def test_a_process_that_has_ended_tells_nothing(registry: prometheus.CollectorRegistry) -> None:
    with subprocess.Popen(["sleep", "1000"]) as child:
        metrics.Collector(registry, pid=child.pid)
        assert RSS in told(registry)
        child.kill()
    assert told(registry) == {}
    with pytest.raises(ProcessLookupError):
        metrics.Collector(prometheus.CollectorRegistry(), pid=child.pid)


# From several threads at once.


def at_once(count: int, work: Callable[[], None]) -> list[BaseException]:
    """What so many threads raised."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("hasty")
def test_collected_by_several_threads_in_several_registries(stopped: int) -> None:
    """One collector of this process and one of another, each in two registries."""
    own, other = metrics.Collector(None), metrics.Collector(None, pid=stopped)
    registries = [prometheus.CollectorRegistry() for _ in range(4)]
    for registry, collector in zip(registries, (own, own, other, other)):
        registry.register(collector)

    def collect() -> None:
        for _ in range(50):
            for registry in registries:
                assert told(registry)[RSS] > 0
            assert [family.name for family in other.collect()] == [RSS, "zmalloc_process"]

    assert at_once(8, collect) == []


@pytest.mark.usefixtures("hasty")
def test_registered_by_several_threads() -> None:
    """One succeeds, whoever it is, and the others are told."""
    for _ in range(20):
        registry = prometheus.CollectorRegistry()
        failures = at_once(4, lambda: metrics.Collector(registry) and None)  # noqa: B023
        # prometheus_client 0.26 has a kind of its own.
        assert [isinstance(failure, ValueError) for failure in failures] == [True] * 3, failures
        assert told(registry)["zmalloc_memory_used_bytes"] >= 0


# Over HTTP.


def test_scraped_over_http(script: Callable) -> None:
    """As a server asks for it: in either format, and for some names alone. The exporter is a process of its own."""
    code = (
        "import prometheus_client, zmalloc.metrics, socket\n"
        "registry = prometheus_client.CollectorRegistry()\n"
        "zmalloc.metrics.Collector(registry)\n"
        "block = zmalloc.Block(7777)\n"
        "with socket.socket() as found: found.bind(('127.0.0.1', 0)); port = found.getsockname()[1]\n"
        "prometheus_client.start_http_server(port, '127.0.0.1', registry)\n"
        "print(port, zmalloc.used_memory(), flush=True)\n"
        "input()\n"
    )
    command = [sys.executable, "-c", "import zmalloc\n" + code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as exporter:
        port, used = exporter.stdout.readline().split()
        for accepted, kind, parse in (
            ("text/plain", "text/plain", parse_text),
            ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text", parse_openmetrics),
        ):
            request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Accept": accepted})
            with urllib.request.urlopen(request, timeout=60) as answer:
                assert answer.headers["Content-Type"].startswith(kind)
                families = {family.name: family for family in parse(answer.read().decode())}
            assert families["zmalloc_memory_used_bytes"].samples[0].value == int(used)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics?name[]={RSS}", timeout=60) as answer:
            lines = [line for line in answer.read().decode().splitlines() if not line.startswith("#")]
        assert [line.split()[0] for line in lines] == [RSS]
        exporter.communicate("\n")
    assert exporter.returncode == 0


def test_without_prometheus_client(script: Callable) -> None:
    result = script(
        "import sys\n"
        "sys.modules['prometheus_client'] = None\n"
        "try: import zmalloc.metrics\n"
        "except ImportError as error: print(error, error.name)\n"
    )
    words = ("zmalloc.metrics needs prometheus_client: prometheus_client can't be imported: install "
             "python3-prometheus-client (Debian, Ubuntu), or prometheus-client by pip")  # fmt: skip
    assert result.stdout == f"{words} prometheus_client\n", result.stderr


@pytest.mark.parametrize("pid", [None, -1, os.getpid()])
def test_this_process_by_all_its_names(pid: int | None) -> None:
    registry = prometheus.CollectorRegistry()
    metrics.Collector(registry, pid=pid)
    assert registry.get_sample_value("zmalloc_memory_used_bytes") is not None
