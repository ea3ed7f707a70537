# SPDX-License-Identifier: BSD-3-Clause
"""`zmalloc serve`: what it answers, and whom it serves while others are slow, many, or malicious.

ZMALLOC_SECONDS says how long the crowd lasts; 2 by default.
"""

from __future__ import annotations

import errno
import os
import random
import re
import resource
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import zmalloc

pytest.importorskip("prometheus_client", reason="no prometheus_client for this interpreter")

from zmalloc._cli import serve  # noqa: E402
from zmalloc.metrics import Collector  # noqa: E402

from command import inside, start  # noqa: E402
from waiting import wait_until  # noqa: E402

OPENMETRICS = {"Accept": "application/openmetrics-text"}
SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: application/openmetrics-text\r\n\r\n"
SECONDS = float(os.environ.get("ZMALLOC_SECONDS", "2"))


@contextmanager
def serving(pid: int, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    with start("serve", pid, "--port", "0", *options) as process:
        try:
            said = re.fullmatch(r"serving (http://\S+/metrics)\n", process.stdout.readline())
            assert said is not None, process.stderr.read()
            yield process, said[1]
        finally:
            process.kill()


def fetch(url: str, headers: dict[str, str]) -> tuple[str, str]:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as response:
        return response.headers["Content-Type"], response.read().decode()


def test_serve(stopped: int) -> None:
    """As OpenMetrics, and as Prometheus's older text for who asks for nothing special."""
    with serving(stopped) as (process, url):
        from prometheus_client.openmetrics import parser

        assert url.startswith("http://127.0.0.1:")
        expected = {zmalloc.private_dirty(stopped)}
        kind, text = fetch(url, OPENMETRICS)
        expected.add(zmalloc.private_dirty(stopped))
        assert kind.startswith("application/openmetrics-text")
        families = parser.text_string_to_metric_families(text)
        figures = {sample.name: sample.value for family in families for sample in family.samples}
        assert min(expected) <= figures["process_private_dirty_memory_bytes"] <= max(expected)
        assert figures["process_resident_memory_bytes"] == zmalloc.smaps("Rss", stopped)
        assert [name for name in figures if name.startswith("zmalloc_")] == ["zmalloc_process_info"]
        name = Path(f"/proc/{stopped}/comm").read_text().rstrip("\n")
        assert f'zmalloc_process_info{{name="{name}",pid="{stopped}"}} 1' in text
        kind, text = fetch(url, {})
        assert kind.startswith("text/plain") and "process_resident_memory_bytes" in text
        with pytest.raises(urllib.error.HTTPError, match="404"):
            fetch(url.replace("/metrics", "/other"), {})
        for request in (b"GET /metrics HTTP/1.0\r\n\r\n", b"\x00\xff\r\n\r\n", b""):  # and goes before the answer
            host, port = url.split("/")[2].split(":")
            with socket.create_connection((host, int(port)), timeout=30) as connection:
                connection.sendall(request)
        assert fetch(url, OPENMETRICS)[1].endswith("# EOF\n")
        process.terminate()
        assert process.stderr.read() == ""


def test_serve_until_the_process_ends(brief: subprocess.Popen[bytes]) -> None:
    with serving(brief.pid) as (process, url):
        assert "process_resident_memory_bytes" in fetch(url, {})[1]
        brief.stdin.close()
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err) == (0, "", f"zmalloc: process {brief.pid} has ended\n")


