# SPDX-License-Identifier: BSD-3-Clause
"""zmalloc run and compare: programs under the preload libraries, what is reported of them, and how that ends."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import stat
import subprocess
import sys
import sysconfig
import time
import types
from contextlib import suppress
from pathlib import Path

import pytest
from zmalloc._cli import comparison, drawing, preloaded, run_report, running

from command import Program, on_terminal, run, start
from waiting import wait_until

pytestmark = [
    pytest.mark.skipif(not preloaded.libraries(), reason="this build has no libraries to preload"),
    pytest.mark.skipif(bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
                       reason="without the lock Python has an allocator of its own and no other"),
]  # fmt: skip
MIB = 1 << 20
HOLDS = f"import time; block = bytearray({30 * MIB}); time.sleep({{}})"  # glibc maps it, and it is counted
LONG = 1  # a loaded machine may give the thread that samples no turn in a tenth of a second
LAG = MIB  # from Linux 6.2 on ru_maxrss may be short of what statm has: each processor adds its part late
NAMES = sorted(preloaded.libraries())
LOST = "killed or unseen"


@pytest.fixture
def pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the folders for pages come to be. Other runs on this machine have theirs elsewhere."""
    folder = tmp_path / "pages"
    folder.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    return folder


def report_of(tmp_path: Path, *words: object) -> tuple[dict, str]:
    file = tmp_path / "run.json"
    said = run("run", "--every", "0.02", "--json", file, *words)
    assert said.out == "", said
    return json.loads(file.read_text()), said.err


@pytest.mark.parametrize("name", NAMES)
def test_levels_are_the_programs(name: str, tmp_path: Path) -> None:
    report, text = report_of(tmp_path, "--allocator", name, "--", sys.executable, "-c", HOLDS.format(LONG))
    assert report["status"] == 0 and report["allocator"].startswith(name)
    levels = report["levels"]
    assert 30 * MIB <= levels["used"]["peak"] < 60 * MIB and levels["used"]["last"] < 10 * MIB
    assert levels["rss"]["peak"] <= report["peak_rss"] + LAG and report["bytes_seen"] > 30 * MIB
    assert any(reading["used"] is not None and reading["used"] >= 30 * MIB for reading in report["readings"])
    assert report["wall"] >= LONG and report["minor_faults"] > 100
    for word in ("used", "RSS", "peak", "last", "exit status 0", "page faults", "largest part"):
        assert word in text, text


def test_output_and_input_are_the_programs() -> None:
    said = run("run", "--", sys.executable, "-c", "import sys; print('to out'); print('to err', file=sys.stderr)")
    assert said.out == "to out\n" and said.err.startswith("to err\n")


@pytest.mark.parametrize("status", [0, 3])
def test_status_is_the_programs(status: int) -> None:
    assert run("run", "--", "sh", "-c", f"exit {status}").status == status


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_signal_is_the_programs(number: signal.Signals) -> None:
    said = run("run", "--", "sh", "-c", f"kill -{number.value} $$")
    assert said.status == -number and f"ended by {number.name}" in said.err


def test_interrupt_is_the_programs_and_what_is_known_is_reported(pages: Path, tmp_path: Path) -> None:
    flag = tmp_path / "started"
    code = f"import time; open({str(flag)!r}, 'w').close(); time.sleep(60)"
    with start("run", "--", sys.executable, "-c", code) as process:
        wait_until(flag.exists)
        assert len(list(pages.iterdir())) == 1
        time.sleep(0.1)
        for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            os.kill(int(child), signal.SIGINT)  # a terminal would send it to both
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert "ended by SIGINT" in err and "RSS" in err
    assert list(pages.iterdir()) == []


def test_limit_makes_requests_fail(tmp_path: Path) -> None:
    code = f"try:\n    block = bytearray({30 * MIB})\nexcept MemoryError:\n    raise SystemExit(5)"
    report, text = report_of(tmp_path, "--limit", "16M", "--", sys.executable, "-c", code)
    assert report["status"] == 5
    assert "failed at the limit of 16.0 MiB" in text
    assert report["levels"]["used"]["peak"] <= 16 * MIB
    [failed] = [process for process in report["processes"] if process["failed"]]
    assert failed["failed_size"] > 30 * MIB > failed["failed"]


def test_at_a_failure_it_is_known_how_much_was_in_use(tmp_path: Path) -> None:
    """Whatever comes between two readings: here there is but one, at the start."""
    code = (f"try:\n    blocks = [bytearray({MIB}) for _ in range(30)]\nexcept MemoryError:\n    pass\n"
            "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")  # fmt: skip
    file = tmp_path / "run.json"
    run("run", "--limit", "16M", "--every", "100", "--json", file, "--", sys.executable, "-c", code)
    assert 14 * MIB < json.loads(file.read_text())["levels"]["used"]["peak"] <= 16 * MIB


