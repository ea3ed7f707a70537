# SPDX-License-Identifier: BSD-3-Clause
"""Monitors: what they keep, who takes the samples, how they end, and how the series goes elsewhere."""

from __future__ import annotations

import contextlib
import csv
import gc
import importlib.util
import inspect
import io
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
import zmalloc

from waiting import wait_until

RATIOS = ("mem_fragmentation_ratio", "allocator_frag_smallbins_ratio")
DIFFERENCES = ("allocator_overhead_bytes", "allocator_frag_bytes", "allocator_rss_bytes", "rss_overhead_bytes")
COUNTED = ("peak", "total_allocated", "total_freed")
LIMITS = ("limit", "soft_limit")
OF_ANOTHER = ("rss", "pss", "uss", "private_dirty", "swap", "huge_pages", "private_hugetlb",
              "shared_hugetlb")  # fmt: skip


def monitor_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "zmalloc-monitor"]


@pytest.fixture(autouse=True)
def leaves_no_thread() -> Iterator[None]:
    yield
    assert monitor_threads() == []


@pytest.fixture
def child() -> Iterator[subprocess.Popen]:
    """A process of ours that only sleeps."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        yield process
        process.kill()


# The series.


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"interval": 0}, ValueError, "'interval' must be above 0"),
        ({"interval": -1.0}, ValueError, "'interval' must be above 0"),
        ({"interval": math.inf}, ValueError, "'interval' must be above 0 and finite"),
        ({"interval": math.nan}, ValueError, "'interval' must be above 0"),
        ({"interval": "1"}, TypeError, "'interval' must be a number or None, not str"),
        ({"interval": True}, TypeError, "'interval' must be a number or None, not bool"),
        ({"length": 0}, ValueError, "'length' must be at least 1"),
        ({"length": 10.0}, TypeError, "'length' must be an int, not float"),
        ({"pid": 0}, ValueError, "Monitor: Invalid argument"),
        ({"pid": 2**22 + 1}, ProcessLookupError, "Monitor: No such process"),
        ({"pid": "1"}, TypeError, "pid"),
        ({"what": 1}, TypeError, "what"),
    ],
)
def test_arguments_that_are_none(arguments: dict, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        zmalloc.Monitor(**arguments)


@pytest.mark.parametrize("pid", [None, -1, os.getpid()])
def test_this_process_by_all_its_names(pid: int | None) -> None:
    monitor = zmalloc.Monitor(None, pid=pid)
    monitor.sample()
    assert monitor.pid is None
    assert monitor.samples()[-1].used is not None


def test_a_sample_is_a_report_and_more() -> None:
    report = [name for name, member in vars(zmalloc.Report).items() if inspect.ismemberdescriptor(member)]
    assert list(zmalloc.Sample._fields) == ["monotonic", "wall", *report, *COUNTED, *LIMITS]
    monitor = zmalloc.Monitor(None)
    with zmalloc.Block(100_000) as block:
        times, sample, after = (time.monotonic(), time.time()), monitor.sample(), (time.monotonic(), time.time())
        assert sample.used == zmalloc.used_memory() >= block.usable
        assert sample.peak == zmalloc.peak_memory()
        known = [value is not None for value in sample[2 : 2 + len(report)]]
        assert known == [value is not None for value in zmalloc.report()]
    assert times[0] <= sample.monotonic <= after[0]
    assert times[1] <= sample.wall <= after[1]
    assert sample.total_allocated == zmalloc.zmalloc_total_allocated() == sample.total_freed + sample.used
    for name in zmalloc.Sample._fields:
        assert len(getattr(zmalloc.Sample, name).__doc__ or "") > 3


@pytest.mark.parametrize("walk", [False, True])
def test_the_last_samples_are_kept_as_they_were_taken(walk: bool) -> None:
    monitor = zmalloc.Monitor(interval=None, length=5, walk=walk)
    size = monitor.nbytes
    taken, kept = [], []
    for count in range(1, 13):
        kept.append(zmalloc.Block(count * 1000))
        taken.append(monitor.sample())
        assert monitor.samples() == list(monitor) == taken[-5:]
        assert (len(monitor), monitor.taken) == (min(count, 5), count)
    assert monitor.nbytes == size
    assert all(type(value) in (int, float, type(None)) for sample in taken for value in sample)
    assert [type(getattr(taken[-1], name)) for name in RATIOS[:1]] == [float]
    assert (taken[-1].pss is not None) == walk


def test_every_figure_is_in_its_place() -> None:
    """Nothing is allocated in between, so that only what the kernel and the interpreter do can differ."""
    with zmalloc.Block(1 << 20), zmalloc.limit(1 << 40):
        for walk in (False, True):
            sample, report = zmalloc.Monitor(None, walk=walk).sample(), zmalloc.report(walk=walk)
            for name, value in zip(zmalloc.Sample._fields[2:25], report):
                near = None if value is None else pytest.approx(value, rel=0.5, abs=4 << 20)
                assert getattr(sample, name) == near, name
            gaps = [getattr(sample, name) or 0 for name in DIFFERENCES]
            assert sample.used + sum(gaps) == sample.rss
            if sample.mem_fragmentation_ratio is not None:
                assert sample.mem_fragmentation_ratio == sample.rss / sample.used
            assert (sample.limit, sample.soft_limit) == (1 << 40, None)


def test_differences_may_be_negative() -> None:
    """As where pages of the allocator's are in swap: it calls them resident, and the kernel does not."""
    from zmalloc import _figures, _zmalloc
    from zmalloc._monitor import series

    figures = {name: -5 for name in DIFFERENCES}
    kept = series.packed(map(figures.get, _figures.NAMES))
    sample = series.Series(1, None, lambda records: _zmalloc._take_packed(kept, records)).sample()
    known = {name: value for name, value in sample._asdict().items() if value is not None}
    assert {name: value for name, value in known.items() if name in figures} == figures
    assert sum(value is not None for value in sample) == 2 + len(figures) == 6