def test_serve_where_nobody_can(stopped: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = inside("serve", stopped, "--port", port)
        assert said == (1, "", f"zmalloc: serve: 127.0.0.1 port {port}: {os.strerror(errno.EADDRINUSE)}\n")
    said = inside("serve", stopped, "--address", "300.1.1.1", "--port", "0")
    assert (said.status, said.out) == (1, "") and said.err.startswith("zmalloc: serve: 300.1.1.1 port 0: ")


# Whom it serves.


def connect(url: str) -> socket.socket:
    host, port = url.split("/")[2].split(":")
    return socket.create_connection((host, int(port)), timeout=60)


def read_all(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def ask(url: str, request: bytes = SCRAPE) -> bytes:
    with connect(url) as connection:
        connection.sendall(request)
        return read_all(connection)


def status_of(answer: bytes) -> int:
    """Of an answer that is whole."""
    head, _, body = answer.partition(b"\r\n\r\n")
    said = re.fullmatch(rb"HTTP/1.0 (\d+) .+", head.splitlines()[0])
    length = re.search(rb"Content-Length: (\d+)", head)
    assert said is not None and length is not None and len(body) == int(length[1]), answer[:200]
    return int(said[1])


def is_full(answer: bytes) -> bool:
    return status_of(answer) == 200 and answer.endswith(b"# EOF\n")


def at_once(count: int, work: Callable[[], None]) -> None:
    """So many threads do it; the first failure is raised."""
    failures: list[BaseException] = []
    barrier = threading.Barrier(count)

    def run() -> None:
        try:
            barrier.wait()
            work()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for failure in failures:
        raise failure


def test_scrapers_amid_slow_clients(stopped: int, capsys: pytest.CaptureFixture) -> None:
    """200 whose requests never end, others that write anything, and 20 that scrape side by side."""
    took: list[float] = []
    chance = random.Random(1)
    with serving(stopped) as (process, url):
        end = time.monotonic() + SECONDS
        slow = [connect(url) for _ in range(200)]

        def scrape() -> None:
            while True:
                began = time.monotonic()
                assert is_full(ask(url))
                took.append(time.monotonic() - began)
                if time.monotonic() > end:
                    return

        def disturb() -> None:
            while time.monotonic() < end:
                with connect(url) as connection:
                    connection.sendall(chance.randbytes(chance.randrange(300)) + b"\r\n\r\n")
                for connection in slow:
                    try:
                        connection.sendall(b"GET /metr")
                    except OSError:  # its time is over
                        slow.remove(connection)
                        connection.close()
                        slow.append(connect(url))
                time.sleep(0.05)

        disturber = threading.Thread(target=disturb)
        disturber.start()
        at_once(20, scrape)
        disturber.join()
        for connection in slow:
            connection.close()
        assert process.poll() is None
    assert len(took) >= 20
    assert max(took) < 10  # then a Prometheus server gives up
    with capsys.disabled():
        print(f"\nfigure: {len(took)} scrapes answered in full amid 200 slow clients")


def test_few_descriptors(stopped: int) -> None:
    """More idle clients than there are descriptors: whoever asks is served, and nothing spins."""
    command = f"ulimit -n 40; exec {sys.executable} -m zmalloc serve --port 0 {stopped}"
    with subprocess.Popen(["sh", "-c", command], stdout=subprocess.PIPE, text=True) as process:
        try:
            url = process.stdout.readline().split()[1]
            idle = [connect(url) for _ in range(60)]
            before = processor_time(process.pid)
            for _ in range(3):
                assert is_full(ask(url))
            assert processor_time(process.pid) - before < 2
            assert process.poll() is None
            for connection in idle:
                connection.close()
        finally:
            process.kill()


def processor_time(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_descriptors_that_are_taken_away(stopped: int) -> None:
    """With none left to read the figures with, the answer is 503; it serves again when there are some."""
    with serving(stopped) as (process, url):
        assert is_full(ask(url))
        time.sleep(2 * serve.SHARED_SECONDS)
        limits = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        used = len(os.listdir(f"/proc/{process.pid}/fd"))
        with connect(url) as connection:
            wait_until(lambda: len(os.listdir(f"/proc/{process.pid}/fd")) == used + 1)
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (used + 1, limits[1]))
            connection.sendall(SCRAPE)
            answer = read_all(connection)
            assert status_of(answer) == 503 and os.strerror(errno.EMFILE).encode() in answer
        time.sleep(2.5)  # it looks whether the process is there, too
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, limits)
        assert is_full(ask(url))
        assert process.poll() is None


def test_memory_that_is_taken_away(stopped: int) -> None:
    with serving(stopped) as (process, url):
        assert is_full(ask(url))
        limits = resource.prlimit(process.pid, resource.RLIMIT_AS)
        resource.prlimit(process.pid, resource.RLIMIT_AS, (1 << 20, limits[1]))
        idle = [connect(url) for _ in range(100)]
        for _ in range(20):
            with connect(url) as connection:
                connection.sendall(SCRAPE)
        time.sleep(1)
        resource.prlimit(process.pid, resource.RLIMIT_AS, limits)
        assert is_full(ask(url))
        assert process.poll() is None
        for connection in idle:
            connection.close()


# With other limits, in this process.


@contextmanager
def turning(monkeypatch: pytest.MonkeyPatch, **limits: float) -> Iterator[tuple[serve.Server, str]]:
    """A server of this process in a thread."""
    for name, limit in {"TURN_SECONDS": 0.02, **limits}.items():
        monkeypatch.setattr(serve, name, limit)
    server = serve.Server("127.0.0.1", 0, zmalloc.Monitor(None))
    over = threading.Event()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            while not over.is_set():
                server.turn()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    with closing(server):
        thread.start()
        try:
            yield server, server.url
        finally:
            over.set()
            thread.join()
    assert failures == []


def test_a_client_has_its_time_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """And no more of it for every byte that it sends."""
    with turning(monkeypatch, SECONDS_TO_ASK=0.4) as (_, url), connect(url) as silent, connect(url) as dripping:
        began = time.monotonic()
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            while time.monotonic() < began + 20:
                dripping.sendall(b"x")
                time.sleep(0.02)
        assert 0.3 < time.monotonic() - began < 20
        assert status_of(read_all(silent)) == 408


def test_a_client_has_its_time_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who reads slowly gets all of it; who doesn't read is given up."""
    text = os.urandom(1 << 20) * 40
    monkeypatch.setattr(serve, "choose_encoder", lambda _: (lambda _: text, "text/plain"))
    with turning(monkeypatch, SECONDS_TO_READ=1.0, SECONDS_TO_CLOSE=0.1) as (server, url):
        with connect(url) as still, connect(url) as reading:
            still.sendall(SCRAPE)
            reading.sendall(SCRAPE)
            assert read_all(reading).endswith(text)
            wait_until(lambda: not server._clients)
            assert len(read_until_reset(still)) < len(text)


def read_until_reset(connection: socket.socket) -> bytes:
    parts = [b""]
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def test_clients_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that has been silent for longest makes room, and is told."""
    most: list[int] = []
    with turning(monkeypatch, MOST_CLIENTS=5, SECONDS_IN_PEACE=0.1) as (server, url):
        idle = [connect(url) for _ in range(12)]

        def scrape() -> None:
            for _ in range(3):
                assert is_full(ask(url))
                most.append(len(server._clients))

        at_once(4, scrape)
        assert max(most) <= 5
        assert status_of(read_all(idle[0])) == 408
        for connection in idle:
            connection.close()


def test_who_has_just_come_is_not_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others wait until there is room."""
    with turning(monkeypatch, MOST_CLIENTS=2, SECONDS_IN_PEACE=60, SECONDS_TO_CLOSE=0.1) as (_, url):
        first, second, third = (connect(url) for _ in range(3))
        third.sendall(SCRAPE)
        time.sleep(0.2)
        for connection in (second, first):
            connection.sendall(SCRAPE)
            assert is_full(read_all(connection))
            connection.close()
        assert is_full(read_all(third))
        third.close()


def test_scrapes_of_an_instant_share_a_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    readings: list[float] = []
    collect = Collector.collect

    def counted(self: Collector) -> object:
        readings.append(time.monotonic())
        return collect(self)

    monkeypatch.setattr(Collector, "collect", counted)
    with turning(monkeypatch, SHARED_SECONDS=60) as (_, url):
        at_once(10, lambda: [ask(url) for _ in range(5)])  # type: ignore[arg-type, return-value]
        assert len(readings) == 1
        assert status_of(ask(url, b"GET / HTTP/1.0\r\n\r\n")) == 200  # in the other format, too
        assert len(readings) == 1
    with turning(monkeypatch, SHARED_SECONDS=0) as (_, url):
        ask(url)
        ask(url)
        assert len(readings) == 3


@pytest.mark.parametrize("error", [MemoryError, RuntimeError, OSError(errno.EMFILE, "no more")])
def test_what_can_not_be_read_is_503(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> bytes:
        raise error

    with turning(monkeypatch) as (_, url):
        with monkeypatch.context() as patch:
            patch.setattr(serve, "choose_encoder", lambda _: (fail, ""))
            assert status_of(ask(url)) == 503
        assert is_full(ask(url))


REQUESTS = {
    b"\r\n" + SCRAPE: 200,
    SCRAPE + b"more": 200,
    SCRAPE + b"x" * 1_000_000: 200,
    b"GET /metrics\n\n": 200,
    b"GET /other HTTP/1.0\r\n\r\n": 404,
    b"POST /metrics HTTP/1.0\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1_000_000: 501,
    b"GET /metrics HTTP/9.9\r\n\r\n": 505,
    b"\0" * 5000 + b"\r\n\r\n": 400,
    b" \r\n\r\n": 400,
    b"GET\r\n\r\n": 400,
    b"GET /" + b"x" * 200_000: 431,
    b"GET / HTTP/1.0\r\nA: " + b"x" * 70_000 + b"\r\n\r\n": 431,
    b"GET / HTTP/1.0\r\n" + b"A: b\r\n" * 200 + b"\r\n": 431,
}


@pytest.mark.parametrize(("request_", "status"), REQUESTS.items(), ids=map(str, range(len(REQUESTS))))
def test_every_answer_arrives_whole(request_: bytes, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else the client has sent, or goes on to send."""
    with turning(monkeypatch) as (_, url):
        assert status_of(ask(url, request_)) == status


def test_a_head_is_a_get_without_its_body(monkeypatch: pytest.MonkeyPatch) -> None:
    with turning(monkeypatch, SHARED_SECONDS=60) as (_, url):
        for request in (SCRAPE, SCRAPE.replace(b"/metrics", b"/other")):
            get, head = ask(url, request), ask(url, request.replace(b"GET", b"HEAD"))
            got, told = (re.sub(rb"\r\nDate: [^\r]*", b"", answer).partition(b"\r\n\r\n") for answer in (get, head))
            assert told == (got[0], b"\r\n\r\n", b"")
            assert b"Content-Length: %d" % len(got[2]) in told[0] and len(got[2]) > 100


def test_a_request_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    with turning(monkeypatch) as (_, url), connect(url) as connection:
        for byte in SCRAPE:
            connection.sendall(bytes([byte]))
            time.sleep(0.001)
        assert is_full(read_all(connection))


def test_half_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    with turning(monkeypatch) as (_, url):
        for request, expected in ((b"GET /metr", 400), (b"", 0)):
            with connect(url) as connection:
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
                answer = read_all(connection)
                assert (status_of(answer) if answer else 0) == expected