def test_first_readings_come_soon(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    code = HOLDS.format(LONG)
    assert run("run", "--every", "100", "--json", file, "--", sys.executable, "-c", code).status == 0
    report = json.loads(file.read_text())
    told = {reading["told"] for reading in report["readings"] if reading["used"] is not None}
    assert len(told) > 2 and all(0 <= moment <= report["wall"] for moment in told)
    assert any((reading["used"] or 0) >= 30 * MIB for reading in report["readings"])
    assert report["largest_part"]["name"] == "used" and report["largest_part"]["bytes"] >= 30 * MIB


@pytest.mark.parametrize("command", ["run", "compare"])
def test_long_command_line_is_cut(command: str) -> None:
    said = run(command, "--", "true", *map(str, range(1, 9999)))
    lines = (said.err + said.out).splitlines()
    assert said.status == 0 and max(map(len, lines)) < 700, lines
    assert any(line.startswith(f"zmalloc {command}: true 1 2 3 ") and "...: " in line for line in lines)


def test_status_is_the_programs_where_no_report_can_be_written(pages: Path) -> None:
    with open("/dev/full", "wb") as full:
        words = [sys.executable, "-m", "zmalloc", "run", "--", "sh", "-c", "exit 7"]
        assert subprocess.run(words, stderr=full).returncode == 7
    assert list(pages.iterdir()) == []


def test_json_is_there_whoever_reads_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")  # it learns at its first line that nobody reads
    for command in ("run", "compare"):
        file = tmp_path / f"{command}.json"
        with start(command, "--json", file, "--", "true") as process:
            process.stdout.close()
            process.stderr.close()
            process.wait(timeout=60)
        assert json.loads(file.read_text())["program"] == ["true"]


def test_folder_without_room_is_not_taken(pages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There the program could write nothing, and its calls would not be seen."""
    known = os.statvfs

    def full(path: str) -> object:
        return types.SimpleNamespace(f_bavail=0, f_frsize=4096) if str(path) == str(pages) else known(path)

    with running._private_folder() as folder:
        assert Path(folder).parent == pages
    monkeypatch.setattr(running.os, "statvfs", full)
    with running._private_folder() as folder:
        assert Path(folder).parent != pages


def test_folder_of_a_run_that_was_killed_goes_with_the_next(pages: Path) -> None:
    """And not that of one that goes on, however old, of one that is just beginning, or what only has such a name."""
    long_ago = time.time() - 1000
    with start("run", "--", sys.executable, "-c", HOLDS.format(600)) as killed:
        wait_until(lambda: any(pages.glob("*/*")))
        (left,) = pages.iterdir()
        (page,) = left.iterdir()
        os.utime(left, (long_ago, long_ago))
        assert run("run", "--", "true").status == 0 and page.exists()
        killed.kill()
        killed.wait()
        os.kill(int(page.name.partition(".")[0]), signal.SIGKILL)
    others = [pages / "zmalloc-run-new", pages / "zmalloc-ran"]
    for other in others:
        other.mkdir()
    os.utime(others[1], (long_ago, long_ago))
    assert run("run", "--", "true").status == 0
    assert sorted(pages.iterdir()) == sorted(others)


def test_limit_below_what_the_program_needs_at_its_start(tmp_path: Path) -> None:
    report, text = report_of(tmp_path, "--limit", "20K", "--", sys.executable, "-c", "pass")
    assert (report["status"], report["signal"]) != (0, None)
    assert "failed at the limit of 20.0 KiB" in text


def test_soft_limit_is_told() -> None:
    said = run("run", "--soft-limit", "16M", "--", sys.executable, "-c", HOLDS.format(0))
    assert said.status == 0 and "soft limit of 16.0 MiB: passed 1 time\n" in said.err


def test_children_are_told_apart(tmp_path: Path) -> None:
    code = HOLDS.format(LONG)
    report, text = report_of(tmp_path, "--", "sh", "-c", f'{sys.executable} -c "{code}"; true')
    own = [process for process in report["processes"] if process["pid"] == report["pid"]]
    children = [process for process in report["processes"] if process["pid"] != report["pid"]]
    assert own[-1]["peak_used"] < 5 * MIB
    assert [child["peak_used"] > 30 * MIB for child in children if child["name"].startswith("python")] == [True]
    assert "child" in text and "python" in text
    assert any(reading["all_rss"] > reading["rss"] + 4 * MIB for reading in report["readings"])


def test_many_short_children_leave_nothing(pages: Path, tmp_path: Path) -> None:
    script = "i=0; while [ $i -lt 40 ]; do /bin/true; i=$((i + 1)); done"
    report, _ = report_of(tmp_path, "--", "sh", "-c", script)
    names = [process["name"] for process in report["processes"]]
    assert report["status"] == 0 and names.count("true") == 40
    assert list(pages.iterdir()) == []


BUSY = "import time\nwhile time.process_time() < {}: pass\n"


def test_cpu_and_faults_of_each_process(tmp_path: Path) -> None:
    """The whole is not less than the sum; of a process that goes on by exec, its last image has them."""
    busy = f"{sys.executable} -c '{BUSY.format(0.2)}{{}}'"
    ending = {"_exit": "import os; os._exit(0)", LOST: "import os; os.kill(os.getpid(), 9)", "exit": ""}
    script = "".join(f"({busy.format(end)}); " for end in ending.values()) + f"(exec {busy.format('')}); true"
    report, text = report_of(tmp_path, "--", "sh", "-c", script)
    children = [process for process in report["processes"] if process["pid"] != report["pid"]]
    pythons = [process for process in children if process["name"].startswith("python")]
    assert [process["end"] for process in pythons] == [*ending, "exit"]
    for process in pythons:
        assert 0.15 < process["user"] + process["system"] < 20 and process["minor_faults"] > 100
    for name in ("user", "system", "minor_faults", "major_faults"):
        assert sum(process[name] for process in pythons) <= report[name] * 1.05 + 0.1
    shells = [process for process in children if process["name"] == "sh"]
    assert {process["end"] for process in shells} <= {"exec", "_exit"} and shells[-1]["end"] == "exec"
    assert len({process["pid"] for process in children}) == report["children_ended"] >= 4
    rows = [line.split() for line in text.splitlines() if line.lstrip().startswith(("itself", *map(str, range(10))))]
    assert rows[0][:2] == ["itself", "sh"] and rows[0][-1] in ("exit", "_exit")
    assert sorted(row[-1] for row in rows if row[1].startswith("python")) == ["_exit", "exit", "exit", "unseen"]
    seconds = re.findall(r"python\S* .*?([\d.]+) s +\d+ +(?:exit|_exit|killed or unseen)$", text, re.MULTILINE)
    assert len(seconds) == 4 and all(0.15 < float(each) < 20 for each in seconds)


# For half a second, almost all of it outside of the kernel, or within.
SPENDS = {
    "user": "while os.times().user < 0.5: sum(range(500_000))",
    "system": "while os.times().system < 0.5: zeros.readinto(room)",
}


@pytest.mark.parametrize("kind", SPENDS)
def test_user_and_system_time_are_told_apart(kind: str, tmp_path: Path) -> None:
    code = f"import os; zeros = open('/dev/zero', 'rb', 0); room = bytearray({MIB})\n{SPENDS[kind]}"
    report, text = report_of(tmp_path, "--", sys.executable, "-c", code)
    [own] = report["processes"]
    other = "system" if kind == "user" else "user"
    for figures in (report, own):
        assert figures[kind] >= 0.5 and figures[kind] > 2 * figures[other], figures
    assert f"user {report['user']:.2f} s, system {report['system']:.2f} s" in text


# 20 MiB are freed again, and 10 MiB are not. It ends while they are in use.
KEEPS = f"""
import os, time
freed = b"x" * {20 * MIB}
kept = b"x" * {10 * MIB}
time.sleep({LONG})
del freed
time.sleep({LONG})
os._exit(0)
"""


@pytest.mark.parametrize("name", NAMES)
def test_figures_of_a_process_are_told_apart(name: str, tmp_path: Path) -> None:
    report, text = report_of(tmp_path, "--allocator", name, "--", sys.executable, "-c", KEEPS)
    [own] = report["processes"]
    assert 10 * MIB <= own["used"] == own["total_allocated"] - own["total_freed"] < 20 * MIB
    assert own["total_freed"] >= 20 * MIB and own["peak_used"] >= own["used"] + 18 * MIB
    assert own["peak_rss"] > own["rss"] or name != "libc"  # others may keep what is freed
    levels = [own[level] for level in ("used", "allocated", "active", "resident") if own[level] is not None]
    assert levels == sorted(levels)
    assert len(set(levels)) > 1 or levels == [own["used"]]  # mimalloc 3 tells no more
    assert own["failed"] == own["failed_size"] == own["soft_passed"] == 0
    assert own["minor_faults"] > 100 > own["major_faults"] or own["minor_faults"] > 10 * own["major_faults"]
    for level in ("used", "rss"):
        told = report["levels"][level]
        assert told["last"] == own[level] and 0 <= told["peak"] - own[f"peak_{level}"] <= LAG
    reading = report["readings"][-1]
    for level in ("allocated", "active", "resident"):
        assert reading[level] is None or reading[level] == own[level]


def test_readings_take_a_twentieth_of_the_time(tmp_path: Path) -> None:
    """glibc walks through all free blocks, of which there are many here; without a limit it would do nothing else."""
    code = """
import ctypes, glob, os, time
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
blocks = [ctypes.c_void_p(libc.malloc(200)) for _ in range(500_000)]
for block in blocks[::2]:
    libc.free(block)
def spent():
    for task in glob.glob("/proc/self/task/*"):
        if open(task + "/comm").read() == "zmalloc-run\\n":
            fields = open(task + "/stat").read().rpartition(") ")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
time.sleep(0.2)
before, began = spent(), time.monotonic()
time.sleep(2)
print((spent() - before) / (time.monotonic() - began), file=open("FILE", "w"))
"""
    file = tmp_path / "part"
    words = ("--", sys.executable, "-c", code.replace("FILE", str(file)))
    assert run("run", "--allocator", "libc", "--every", "0.01", *words).status == 0
    assert 0.005 < float(file.read_text()) < 0.08


def test_each_figure_is_in_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    """In the report and in the JSON, of a run where no two figures are alike."""
    names = [name for name in preloaded._NUMBERS if name not in ("pid", "born", "elsewhere", "ended", "sequence")]
    own = page_of(1, 1, **{name: (i + 50) * MIB for i, name in enumerate(names)})
    child = page_of(2, 2, **{name: (i + 1) * MIB for i, name in enumerate(names)})
    levels = {"used": 10, "allocated": 11, "active": 13, "resident": 60, "rss": 61}
    readings = [running.Reading(0.5, **{name: size * MIB for name, size in levels.items()}, all_rss=70 * MIB,
                                told=0.5),
                running.Reading(0.9, **dict.fromkeys(levels, MIB), all_rss=MIB, told=0.9)]  # fmt: skip
    outcome = running.Outcome(3, 4.0, 1.25, 2.5, 601, 602, 1, 99 * MIB, readings, [own, child], 1, 77)

    told = run_report.as_json(["program"], outcome)
    assert {name: told[name] for name in ("status", "wall", "user", "system", "minor_faults", "major_faults", "pid",
            "peak_rss", "bytes_seen", "children_ended")} == {
        "status": 3, "wall": 4.0, "user": 1.25, "system": 2.5, "minor_faults": 601, "major_faults": 602, "pid": 1,
        "peak_rss": 99 * MIB, "bytes_seen": 77, "children_ended": 1}  # fmt: skip
    assert told["readings"] == [reading._asdict() for reading in readings]
    assert told["largest_part"] == {"name": "retained", "bytes": 47 * MIB, "time": 0.5}
    for page, image in zip(outcome.pages, told["processes"]):
        assert image["user"] == page.figures["user_us"] / 1e6 and image["system"] == page.figures["system_us"] / 1e6
        assert all(image[name] == page.figures[name] for name in names if not name.endswith("_us"))
    sizes = {name: own.figures[name] // MIB for name in names}
    peaks = {**sizes, "used": sizes["peak_used"], "rss": sizes["peak_rss"]}
    for level in preloaded.LEVELS:
        peak = max(peaks[level], levels[level])
        assert told["levels"][level] == {"peak": peak * MIB, "last": sizes[level] * MIB}

    assert {measure.name: measure.of(outcome) for measure in comparison.COLUMNS} == {
        "wall": 4.0, "cpu": 3.75, "peak_rss": 99 * MIB, "all_rss": 70 * MIB, "faults": 1203}  # fmt: skip

    run_report.show_report(["program"], outcome, None, None)
    text = capsys.readouterr().out
    rows: dict[str, list[str]] = {}
    for first, *others in map(str.split, text.splitlines()):
        rows.setdefault(first, others)
    for level in preloaded.LEVELS:
        peak = max(peaks[level], levels[level])
        title = level if level != "rss" else "RSS"
        assert rows[title] == [f"{peak}.0", "MiB", f"{sizes[level]}.0", "MiB"], text
    assert rows["level"] == ["peak", "last"]
    assert rows["child"] == ["program", "most", "used", "most", "RSS", "CPU", "faults", "end"]
    assert (f"allocated {sizes['total_allocated']}.0 MiB, freed {sizes['total_freed']}.0 MiB: "
            f"{sizes['total_allocated'] / 4:.1f} MiB a second") in text  # fmt: skip
    assert "wall 4.00 s, user 1.25 s, system 2.50 s; page faults: 601 minor, 602 major" in text
    for head, page in (("itself", own), ("2", child)):
        seconds = (page.figures["user_us"] + page.figures["system_us"]) / 1e6
        faults = page.figures["minor_faults"] + page.figures["major_faults"]
        sizes_shown = [f"{page.figures[name] // MIB}.0" for name in ("peak_used", "peak_rss")]
        assert rows[head][2:] == [sizes_shown[0], "MiB", sizes_shown[1], "MiB", f"{seconds:.2f}", "s", str(faults),
                                  page.end]  # fmt: skip


def test_memory_of_a_child_is_no_reason_for_advice_about_the_program(tmp_path: Path) -> None:
    _, text = report_of(tmp_path, "--", "sh", "-c", f"{sys.executable} -c '{HOLDS.format(0.1)}'; true")
    assert re.search(r"A child had the most memory: \d+ \(python\S*\)\. Run that by itself", text), text


def test_child_that_outlives_the_program(tmp_path: Path) -> None:
    script = f"{sys.executable} -c 'import time; print(1, flush=True); time.sleep(5)' >{tmp_path}/started & "
    script += f"until [ -s {tmp_path}/started ]; do sleep 0.05; done; echo $! >{tmp_path}/pid"
    report, text = report_of(tmp_path, "--", "sh", "-c", script)
    pid = int((tmp_path / "pid").read_text())
    os.kill(pid, signal.SIGKILL)
    [left] = [process for process in report["processes"] if process["pid"] == pid and process["end"] != "exec"]
    assert left["end"] == "running" and report["status"] == 0
    assert any(line.split()[:1] == [str(pid)] and line.endswith("running") for line in text.splitlines())


def page_of(pid: int, started: int, **figures: int) -> preloaded.Page:
    return preloaded.Page("libc", f"image {started}", {**dict.fromkeys(preloaded._NUMBERS, 0), "pid": pid, "born": 7,
                          "started_ns": started, "updated_ns": 1, **figures})  # fmt: skip


def write_page(folder: Path, page: preloaded.Page) -> None:
    texts = (page.allocator.encode(), page.program.encode())
    head = (*texts, preloaded._MAGIC, preloaded._VERSION, preloaded._PAGE.size)
    (folder / f"{page.pid}.{page.started_ns}").write_bytes(preloaded._PAGE.pack(*head, *page.figures.values()))


def test_ended_processes_are_told_from_those_that_have_their_numbers_now(tmp_path: Path) -> None:
    """The process of this number is the test's own, which was born at another time."""
    gathered = preloaded.Gathered(str(tmp_path))
    for page in (page_of(os.getpid(), 1, total_allocated=5), page_of(os.getpid(), 2, total_allocated=6)):
        write_page(tmp_path, page)
    write_page(tmp_path, page_of(os.getpid(), 3, born=8, ended=2, total_allocated=7))
    gathered.sort_out(but=1)
    assert list(tmp_path.iterdir()) == [] and gathered.number == 2
    assert [page.end for page in gathered.all()] == ["exec", LOST, "_exit"]
    assert gathered.bytes_seen() == 18
    born = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    write_page(tmp_path, page_of(os.getpid(), 4, born=born, total_allocated=8))
    gathered.sort_out(but=1)
    assert [page.end for page in gathered.all()][-1] == "running" and gathered.number == 2
    assert gathered.bytes_seen() == 26


def test_of_many_ended_processes_the_largest_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preloaded.Gathered, "MOST", 3)
    gathered = preloaded.Gathered(str(tmp_path))
    for number in range(1, 8):
        write_page(tmp_path, page_of(number, number, ended=1, peak_rss=number, total_allocated=1))
    gathered.sort_out(but=0)
    assert gathered.number == gathered.bytes_seen() == 7
    kept = [page.pid for page in gathered.all()]
    assert 3 <= len(kept) <= 6 and 7 in kept and 6 in kept


def test_published_meanwhile(tmp_path: Path) -> None:
    """By the program, and by its children."""
    code = HOLDS.format(60)
    script = f'{sys.executable} -c "{code}"; true'
    with start("run", "--publish", "--every", "0.02", "--", "sh", "-c", script) as run_:
        found: list[dict] = []

        def find() -> bool:
            listed = json.loads(run("top", "--json", "--published").out)["processes"]
            found[:] = [each for each in listed if each["used"] is not None and each["used"] > 30 * MIB]
            return bool(found)

        wait_until(find)
        assert found[0]["allocator"].startswith("libc") and found[0]["published"]["interval"] == 0.02
        os.kill(found[0]["pid"], signal.SIGTERM)
        run_.communicate(timeout=60)
    assert run_.returncode == 0


def test_program_that_is_not_seen(tmp_path: Path) -> None:
    """It has taken the library out of its environment, as a static one would not look there."""
    report, text = report_of(tmp_path, "--", "env", "-u", "LD_PRELOAD", "sleep", "0.1")
    own = [process for process in report["processes"] if process["name"] == "sleep"]
    assert report["status"] == 0 and own == []


@pytest.mark.parametrize("command", ["run", "compare"])
def test_bad_input(command: str, pages: Path, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    script.chmod(stat.S_IRUSR)
    orphan = tmp_path / "orphan"
    orphan.write_text("#!/no/such/shell\n")
    orphan.chmod(0o700)
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"\0" * 100)
    garbage.chmod(0o700)
    cases: dict[tuple[object, ...], tuple[int, str]] = {
        (): (2, "no program is named"),
        ("--",): (2, "no program is named"),
        ("--", "/no/such/program"): (127, "no program '/no/such/program'"),
        ("--", str(tmp_path)): (126, "Permission denied"),
        ("--", orphan): (126, "the interpreter that it names is not there"),
        ("--", garbage): (126, "Exec format error"),
        ("--json", tmp_path / "no" / "where", "--", "true"): (1, "can't write"),
        ("--every", "0", "--", "true"): (2, "no number of seconds"),
    }
    if os.getuid() != 0:
        cases["--", str(script)] = (126, "Permission denied")
    for words, (status, text) in cases.items():
        said = run(command, *words)
        assert (said.status, said.out) == (status, "") and text in said.err, (words, said)
    assert list(pages.iterdir()) == []


def test_no_place_for_a_temporary_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> str:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(running.tempfile, "mkdtemp", refuse)
    with pytest.raises(running.Failure, match="no place for a temporary folder: No space left on device") as failed:
        running.Run(["true"], None, 0.1).go()
    assert failed.value.status == 1


def test_library_with_blanks_in_its_path(tmp_path: Path) -> None:
    """The variable for it knows no way to write them."""
    folder = tmp_path / "a: b"
    folder.mkdir()
    library = folder / "library.so"
    library.symlink_to(preloaded.libraries()["libc"])
    outcome = running.Run(["true"], str(library), 0.1).go()
    assert outcome.status == 0 and [page.program for page in outcome.own] == ["true"]


def test_bad_options() -> None:
    for words, text in {
        ("run", "--allocator", "none", "--", "true"): "invalid choice: 'none'",
        ("run", "--limit", "much", "--", "true"): "'much' is no size",
        ("run", "--limit", "0", "--", "true"): "'0' is no size",
        ("compare", "--allocators", "system,none", "--", "true"): "no allocator 'none'",
        ("compare", "--runs", "0", "--", "true"): "'0' is no count",
    }.items():
        said = run(*words)
        assert said.status == 2 and text in said.err, said


def test_allocator_that_is_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preloaded, "libraries", lambda: {"libc": "/somewhere"})
    with pytest.raises(preloaded.Failure, match="no library for jemalloc; there is libc"):
        preloaded.library_for("jemalloc", "run")
    monkeypatch.setattr(preloaded, "libraries", dict)
    with pytest.raises(preloaded.Failure, match="option preload"):
        preloaded.library_for("jemalloc", "run")