def test_nothing_is_written_where_there_is_no_place() -> None:
    from zmalloc import _figures, _zmalloc
    from zmalloc._monitor import series

    kept = series.packed(None for _ in _figures.NAMES)
    for records in (bytearray(), bytearray(100), b"x" * 1000, None):
        for take, what in ((_zmalloc._take_own, False), (_zmalloc._take_packed, kept)):
            with pytest.raises(TypeError, match="no place"):
                take(what, records)
        for copy in (_zmalloc._copy_records, _zmalloc._copy_count, _zmalloc._copy_in_child):
            if not isinstance(records, bytearray):
                with pytest.raises(TypeError, match="no records"):
                    copy(records)
    for wrong in (b"", kept[1:], bytearray(kept), None):
        with pytest.raises(TypeError, match="no figures"):
            _zmalloc._take_packed(wrong, bytearray(1000))


def test_a_monitor_without_samples() -> None:
    monitor = zmalloc.Monitor(None)
    assert (len(monitor), monitor.samples(), monitor.events(), monitor.rates()) == (0, [], [], None)
    assert monitor
    assert json.loads(monitor.to_json())["samples"] == []
    assert list(csv.reader(io.StringIO(monitor.to_csv()))) == [[*zmalloc.Sample._fields, "event"]]
    assert (monitor.missed, monitor.error, monitor.pid, monitor.running) == (0, None, None, False)


def test_sampling_takes_no_memory_of_its_own() -> None:
    monitor = zmalloc.Monitor(None, length=100)
    assert 100 * 8 * len(zmalloc.Sample._fields) <= monitor.nbytes <= 200 * 8 * len(zmalloc.Sample._fields)
    for _ in range(200):
        monitor.sample()
    gc.collect()
    tracemalloc.start()
    try:
        for _ in range(20):
            monitor.sample()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(2000):
            monitor.sample()
        assert tracemalloc.get_traced_memory()[0] - before < 4000
    finally:
        tracemalloc.stop()


def test_rates_are_what_the_counters_say() -> None:
    monitor = zmalloc.Monitor(None)
    first = monitor.sample()
    assert monitor.rates() is None
    kept = [zmalloc.Block(10_000) for _ in range(50)]
    cost = sum(map(zmalloc.zmalloc_size, kept))
    del kept[10:]
    left = sum(map(zmalloc.zmalloc_size, kept))
    time.sleep(0.01)
    last = monitor.sample()
    seconds = last.monotonic - first.monotonic
    rates = monitor.rates()
    assert rates.allocated == pytest.approx(cost / seconds)
    assert rates.freed == pytest.approx((cost - left) / seconds)


# Its thread.


def test_a_thread_takes_samples_between_the_first_and_the_last() -> None:
    with zmalloc.Monitor(interval=0.005, length=10) as monitor:
        assert monitor.taken >= 1
        [thread] = monitor_threads()
        assert thread.daemon
        wait_until(lambda: monitor.taken > 20)
        assert monitor.running
        block = zmalloc.Block(123_456)
    assert not monitor.running
    taken = monitor.taken
    samples = monitor.samples()
    assert samples[-1].used == zmalloc.zmalloc_size(block)
    times = [sample.monotonic for sample in samples]
    assert times == sorted(set(times))
    assert len(samples) == 10
    time.sleep(0.02)
    assert monitor.taken == taken


@pytest.mark.parametrize("walk", [False, True])
def test_the_thread_s_samples_are_as_the_caller_s(walk: bool, stopped: int) -> None:
    with zmalloc.Monitor(0.01, walk=walk, pid=stopped) as monitor:
        wait_until(lambda: monitor.taken > 5)
    assert monitor.missed == 0
    monitor.sample()
    # Others come and go that share pages with it.
    steady = {sample._replace(monotonic=0, wall=0, pss=0, uss=0, private_dirty=0) for sample in monitor}
    assert len(steady) == 1 and [sample.pss is None for sample in monitor] == [not walk] * len(monitor)
    block = zmalloc.Block(1000)
    with zmalloc.Monitor(0.01, walk=walk) as monitor:
        wait_until(lambda: monitor.taken > 5)
    expected = monitor.sample()
    for sample in monitor:
        assert [figure is None for figure in sample] == [figure is None for figure in expected]
        assert sample.used == expected.used >= len(block) and sample.total_allocated == expected.total_allocated
    assert [sample.monotonic for sample in monitor] == sorted({sample.monotonic for sample in monitor})


