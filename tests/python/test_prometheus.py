# SPDX-License-Identifier: BSD-3-Clause
"""A real Prometheus server scrapes a program that allocates, and what it has stored is what the module counted.

ZMALLOC_SECONDS says for how long; 5 by default.
"""

from __future__ import annotations

import bisect
import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmalloc

prometheus_client = pytest.importorskip("prometheus_client", reason="no prometheus_client for this interpreter")
metrics = pytest.importorskip("zmalloc.metrics", reason="no prometheus_client for this interpreter")

SECONDS = float(os.environ.get("ZMALLOC_SECONDS", "5"))
INTERVAL = 0.2  # between scrapes
SLACK = 0.02  # by which the server may move a scrape's time to keep them even, and more
JOB = '{job="zmalloc"}'
OPERATE = Path(os.environ["ZMALLOC_SOURCE"]) / "bindings" / "python" / "operate"
RULES = OPERATE / "zmalloc.rules.yml"

for program in ("prometheus", "promtool"):
    if shutil.which(program) is None:
        pytest.skip(f"no {program} here: install Debian's package prometheus", allow_module_level=True)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Server:
    """A Prometheus server of our own, by its HTTP interface."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.address}/-/ready", timeout=10):
                return True
        except (urllib.error.URLError, ConnectionError):
            return False

    def ask(self, what: str, **arguments: str) -> Any:
        url = f"{self.address}/api/v1/{what}?{urllib.parse.urlencode(arguments)}"
        with urllib.request.urlopen(url, timeout=60) as answer:
            told = json.load(answer)
        assert told["status"] == "success"
        return told["data"]

    def series(self, name: str) -> list[tuple[float, float]]:
        """All that it has stored of a metric: times and values."""
        found = self.ask("query", query=f"{name}{JOB}[1d]")["result"]
        assert len(found) <= 1
        return [(when, float(value)) for each in found for when, value in each["values"]]


def wait_until_it_scrapes(server: Server, process: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + 120
    while not (server.is_ready() and server.series("zmalloc_memory_used_bytes")):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """It scrapes this process, whose registry has the collector alone."""
    folder = tmp_path_factory.mktemp("prometheus")
    registry = prometheus_client.CollectorRegistry()
    metrics.Collector(registry)
    exporter, port = free_port(), free_port()
    prometheus_client.start_http_server(exporter, "127.0.0.1", registry)
    (folder / "prometheus.yml").write_text(
        f"global: {{scrape_interval: {INTERVAL * 1000:.0f}ms, scrape_timeout: {INTERVAL * 1000:.0f}ms,\n"
        f"         evaluation_interval: 1s}}\n"
        f"rule_files: ['{RULES}']\n"
        f"scrape_configs: [{{job_name: zmalloc, static_configs: [{{targets: ['127.0.0.1:{exporter}']}}]}}]\n"
    )
    command = ["prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
               f"--web.listen-address=127.0.0.1:{port}"]  # fmt: skip
    log = folder / "log"
    with log.open("w") as file, subprocess.Popen(command, stdout=file, stderr=file) as process:
        try:
            server = Server(port)
            wait_until_it_scrapes(server, process, log)
            yield server
        finally:
            process.terminate()


class Churn:
    """Blocks come and go in a thread while the block lasts, and a Monitor watches."""

    def __init__(self) -> None:
        self.monitor = zmalloc.Monitor(0.005, length=int(SECONDS * 400) + 10_000)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        kept: list[zmalloc.Block] = []
        while not self._done.wait(0.003):
            kept += [zmalloc.Block(1000 * size) for size in range(20)]
            del kept[: -200 if len(kept) < 2000 else 1]

    def __enter__(self) -> zmalloc.Monitor:
        self.monitor.start()
        self._thread.start()
        return self.monitor

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()
        self.monitor.stop()


def counter_bounds(samples: list[zmalloc.Sample], field: str, begin: float, end: float) -> tuple[int, int] | None:
    """What a counter that only grows was between two moments, as the samples around them tell."""
    times = [sample.wall for sample in samples]
    before, after = bisect.bisect_left(times, begin) - 1, bisect.bisect_right(times, end)
    if before < 0 or after >= len(samples):
        return None
    return getattr(samples[before], field), getattr(samples[after], field)


def test_what_the_server_stored_is_what_was_counted(server: Server, capsys: pytest.CaptureFixture) -> None:
    """Each value of a counter lies between the two that the monitor saw just before and after that scrape."""
    with Churn() as monitor:
        time.sleep(SECONDS)
    samples = monitor.samples()
    held = 0
    for field in ("allocated", "freed"):
        stored = server.series(f"zmalloc_{field}_bytes_total")
        durations = dict(server.series("scrape_duration_seconds"))  # after it, so of each scrape that is stored
        assert [value for _, value in stored] == sorted(value for _, value in stored)
        for when, value in stored:
            bounds = counter_bounds(samples, f"total_{field}", when - SLACK, when + durations[when] + SLACK)
            if bounds is not None:
                assert bounds[0] <= value <= bounds[1], (field, when, durations[when])
                held += 1
    assert held >= SECONDS / INTERVAL / 4
    with capsys.disabled():
        print(f"\nfigure: {held} values held that a Prometheus server had scraped")


def test_rates_are_as_the_monitor_s(server: Server) -> None:
    """The server's rate() over what it has of the churn, and the monitor's over the same time."""
    with Churn() as monitor:
        time.sleep(SECONDS)
        now, window = time.time(), max(2, int(SECONDS) - 2)
        query = f"rate(zmalloc_allocated_bytes_total{JOB}[{window}s])"
        [told] = server.ask("query", query=query, time=str(now))["result"]
    first, last = counter_bounds(monitor.samples(), "total_allocated", now - window, now) or (0, 0)
    assert float(told["value"][1]) == pytest.approx((last - first) / window, rel=0.35)


def test_figures_at_rest(server: Server) -> None:
    """Once nothing moves, a scrape tells what the module tells."""
    with zmalloc.Block(3_000_000) as block:
        block[:] = b"x" * len(block)
        begin = time.time()
        while not [when for when, _ in server.series("zmalloc_memory_used_bytes") if when > begin]:
            assert time.time() < begin + 60
            time.sleep(INTERVAL)
        last = {}
        for name in ("zmalloc_memory_used_bytes", "zmalloc_allocated_bytes_total", "process_resident_memory_bytes"):
            last[name] = server.series(name)[-1][1]
        assert last["zmalloc_memory_used_bytes"] == zmalloc.used_memory()
        assert last["zmalloc_allocated_bytes_total"] == zmalloc.zmalloc_total_allocated()
        assert last["process_resident_memory_bytes"] == pytest.approx(zmalloc.rss(), rel=0.2)
        for level in ("allocated", "active", "resident"):
            is_known = getattr(zmalloc.report(), level) is not None
            assert bool(server.series(f"zmalloc_memory_{level}_bytes")) == is_known


def test_types_units_and_words_arrive(server: Server) -> None:
    told = server.ask("metadata")
    for name, kind, unit in [
        ("zmalloc_memory_used_bytes", "gauge", "bytes"),
        ("zmalloc_memory_fragmentation_ratio", "gauge", "ratio"),
        ("zmalloc_allocated_bytes", "counter", "bytes"),
        ("process_resident_memory_bytes", "gauge", "bytes"),
        ("zmalloc", "info", ""),
    ]:
        [said] = told[name]
        assert (said["type"], said["unit"]) == (kind, unit)
        assert said["help"].endswith(".")
    [info] = server.ask("query", query=f"zmalloc_info{JOB}")["result"]
    assert (info["metric"]["allocator"], info["metric"]["version"]) == (zmalloc.allocator, zmalloc.__version__)


def test_the_target_was_never_lost(server: Server) -> None:
    [target] = server.ask("targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    missed = [when for when, up in server.series("up") if up != 1]
    assert len(missed) <= len(server.series("up")) / 10  # a machine that is busy may be late


def test_promtool_has_nothing_to_say() -> None:
    registry = prometheus_client.CollectorRegistry()
    metrics.Collector(registry, walk=True)
    with zmalloc.Block(1000):
        text = prometheus_client.generate_latest(registry)
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def promtool(*arguments: str | Path) -> str:
    command = ["promtool", *(str(word) for word in arguments)]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert result.returncode == 0, result.stdout
    return result.stdout


def test_rules_are_prometheus_s() -> None:
    names = re.findall("- (?:record|alert): ", RULES.read_text())
    assert f"SUCCESS: {len(names)} rules found" in promtool("check", "rules", RULES)


def test_alerts_come_when_they_should() -> None:
    tests = OPERATE / "zmalloc.rules.test.yml"
    assert "SUCCESS" in promtool("test", "rules", tests)
    alerts = re.findall(r"alert: (\w+)", RULES.read_text())
    tested = re.findall(r'alertname="(\w+)"', tests.read_text())
    assert set(alerts) == set(tested)


def test_a_server_takes_the_rules(server: Server) -> None:
    """And evaluates them without an error; what they record is there to be asked."""
    end = time.monotonic() + 60
    while not server.series("zmalloc:allocated_bytes:rate5m"):
        assert time.monotonic() < end
        time.sleep(INTERVAL)
    rules = [rule for group in server.ask("rules")["groups"] for rule in group["rules"]]
    assert len(rules) == len(re.findall("- (?:record|alert): ", RULES.read_text()))
    assert {(rule["health"], rule.get("lastError", "")) for rule in rules} == {("ok", "")}
    # A growth of seconds may be on its way to an alert, but each takes a minute at least.
    assert {rule["state"] for rule in rules if rule["type"] == "alerting"} <= {"inactive", "pending"}


def test_a_server_answers_each_panel(server: Server) -> None:
    [target] = server.ask("targets")["activeTargets"]
    dashboard = json.loads((OPERATE / "zmalloc.dashboard.json").read_text())
    answered = 0
    for panel in dashboard["panels"]:
        for each in panel["targets"]:
            query = each["expr"].replace("$job", "zmalloc").replace("$instance", target["labels"]["instance"])
            answered += bool(server.ask("query", query=query)["result"])
    assert answered >= 10  # without a limit, and where the allocator reports little, some have no figure