def test_pages_that_are_none(tmp_path: Path) -> None:
    page = tmp_path / "1.1"
    for content in (b"", b"short", os.urandom(4096), bytes(4096)):
        page.write_bytes(content)
        assert preloaded.read_page(str(page)) is None
    assert preloaded.read_page(str(tmp_path / "missing")) is None
    assert preloaded.Gathered(str(tmp_path)).all() == []


def test_page_that_is_being_written(tmp_path: Path) -> None:
    page = tmp_path / "1.1"
    head = (b"libc", b"x", preloaded._MAGIC, preloaded._VERSION, preloaded._PAGE.size)
    for sequence, is_whole in ((4, True), (5, False)):
        numbers = dict.fromkeys(preloaded._NUMBERS, 0) | {"pid": 1, "sequence": sequence}
        page.write_bytes(preloaded._PAGE.pack(*head, *numbers.values()))
        assert (preloaded.read_page(str(page)) is not None) is is_whole


def test_picture_of_a_run(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="no matplotlib for this interpreter")
    picture = tmp_path / "run.png"
    said = run("run", "--plot", picture, "--", sys.executable, "-c", HOLDS.format(0.3))
    assert said.status == 0 and picture.read_bytes().startswith(b"\x89PNG")
    said = run("run", "--plot", tmp_path / "run.nothing", "--", "true")
    assert said.status == 2 and "does not end in one of" in said.err