def test_a_thread_that_is_told_nonsense() -> None:
    from zmalloc import _zmalloc

    alarm, records = _zmalloc._make_alarm(), bytearray(1000)
    for nonsense in (None, 5, b"", records):
        with pytest.raises(ValueError):
            _zmalloc._ring_alarm(nonsense)
        with pytest.raises(ValueError):
            _zmalloc._sample_on_time(nonsense, (1.0, -1, False, -1, records), bool)
    for source in ((), (1.0, -1, False, -1), ("", -1, False, -1, records), (1.0, None, False, -1, records)):
        with pytest.raises(TypeError):
            _zmalloc._sample_on_time(alarm, source, bool)
    for place in (bytes(1000), bytearray(10), None):
        with pytest.raises(TypeError, match="^_take: no place for a sample$"):
            _zmalloc._sample_on_time(alarm, (1e-9, -1, False, -1, place), bool)
    with pytest.raises(ZeroDivisionError):
        _zmalloc._sample_on_time(alarm, (1e-9, 0, False, -1, records), lambda: 1 // 0)
    answers = iter([True, True, False])
    _zmalloc._sample_on_time(alarm, (1e-9, 0, False, -1, records), lambda: next(answers))
    assert list(answers) == []
    for _ in range(2):
        _zmalloc._ring_alarm(alarm)
    _zmalloc._sample_on_time(alarm, (1e9, -1, False, -1, records), bool)
    assert records == bytearray(1000)


def test_start_and_stop_may_be_repeated() -> None:
    monitor = zmalloc.Monitor(0.01)
    monitor.stop()
    assert (monitor.taken, monitor.running) == (0, False)
    for _ in range(3):
        monitor.start()
        [thread] = monitor_threads()
        monitor.start()
        assert monitor_threads() == [thread]
        monitor.stop()
        monitor.stop()
        assert monitor_threads() == []
        with monitor:
            assert monitor.running
    assert monitor.taken >= 12


def test_without_an_interval_the_caller_takes_the_samples() -> None:
    with zmalloc.Monitor(interval=None) as monitor:
        assert (monitor.running, monitor_threads()) == (True, [])
        monitor.sample()
    assert (monitor.taken, monitor.running) == (3, False)


def test_threads_may_start_and_stop_it_at_once() -> None:
    monitor = zmalloc.Monitor(0.001, length=50)

    def work() -> None:
        for _ in range(30):
            monitor.start()
            assert len(monitor_threads()) <= 8  # the living one, and those that others wait for
            monitor.stop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (monitor.running, monitor_threads()) == (False, [])


def test_threads_may_take_samples_at_once() -> None:
    monitor = zmalloc.Monitor(None, length=700)
    failures = []

    def work() -> None:
        try:
            for count in range(200):
                monitor.sample()
                monitor.mark(str(count))
                times = [sample.monotonic for sample in monitor.samples()] if count % 20 == 0 else []
                assert times == sorted(times)
                monitor.events()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert (monitor.taken, len(monitor), len(monitor.events())) == (800, 700, 800)


def test_what_is_raised_in_the_block_is_not_held_back() -> None:
    with pytest.raises(KeyError), zmalloc.Monitor(interval=1e9) as monitor:
        raise KeyError
    assert (monitor.running, monitor.taken) == (False, 2)


def test_a_long_interval_does_not_keep_anyone_waiting() -> None:
    start = time.monotonic()
    with zmalloc.Monitor(interval=1e9) as monitor:
        pass
    assert time.monotonic() - start < 60
    assert monitor.taken == 2


def test_a_monitor_that_nobody_holds_ends() -> None:
    monitor = zmalloc.Monitor(interval=1e9)
    monitor.start()
    [thread] = monitor_threads()
    del monitor
    gc.collect()
    thread.join(30)
    assert not thread.is_alive()


def test_what_is_late_is_not_made_up_for(stop: Callable[[int], None]) -> None:
    """A process that stood still for many intervals takes no burst of samples afterwards."""
    code = (
        "import sys, zmalloc\n"
        "with zmalloc.Monitor(0.01) as monitor:\n"
        "    print('ready', flush=True)\n"
        "    input()\n"
        "times = [sample.monotonic for sample in monitor]\n"
        "gaps = sorted(b - a for a, b in zip(times, times[1:]))\n"
        "print(gaps[-1] > 0.5, sum(gap < 0.0001 for gap in gaps))\n"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        stop(process.pid)
        time.sleep(0.7)
        os.kill(process.pid, signal.SIGCONT)
        time.sleep(0.1)
        said, bursts = process.communicate("\n")[0].split()
    assert said == "True"
    assert int(bursts) <= 3


def test_signal_handlers_may_come_in_between() -> None:
    monitor = zmalloc.Monitor(None, length=20_000)  # so that they often come while the lock is held
    handled = []

    def handler(*_: object) -> None:
        monitor.sample()
        monitor.mark("signal")
        handled.append(monitor.samples())
        signal.setitimer(signal.ITIMER_REAL, 0.001)  # and not before: on a slow machine they would pile up

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.001)
    try:
        wait_until(lambda: monitor.sample() and monitor.samples() and len(handled) > 50)
    finally:
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert all(sample.used is not None for sample in monitor)
    assert {event.name for event in monitor.events()} == {"signal"}


# Forks, ends, and processes that are watched.


def test_in_a_forked_child_it_is_stopped_and_can_be_started_anew(script: Callable) -> None:
    """Forks come while other threads hold the monitor's locks, and not what 3.13t's collector waits for."""
    result = script(
        "import gc, os, threading, time, warnings\n"
        "warnings.simplefilter('ignore', DeprecationWarning)\n"
        "gc.disable()\n"
        "monitor = zmalloc.Monitor(0.001, length=500)\n"
        "monitor.start()\n"
        "done = threading.Event()\n"
        "def work():\n"
        "    while not done.is_set(): monitor.samples()\n"
        "threading.Thread(target=work).start()\n"
        "block = zmalloc.Block(1000)\n"
        "failures = 0\n"
        "for _ in range(20):\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n"
        "        good = not monitor.running and monitor.events()[-1].name == 'fork' and len(monitor) > 0\n"
        "        before = monitor.taken\n"
        "        own = zmalloc.Block(5000)\n"
        "        with monitor: pass\n"
        "        good = good and monitor.taken >= before + 2\n"
        "        good = good and monitor.samples()[-1].used == zmalloc.used_memory()\n"
        "        os._exit(0 if good else 1)\n"
        "    failures += os.waitpid(pid, 0)[1] != 0\n"
        "print(failures, monitor.running, 'fork' in [event.name for event in monitor.events()])\n"
        "done.set()\n"
    )
    assert (result.stdout, result.stderr) == ("0 True False\n", "")


@pytest.mark.parametrize("end", ["", "raise SystemExit(0)", "import os; os.kill(os.getpid(), 2)"])
def test_the_end_of_the_interpreter(end: str, script: Callable) -> None:
    code = (
        "import atexit, time\n"
        "atexit.register(lambda: print([monitor.running for monitor in monitors]))  # after the module's own\n"
        "monitors = [zmalloc.Monitor(0.0005, walk=number == 0) for number in range(3)]\n"
        "for monitor in monitors: monitor.start()\n"
        "class Late:\n"
        "    def __del__(self, mark=monitors[0].mark): mark('late')\n"
        "monitors[0].itself, late = Late(), Late()\n"
        "time.sleep(0.01)\n"
    )
    result = script(code + f"try:\n    {end or 'pass'}\nexcept KeyboardInterrupt: pass\n")
    assert (result.returncode, result.stdout, result.stderr) == (0, "[False, False, False]\n", "")


def test_when_the_process_watched_ends_the_monitor_stops(child: subprocess.Popen) -> None:
    with zmalloc.Monitor(0.005, pid=child.pid) as monitor:
        assert monitor.pid == child.pid
        wait_until(lambda: monitor.taken > 3)
        child.kill()  # and then it is a zombie
        wait_until(lambda: not monitor.running)
        taken = monitor.taken
    assert (monitor.taken, monitor.missed) == (taken, 0)
    assert isinstance(monitor.error, ProcessLookupError)
    assert [event.name for event in monitor.events()] == ["process ended"]
    for ask in (monitor.start, monitor.sample):
        with pytest.raises(ProcessLookupError):
            ask()
    child.wait()
    with pytest.raises(ProcessLookupError):
        monitor.sample()
    assert not monitor.running
    with pytest.raises(ProcessLookupError):
        zmalloc.Monitor(pid=child.pid)


def test_the_end_seen_by_the_last_sample(child: subprocess.Popen) -> None:
    with zmalloc.Monitor(None, pid=child.pid) as monitor:
        child.kill()
        child.wait()
    assert ([event.name for event in monitor.events()], monitor.taken) == (["process ended"], 1)


def test_a_number_that_passes_to_another_process_is_not_watched_on() -> None:
    """The kernel is told which number to give next, where it lets itself be told."""
    with subprocess.Popen(["sleep", "1000"]) as first:
        monitor = zmalloc.Monitor(None, pid=first.pid)
        monitor.sample()
        first.kill()
    for _ in range(100):
        try:
            Path("/proc/sys/kernel/ns_last_pid").write_text(str(first.pid - 1))
        except OSError as error:
            pytest.skip(f"the number of the next process can't be chosen here: {error}")
        with subprocess.Popen(["sleep", "1000"]) as second:
            try:
                same = second.pid == first.pid
                if same:
                    with pytest.raises(ProcessLookupError):
                        monitor.sample()
                    assert zmalloc.rss(second.pid) > 0
            finally:
                second.kill()
        if same:
            return
    pytest.fail("the number never came again")


def test_another_process_s_figures(stopped: int) -> None:
    sample = zmalloc.Monitor(None, pid=stopped).sample()
    assert sample.rss == zmalloc.rss(stopped)
    assert [name for name, value in sample._asdict().items() if value is not None] == ["monotonic", "wall", "rss"]
    sample, sums = zmalloc.Monitor(None, walk=True, pid=stopped).sample(), zmalloc.smaps(pid=stopped)
    assert (sample.rss, sample.private_dirty) == (sums["Rss"], sums["Private_Dirty"])
    assert sample.pss == pytest.approx(sums["Pss"], rel=0.3)  # whoever shares its pages may end meanwhile
    assert sample.uss == pytest.approx(sums["Private_Clean"] + sums["Private_Dirty"], rel=0.3)
    assert sample.private_dirty <= sample.uss <= sample.pss <= sample.rss
    known = {name for name, value in sample._asdict().items() if value is not None}
    assert known == {"monotonic", "wall", *OF_ANOTHER}
    assert zmalloc.Monitor(None, pid=stopped).rates() is None


def test_this_process_by_its_number_is_this_process() -> None:
    monitor = zmalloc.Monitor(None, pid=os.getpid())
    assert monitor.pid is None
    assert monitor.sample().used is not None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_s_process(script: Callable, stopped: int) -> None:
    result = script(
        "import os\n"
        "zmalloc.Monitor  # its file may be where nobody can read\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        f"print(zmalloc.Monitor(None, pid={stopped}).sample().rss > 0)\n"
        f"monitor = zmalloc.Monitor(0.01, walk=True, pid={stopped})\n"
        "try:\n"
        "    with monitor: pass\n"
        "except PermissionError as error:\n"
        "    print(error, monitor.running)\n"
    )
    assert result.stdout == "True\n[Errno 13] Monitor: Permission denied False\n", result.stderr


def test_a_sample_that_fails_is_counted_and_the_next_one_is_tried(child: subprocess.Popen) -> None:
    """For a while this process may open no files."""
    import resource

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with zmalloc.Monitor(0.005, pid=child.pid) as monitor:
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
        try:
            wait_until(lambda: monitor.missed > 2)
            taken = monitor.taken
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert isinstance(monitor.error, OSError)
        assert monitor.running
        wait_until(lambda: monitor.taken > taken + 2)
    assert monitor.events() == []
    assert json.loads(monitor.to_json())["missed"] == monitor.missed


def test_no_descriptor_is_left_behind(child: subprocess.Popen) -> None:
    gc.collect()
    before = os.listdir("/proc/self/fd")
    for _ in range(5):
        with zmalloc.Monitor(0.01, pid=child.pid):
            pass
    gc.collect()
    assert os.listdir("/proc/self/fd") == before


# Events.


def test_a_purge_marks_itself_where_a_monitor_runs() -> None:
    with zmalloc.Monitor(None) as one, zmalloc.Monitor(10) as two:
        idle = zmalloc.Monitor(None)
        before = time.monotonic()
        zmalloc.purge()
        after = time.monotonic()
    zmalloc.purge()
    for monitor in (one, two):
        [event] = monitor.events()
        assert event.name == "purge"
        assert before <= event.monotonic <= after
        assert abs(event.wall - time.time()) < 3600
    assert idle.events() == []


@pytest.fixture
def no_limit_after() -> Iterator[None]:
    yield
    zmalloc.set_limit(None)
    zmalloc.set_soft_limit(None)


@pytest.mark.parametrize("handler", [None, lambda used: None, lambda used: 1 / 0])
def test_passing_the_soft_limit_is_an_event(handler: Callable[[int], object] | None, no_limit_after: None) -> None:
    idle = zmalloc.Monitor(None)
    soft = zmalloc.used_memory() + 100_000
    with zmalloc.Monitor(None) as one, zmalloc.Monitor(10) as two:
        zmalloc.set_soft_limit(soft, handler, 50_000)
        few = zmalloc.Block(1000)
        assert one.events() == []
        for times in (1, 2):
            before = time.monotonic()
            with contextlib.suppress(ZeroDivisionError), zmalloc.Block(200_000), zmalloc.Block(1000):
                pass
            for monitor in (one, two):
                assert [event.name for event in monitor.events()] == ["soft limit passed"] * times
                assert before <= monitor.events()[-1].monotonic <= time.monotonic()
    few.close()
    with contextlib.suppress(ZeroDivisionError):
        zmalloc.Block(200_000)
    assert (len(one.events()), idle.events()) == (2, [])


def test_samples_have_the_limits_that_were_set(no_limit_after: None) -> None:
    monitor = zmalloc.Monitor(None)
    largest = 2 * sys.maxsize - 10
    for limit, soft in ((None, None), (1 << 30, None), (1 << 30, 1 << 29), (largest, largest), (None, 1 << 29)):
        zmalloc.set_limit(limit)
        zmalloc.set_soft_limit(soft)
        sample = monitor.sample()
        assert (sample.limit, sample.soft_limit) == (limit, soft)
    assert monitor.samples()[3].limit == largest
    told = json.loads(monitor.to_json())["samples"]
    assert [each["limit"] for each in told] == [None, 1 << 30, 1 << 30, largest, None]
    lines = list(csv.DictReader(io.StringIO(monitor.to_csv())))
    assert [each["soft_limit"] for each in lines] == ["", "", str(1 << 29), str(largest), str(1 << 29)]
    rows = table_rows(well_formed(monitor._repr_html_())[0])
    gib, most = f"{1 << 30:,} bytes", f"{largest:,} bytes"
    assert rows["limit"] == [gib, gib, most, most]
    assert rows["soft_limit"] == [f"{1 << 29:,} bytes"] * 2 + [most, f"{1 << 29:,} bytes"]
    zmalloc.set_soft_limit(None)
    none = zmalloc.Monitor(None)
    none.sample()
    assert not {*LIMITS} & table_rows(well_formed(none._repr_html_())[0]).keys()


def test_limits_in_pandas(no_limit_after: None) -> None:
    pandas = pytest.importorskip("pandas")
    monitor = zmalloc.Monitor(None)
    monitor.sample()
    zmalloc.set_limit(2 * sys.maxsize - 10)
    monitor.sample()
    frame = monitor.to_pandas()
    assert frame.limit.iloc[0] is pandas.NA
    assert frame.limit.iloc[1] == 2 * sys.maxsize - 10
    assert frame.soft_limit.isna().all()


def test_events_are_bounded() -> None:
    monitor = zmalloc.Monitor(None)
    for count in range(2000):
        monitor.mark(str(count))
    monitor.mark("x" * 1000)
    assert len(monitor.events()) == 1024
    assert monitor.events()[0].name == str(2000 - 1023)
    assert monitor.events()[-1].name == "x" * 100
    with pytest.raises(TypeError, match="^mark: argument 'name' must be a str, not int$"):
        monitor.mark(5)


def test_nobody_pays_who_has_no_monitor(script: Callable) -> None:
    code = (
        "import sys\n"
        "zmalloc.purge()\n"
        "print([name for name in sys.modules if name.startswith('zmalloc.')])\n"
        "print(all(name in dir(zmalloc) for name in ('Monitor', 'Sample', 'purge')))\n"
        "print({'json', 'csv', 'matplotlib', 'pandas', 'numpy', 'prometheus_client'} & set(sys.modules))\n"
        "zmalloc.Monitor\n"
        "print({'matplotlib', 'pandas', 'numpy', 'prometheus_client'} & set(sys.modules))\n"
        "try: zmalloc.Monitors\n"
        "except AttributeError as error: print(error)\n"
    )
    assert script(code).stdout.splitlines() == [
        "['zmalloc._zmalloc', 'zmalloc._named', 'zmalloc._defrag', 'zmalloc._limit', 'zmalloc._published']",
        "True", "set()", "set()", "module 'zmalloc' has no attribute 'Monitors'",
    ]  # fmt: skip


# Elsewhere.

NAMES = ["plain", 'quote " and; comma, and\nline', "<b>&amp;", "ünï €"]


@pytest.fixture
def marked() -> zmalloc.Monitor:
    """Three samples: an event before the second, two before the third, one after it."""
    monitor = zmalloc.Monitor(None)
    for name in NAMES[:1], NAMES[1:3], NAMES[3:]:
        monitor.sample()
        for each in name:
            monitor.mark(each)
        time.sleep(0.001)
    return monitor


def not_json(text: str) -> None:
    raise AssertionError(f"{text} is no JSON")


def test_json(marked: zmalloc.Monitor, tmp_path: Path) -> None:
    text = marked.to_json(tmp_path / "monitor.json")
    told = json.loads(text, parse_constant=not_json)
    assert json.loads((tmp_path / "monitor.json").read_text()) == told == marked.to_dict()
    assert [zmalloc.Sample(**sample) for sample in told["samples"]] == marked.samples()
    assert [zmalloc.Event(**event) for event in told["events"]] == marked.events()
    assert [event["name"] for event in told["events"]] == NAMES
    assert (told["pid"], told["allocator"], told["zmalloc"]) == (os.getpid(), zmalloc.allocator, zmalloc.__version__)
    assert told["samples"][0]["pss"] is None
    file = io.StringIO()
    assert marked.to_json(file) == file.getvalue().rstrip("\n")


def test_csv(marked: zmalloc.Monitor, tmp_path: Path) -> None:
    text = marked.to_csv(str(tmp_path / "monitor.csv"))
    with (tmp_path / "monitor.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    file = io.StringIO()
    assert marked.to_csv(file) == file.getvalue() == text
    assert len(rows) == 3
    for row, sample in zip(rows, marked):
        for name, value in sample._asdict().items():
            assert row[name] == ("" if value is None else repr(value))
    assert [row["event"] for row in rows] == ["", NAMES[0], "; ".join(NAMES[1:])]


def test_pandas(marked: zmalloc.Monitor) -> None:
    pandas = pytest.importorskip("pandas")
    frame = marked.to_pandas()
    assert list(frame.columns) == [name for name in zmalloc.Sample._fields if name != "wall"]
    assert (frame.index.name, str(frame.index.tz), len(frame)) == ("wall", "UTC", 3)
    for row, sample in zip(range(3), marked):
        assert abs(frame.index[row].timestamp() - sample.wall) < 1e-5
        for name in frame.columns:
            value, kept = getattr(sample, name), frame[name].iloc[row]
            assert kept == value if value is not None else kept is pandas.NA or name in RATIOS and math.isnan(kept)
    assert frame.attrs["events"] == marked.events()
    assert str(frame.used.dtype) == "Int64"
    assert (frame.used.diff() == 0).sum() == 2
    assert len(zmalloc.Monitor(None).to_pandas()) == 0
    again = pandas.read_csv(io.StringIO(marked.to_csv()))
    assert list(again.used) == list(frame.used)


def well_formed(html: str) -> ElementTree.Element:
    return ElementTree.fromstring(f"<div>{html}</div>")


def table_rows(table: ElementTree.Element) -> dict[str, list[str]]:
    """The head of each row and its cells."""
    rows = table.findall("./tbody/tr")
    assert all(row.find("th").get("scope") == "row" for row in rows)
    assert all(head.get("scope") == "col" for head in table.findall("./thead/tr/th"))
    assert table.find("caption").text
    return {row.find("th").text: [cell.text for cell in row.findall("td")] for row in rows}


def test_a_report_as_html() -> None:
    report = zmalloc.report()
    [table] = well_formed(report._repr_html_())
    rows = table_rows(table)
    assert list(rows) == list(zmalloc.Sample._fields[2:25])
    assert rows["used"] == [f"{report.used:,} bytes"]
    assert rows["pss"] == ["unknown"]


def test_a_monitor_as_html() -> None:
    monitor = zmalloc.Monitor(None)
    with contextlib.ExitStack() as stack:
        for count in range(3):
            monitor.sample()
            stack.enter_context(zmalloc.Block(1 << 20))
            monitor.mark(NAMES[count])
    parts = well_formed(monitor._repr_html_())
    rows = table_rows(parts[0])
    most = monitor.samples()[-1].used
    assert rows["used"] == ["0 bytes", "0 bytes", f"{most:,} bytes", f"{most:,} bytes"]
    assert "pss" not in rows
    assert list(table_rows(parts[1])) == NAMES[:3]
    empty = well_formed(zmalloc.Monitor(None)._repr_html_())
    assert table_rows(empty[0]) == {}


@pytest.mark.parametrize(
    ("package", "ask"), [("pandas", "to_pandas()"), ("matplotlib", "plot('picture.png')")]
)
def test_what_is_missing_is_named(package: str, ask: str, script: Callable) -> None:
    result = script(
        "import sys\n"
        f"sys.modules[{package!r}] = None\n"
        "monitor = zmalloc.Monitor(None)\n"
        "monitor.sample()\n"
        f"try: monitor.{ask}\n"
        "except ImportError as error: print(error, error.name)\n"
        "print(monitor._repr_html_().count('<svg'))\n"
    )
    said = (f"this needs {package}: {package} can't be imported: install python3-{package} (Debian, Ubuntu), "
            f"or {package} by pip {package}")  # fmt: skip
    assert result.stdout.splitlines()[0] == said, result.stderr
    draws = package != "matplotlib" and importlib.util.find_spec("matplotlib") is not None
    assert result.stdout.splitlines()[1:] == [str(int(draws))]


def test_repr(child: subprocess.Popen) -> None:
    monitor = zmalloc.Monitor(None, length=7)
    assert repr(monitor) == "<zmalloc.Monitor of this process: stopped, 0 of 7 samples>"
    with zmalloc.Monitor(None, length=7, pid=child.pid) as monitor:
        assert repr(monitor) == f"<zmalloc.Monitor of process {child.pid}: running, 1 of 7 samples>"


# Any call from any thread, and from a signal handler, at any moment.


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("walk", [False, True])
def test_threads_may_sample_another_process_at_once(walk: bool, child: subprocess.Popen) -> None:
    monitor = zmalloc.Monitor(None, length=50, walk=walk, pid=child.pid)
    failures = []

    def work() -> None:
        try:
            for _ in range(300):
                assert monitor.sample().rss > 0
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert monitor.taken == 2400


@pytest.mark.usefixtures("hasty")
def test_threads_may_do_anything_at_once(child: subprocess.Popen) -> None:
    """Start, stop, sample, mark, read, write, make and let go."""
    monitors = [zmalloc.Monitor(0.001, length=20), zmalloc.Monitor(0.001, length=20, pid=child.pid)]
    failures = []

    def work(number: int) -> None:
        try:
            monitor = monitors[number % 2]
            calls = [monitor.start, monitor.sample, monitor.samples, lambda: monitor.mark("x"), monitor.events,
                     monitor.to_dict, monitor.to_csv, lambda: list(monitor), monitor.rates, lambda: repr(monitor),
                     monitor.stop, lambda: zmalloc.Monitor(0.001).start(), zmalloc.zmalloc_get_rss]  # fmt: skip
            for count in range(150):
                calls[(number + count) % len(calls)]()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for monitor in monitors:
        monitor.stop()
    gc.collect()
    wait_until(lambda: monitor_threads() == [])
    assert failures == []
    assert [monitor.running for monitor in monitors] == [False, False]


def test_signal_handlers_may_start_stop_and_make_monitors(script: Callable) -> None:
    """None is left running that was stopped, and none waits for the one that it interrupts."""
    result = script(
        "import gc, signal, threading, time\n"
        "monitor, handled = zmalloc.Monitor(0.01, length=10), 0\n"
        "def handler(*_):\n"
        "    global handled\n"
        "    handled += 1\n"
        "    zmalloc.Monitor(None)\n"
        "    (monitor.start, monitor.stop)[handled % 2]()\n"
        "    signal.setitimer(signal.ITIMER_REAL, 0.0003)\n"
        "signal.signal(signal.SIGALRM, handler)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.0003)\n"
        "end = time.monotonic() + 2\n"
        "while time.monotonic() < end:\n"
        "    zmalloc.Monitor(None)\n"
        "    monitor.start()\n"
        "    monitor.stop()\n"
        "signal.signal(signal.SIGALRM, signal.SIG_IGN)\n"
        "monitor.stop()\n"
        "left = [thread for thread in threading.enumerate() if thread.name == 'zmalloc-monitor']\n"
        "print(handled > 20, monitor.running, left)\n"
    )
    assert (result.stdout, result.stderr) == ("True False []\n", "")


def test_a_thread_that_can_not_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = zmalloc.Monitor(0.01)

    def refuse(_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start"):
            monitor.start()
    assert (monitor.running, monitor.taken) == (False, 1)
    with monitor:
        assert monitor.running


def test_a_stop_before_the_thread_has_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """As by a signal handler amid start(): no thread is left when start() returns."""
    from zmalloc import _zmalloc

    monitor, sample_on_time, start = zmalloc.Monitor(1e9), _zmalloc._sample_on_time, threading.Thread.start

    def end_late(*arguments: object) -> None:
        sample_on_time(*arguments)
        time.sleep(0.2)

    def stop_and_start(thread: threading.Thread) -> None:
        monitor.stop()
        start(thread)

    monkeypatch.setattr(_zmalloc, "_sample_on_time", end_late)
    monkeypatch.setattr(threading.Thread, "start", stop_and_start)
    monitor.start()
    assert (monitor.running, monitor_threads()) == (False, [])


def test_a_daemon_that_has_closed_its_descriptors(child: subprocess.Popen, script: Callable) -> None:
    """Without the one that holds the process it can't be known to have ended; it has not."""
    result = script(
        "import os\n"
        f"monitor = zmalloc.Monitor(None, pid={child.pid})\n"
        "os.closerange(3, 100)\n"
        "print(monitor.sample().rss > 0)\n"
    )
    assert (result.stdout, result.stderr) == ("True\n", "")


def test_the_end_of_the_process_watched_is_marked_once() -> None:
    for _ in range(30):
        with subprocess.Popen(["sleep", "1000"]) as process:
            monitor = zmalloc.Monitor(0.001, pid=process.pid)
            monitor.start()
            process.kill()
            monitor.stop()
            with contextlib.suppress(ProcessLookupError):
                monitor.sample()
            monitor.stop()
        assert [event.name for event in monitor.events()] in ([], ["process ended"])


def test_children_while_threads_start_and_stop(script: Callable) -> None:
    result = script(
        "import os, threading, warnings\n"
        "warnings.simplefilter('ignore', DeprecationWarning)\n"
        "monitors = [zmalloc.Monitor(0.001, length=10), zmalloc.Monitor(0.001, length=10, pid=os.getppid())]\n"
        "done = threading.Event()\n"
        "def work(number):\n"
        "    while not done.is_set():\n"
        "        monitors[number % 2].start()\n"
        "        zmalloc.Monitor(0.001).start()\n"
        "        monitors[number % 2].stop()\n"
        "threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]\n"
        "for thread in threads: thread.start()\n"
        "failures = 0\n"
        "for _ in range(40):\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n"
        "        status = 1\n"
        "        try:\n"
        "            for monitor in monitors:\n"
        "                assert not monitor.running\n"
        "                with monitor: zmalloc.Monitor(None).sample()\n"
        "            status = 0\n"
        "        finally: os._exit(status)\n"
        "    failures += os.waitpid(pid, 0)[1] != 0\n"
        "done.set()\n"
        "for thread in threads: thread.join()\n"
        "print(failures)\n"
    )
    assert (result.stdout, result.stderr) == ("0\n", "")


@pytest.mark.parametrize("end", ["", "raise SystemExit(0)", "raise SystemExit(3)"])
def test_the_end_of_the_interpreter_amid_threads_that_use_them(end: str, script: Callable) -> None:
    """Monitors run, and threads that nobody waits for take samples, as the interpreter ends.

    No thread is started then: Python 3.11 frees the state of one that has not begun to run, and it crashes.
    """
    result = script(
        "import os, threading, time\n"
        "monitors = [zmalloc.Monitor(0.0005, walk=True), zmalloc.Monitor(0.0005, pid=os.getppid())]\n"
        "def work(monitor):\n"
        "    while True:\n"
        "        monitor.sample()\n"
        "        list(monitor)\n"
        "for monitor in monitors * 2:\n"
        "    monitor.start()\n"
        "    threading.Thread(target=work, args=(monitor,), daemon=True).start()\n"
        f"time.sleep(0.1)\n{end}\n"
    )
    assert (result.returncode, result.stdout, result.stderr) == (3 if "3" in end else 0, "", "")