def test_text_in_place_of_a_picture(tmp_path: Path) -> None:
    said = run("run", "--plot", tmp_path / "run.png", "--", "sleep", "0.1", without="matplotlib")
    assert said.status == 0 and "matplotlib can't be imported" in said.err and "▁" in said.err
    assert drawing.text_picture([("a", [(0.0, 10), (1.0, 80)]), ("b", [])])[0].startswith("a  ▁")
    assert drawing.text_picture([]) == []


def test_compare(tmp_path: Path) -> None:
    file = tmp_path / "compare.json"
    options = ("--runs", "2", "--every", "0.02", "--json", file)
    said = run("compare", *options, "--", sys.executable, "-c", HOLDS.format(0.1))
    assert said.status == 0 and said.err == "", said
    assert "2 of 2 runs of each" in said.out and "RSS over time" in said.out and "*" in said.out
    compared = json.loads(file.read_text())
    names = [contender["name"] for contender in compared["contenders"]]
    assert names[0] == "system" and set(names) == {"system", *NAMES} - {"libc"}
    for contender in compared["contenders"]:
        assert len(contender["runs"]) == 2 and contender["figures"]["peak_rss"]["median"] > 30 * MIB
        # While it measures it asks the kernel alone: glibc's figures take long, and hold the heap's lock. At its end
        # the program tells them.
        for one in contender["runs"]:
            assert len(one["readings"]) > 4 and all(reading["used"] is None for reading in one["readings"][:-2])
        assert all((one["bytes_seen"] > 30 * MIB) is (contender["name"] != "system") for one in contender["runs"])


def test_compare_tells_of_different_endings(tmp_path: Path) -> None:
    first = tmp_path / "first"
    script = f"if mkdir {first} 2>/dev/null; then exit 3; fi"
    said = run("compare", "--runs", "2", "--allocators", "system,libc", "--", "sh", "-c", script)
    assert said.status == 1 and "Runs ended differently: system: exit status 0, exit status 3" in said.out


def outcome(wall: float, rss: int, status: int = 0) -> running.Outcome:
    reading = running.Reading(wall / 2, None, None, None, None, rss, rss)
    return running.Outcome(status, wall, wall / 2, 0.0, 10, 0, 1, rss, [reading], [], 0, 0)


def contender(name: str, walls: list[float], rss: int = 32 * MIB) -> comparison.Contender:
    made = comparison.Contender(name, None)
    made.outcomes = [outcome(wall, rss) for wall in walls]
    return made


def test_json_is_as_the_schema_says(source: Path, tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="no jsonschema for this interpreter")
    schema = json.loads((source / "docs" / "cli.schema.json").read_text())
    check = jsonschema.Draft202012Validator(schema).validate
    file = tmp_path / "compare.json"
    assert run("compare", "--runs", "2", "--json", file, "--", "true").status == 0
    kill = f"{sys.executable} -c 'import os; os.kill(os.getpid(), 9)'; (sleep 0.1); kill -9 $$"
    for said in (report_of(tmp_path, "--", "sh", "-c", kill)[0], json.loads(file.read_text())):
        check(said)
        for broken in ({**said, "program": []}, {**said, "more": 1}, {key: said[key] for key in list(said)[:-1]}):
            with pytest.raises(jsonschema.ValidationError):
                check(broken)


def test_differences_within_the_noise_are_told() -> None:
    one, other = contender("one", [1.0, 1.1, 1.2]), contender("other", [1.05, 1.15, 1.25])
    assert list(comparison.verdicts([one, other])) == ["Within the noise: wall, CPU, peak RSS, of all, faults."]
    other = contender("other", [2.0, 2.1, 2.2], 64 * MIB)
    few = contender("few", [1.0, 1.1, 1.2], 32 * MIB + 4096)
    assert "peak RSS: one has under 1 % less than few, beyond the noise." in comparison.verdicts([one, few])
    told = list(comparison.verdicts([one, other]))
    assert told[0] == "wall: one has 48 % less than other, beyond the noise."
    assert told[1] == "peak RSS: one has 50 % less than other, beyond the noise."
    rows = comparison.table([one, other]).rows
    assert rows[0][1].endswith("*") and not rows[1][1].endswith("*")


def test_largest_part_has_its_name() -> None:
    levels: dict[str, int | None] = {"used": 10, "allocated": 12, "active": 50, "resident": 55, "rss": 60}
    assert [name for name, _, _ in run_report.known_gaps(levels)] == [gap.name for gap in run_report.GAPS]
    assert max(run_report.known_gaps(levels), key=lambda gap: gap[1])[:2] == ("fragmentation", 38)
    levels |= {"allocated": None, "active": None}
    assert [gap[:2] for gap in run_report.known_gaps(levels)] == [
        ("used", 10), ("caches or fragmentation or retained", 45), ("not the allocator's", 5)
    ]  # fmt: skip


def readings_outcome(*readings: running.Reading) -> running.Outcome:
    return outcome(1.0, 0)._replace(readings=list(readings), peak_rss=None)


def test_largest_part_is_of_one_moment() -> None:
    """What the program told a while ago is not compared with the RSS of now."""
    first = running.Reading(0.1, 45 * MIB, None, None, None, 50 * MIB, 50 * MIB, 0.1)
    later = first._replace(time=0.3, rss=150 * MIB)  # told nothing new
    name, size, _, top = run_report.widest(readings_outcome(first, later))
    assert (name, size, top.rss, top.time) == ("used", 45 * MIB, 50 * MIB, 0.1)
    last = first._replace(time=0.5, used=94 * MIB, told=0.2, rss=150 * MIB)
    name, size, _, top = run_report.widest(readings_outcome(first, later, last))
    assert (name, size, top.rss, top.time) == ("used", 94 * MIB, 100 * MIB, 0.2)
    assert run_report.widest(readings_outcome(first._replace(used=None, told=None))) is None
    ending = first._replace(time=0.2, used=1 * MIB, allocated=45 * MIB, told=0.2, rss=50 * MIB + 4096)
    name, size, _, top = run_report.widest(readings_outcome(first, ending))
    assert (name, size, top.time) == ("used", 45 * MIB, 0.1)

    silent = first._replace(time=0.05, used=None, told=None)
    drawn = [(each.time, each.used, each.rss) for each in run_report.moments([silent, first, later, last])]
    assert drawn == [(0.05, None, 50 * MIB), (0.1, 45 * MIB, 50 * MIB), (0.2, 94 * MIB, 100 * MIB)]


def test_most_rss_between_two_readings_is_told() -> None:
    page = preloaded.Page("libc", "x", {**dict.fromkeys(preloaded._NUMBERS, 0), "pid": 1, "updated_ns": 1})
    first = running.Reading(0.1, 1 * MIB, None, None, None, 2 * MIB, 2 * MIB, 0.1)
    made = readings_outcome(first, first._replace(time=0.3, rss=100 * MIB))._replace(pages=[page])
    assert "between two readings" in run_report.advice(made, None)


def test_no_advice_where_calls_go_elsewhere() -> None:
    """All that another malloc serves would be taken for what is not the allocator's."""
    page = preloaded.Page("libc", "x", {**dict.fromkeys(preloaded._NUMBERS, 0), "pid": 1, "updated_ns": 1})
    reading = running.Reading(0.1, 0, None, None, None, 50 * MIB, 50 * MIB, 0.1)
    made = readings_outcome(reading)
    assert "Another allocator" in run_report.advice(made._replace(pages=[page]), None)
    other = page._replace(figures={**page.figures, "elsewhere": 1})
    assert run_report.advice(made._replace(pages=[other]), None) == ""


def test_progress_on_a_terminal() -> None:
    said = on_terminal("compare", "--runs", "1", "--allocators", "system,libc", "--", "true", width=100)
    assert "run 1 of 2: system" in said.out and "run 2 of 2: libc" in said.out


def test_interrupted_compare_tells_what_it_knows() -> None:
    process: Program
    with start("compare", "--runs", "50", "--allocators", "system", "--", "sleep", "0.2") as process:
        time.sleep(2)
        while process.poll() is None:  # a child that has just ended, or is not yet the program, heeds no signal
            for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
                with suppress(ProcessLookupError):
                    os.kill(int(child), signal.SIGINT)
            time.sleep(0.05)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert out == "" or "runs of each" in out


def test_interrupt_that_the_program_handles_ends_compare(pages: Path, tmp_path: Path) -> None:
    """A shell's script, or a server, may end by a status; nobody wants to interrupt all the runs that follow."""
    begun = tmp_path / "begun"
    script = f"trap 'exit 7' INT; echo >>{begun}; if [ $(wc -l <{begun}) = 2 ]; then while :; do sleep 0.05; done; fi"
    with start("compare", "--runs", "9", "--allocators", "system", "--", "sh", "-c", script) as process:
        wait_until(lambda: begun.exists() and begun.read_text() == "\n\n")
        process.send_signal(signal.SIGINT)
        for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            os.kill(int(child), signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT and "compare: interrupted" in err
    assert "1 of 9 runs of each" in out and begun.read_text() == "\n\n"
    assert list(pages.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_to_this_program_are_passed_on(number: signal.Signals, pages: Path, tmp_path: Path) -> None:
    """As timeout sends one: nothing may run on, and nothing may be left."""
    flag = tmp_path / "pid"
    code = f"import os, time; print(os.getpid(), file=open({str(flag)!r}, 'w'), flush=True); time.sleep(60)"
    for words in (("run",), ("compare", "--allocators", "system,libc")):
        flag.unlink(missing_ok=True)
        with start(*words, "--", sys.executable, "-c", code) as process:
            wait_until(lambda: flag.exists() and flag.read_text().endswith("\n"))
            process.send_signal(number)
            _, err = process.communicate(timeout=60)
        assert process.returncode == -number
        assert (f"ended by {number.name}" if words == ("run",) else "compare: interrupted") in err
        assert not Path(f"/proc/{flag.read_text().strip()}").exists()
    assert list(pages.iterdir()) == []
