# SPDX-License-Identifier: BSD-3-Clause
"""The cookbook's recipes that are the same on every allocator, what make demo runs, and the guide's program."""

from __future__ import annotations

import re
import shlex
import shutil
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request
from pathlib import Path

import pytest

from tree import BUILD, LIBRARY_ALONE, MESON, SOURCE, option, run

COOKBOOK = SOURCE / "examples" / "cookbook"
ENVIRONMENT = {"PYTHONPATH": str(BUILD / "bindings" / "python")}
KV = BUILD / "examples" / "kv"
LEAK = BUILD / "examples" / "leak"


# A leak in a test.

THE_LEAK = "        self._parts.pop(name)\n"
ITS_CURE = "        self._of_client[client].remove(self._parts.pop(name))\n"


@pytest.mark.skipif(not LEAK.exists(), reason="no examples when this was built")
def test_the_leak_in_c_is_found_and_the_step_is_told() -> None:
    result = subprocess.run([LEAK], capture_output=True, text=True)
    assert result.returncode == 1
    finished, aborted = result.stdout.split("test_aborted\n")
    assert finished.endswith("    ok\n")
    steps = [(int(allocated), int(freed)) for allocated, freed in re.findall(r"(\d+), freed +(\d+)", aborted)]
    (begun, _), (first, _), (second, _), (nothing, freed) = steps
    assert (nothing, freed) == (0, begun)
    assert aborted.endswith(f"    FAILED: keeps {first + second} bytes\n")
    assert first + second >= 50000


def run_pytest(path: Path) -> str:
    plugins = ("-p", "no:cacheprovider", "-p", "zmalloc.pytest_plugin")
    command = (sys.executable, "-m", "pytest", *plugins, path)
    return subprocess.run(command, env=ENVIRONMENT, cwd=path.parent, capture_output=True, text=True).stdout


def test_the_leak_is_found_and_the_step_is_told(tmp_path: Path) -> None:
    recipe = (COOKBOOK / "leak.py").read_text()
    (tmp_path / "leak.py").write_text(recipe)
    output = run_pytest(tmp_path / "leak.py")
    assert "1 failed, 1 passed" in output
    assert "FAILED leak.py::test_aborted_uploads_keep_nothing" in output
    [kept] = re.findall(r"^the test kept (\d+) bytes in zmalloc Blocks", output, re.MULTILINE)
    steps = re.findall(r"^(\w+) +allocated +(\d+), freed +(\d+)$", output, re.MULTILINE)
    assert [step[0] for step in steps] == ["add", "add", "abort"]
    assert int(kept) == sum(int(step[1]) for step in steps) >= 50000
    assert steps[2][1:] == ("0", "0")

    assert recipe.count(THE_LEAK) == 1
    (tmp_path / "leak.py").write_text(recipe.replace(THE_LEAK, ITS_CURE))
    assert "2 passed" in run_pytest(tmp_path / "leak.py")


# What make demo runs.

STAGES = ["Empty", "Loaded", "Most deleted", "Purged"]
LEVELS = ("allocator_allocated", "allocator_active", "allocator_resident", "used_memory_rss")
DIFFERENCES = ("allocator_overhead_bytes", "allocator_frag_bytes", "allocator_rss_bytes", "rss_overhead_bytes")


def stages_of(output: str) -> dict[str, tuple[int, dict[str, str]]]:
    """By the name of the stage: how many values there are, and the figures by name."""
    found = re.findall(r"^# ([^:\n]+): (\d+) values\n((?:\w+ .*\n)+)", output, re.MULTILINE)
    return {name: (int(values), dict(re.findall(r"(\w+) +(\S+)", figures))) for name, values, figures in found}


def check_figures(figures: dict[str, str]) -> None:
    """Each difference is that of its level from the nearest known level below."""
    known = int(figures["used_memory"])
    for level, difference in zip(LEVELS, DIFFERENCES):
        assert (figures[level] == "unknown") == (figures[difference] == "unknown")
        if figures[level] != "unknown":
            assert int(figures[level]) - known == int(figures[difference])
            known = int(figures[level])
    ratio = figures["mem_fragmentation_ratio"]
    if ratio == "unknown":
        assert figures["used_memory"] == "0"
    else:
        assert float(ratio) == pytest.approx(known / int(figures["used_memory"]), abs=0.006)


@pytest.mark.skipif(not KV.exists(), reason="no examples when this was built")
@pytest.mark.skipif(not (BUILD / "bindings" / "lua" / "zmalloc.so").exists(), reason="no module for Lua was built")
def test_the_demo_reports_the_same_figures_in_each_language(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("".join(f"paragraph {i}\n{'is long ' * (i % 60)}\n\n" for i in range(2000)))
    tools = {"MESON": shlex.join(MESON), "PYTHON": sys.executable}
    output = run(SOURCE / "examples" / "demo", BUILD, text, env=tools)
    assert re.findall("^== (.*)", output, re.MULTILINE) == ["C", "Python", "Lua"]
    outputs = re.split("^== .*\n", output, flags=re.MULTILINE)[1:]
    layouts = [re.sub(r" +(-?[\d.]+|unknown)(?= |$)", " N", each, flags=re.MULTILINE) for each in outputs]
    assert layouts[0] == layouts[1] == layouts[2]
    for each in outputs:
        stages = stages_of(each)
        assert list(stages) == STAGES
        for _, figures in stages.values():
            check_figures(figures)
        (empty, _), (loaded, full), (left, thinned), (purged, end) = stages.values()
        assert (empty, left, purged) == (0, (loaded + 9) // 10, left)
        assert 50 << 20 <= int(full["used_memory"]) < 51 << 20
        assert 4 << 20 <= int(thinned["used_memory"]) < 7 << 20  # which tenth is left depends on the store
        [returned] = re.findall(r"^bytes_returned +(\d+)$", each, re.MULTILINE)
        fall = int(thinned["used_memory_rss"]) - int(end["used_memory_rss"])
        assert int(returned) == pytest.approx(fall, abs=1 << 20)


# A choice of allocators.


def build_other_library(folder: Path) -> None:
    options = ("-Dallocator=tcmalloc", "-Ddefault_library=shared", "--buildtype=plain", *LIBRARY_ALONE)
    run(*MESON, "setup", folder, SOURCE, *options)
    run(*MESON, "compile", "-C", folder)


@pytest.mark.skipif(not KV.exists(), reason="no examples when this was built")
@pytest.mark.skipif(option("default_library") == "static", reason="the examples link the static library in this tree")
def test_a_program_runs_with_each_allocator(tmp_path: Path) -> None:
    build_other_library(tmp_path / "other")
    text = tmp_path / "text"
    text.write_text("a line or two\nof a paragraph\n\n" * 2000)
    command = (sys.executable, COOKBOOK / "allocators.py", BUILD, tmp_path / "other", "--", KV, text)
    head, *rows = run(*command).splitlines()
    assert re.split(r"  +", head.strip()) == ["ms", "Empty", "Loaded", "Most deleted", "Purged"]
    assert [re.match(r"\w+-\d", row)[0] for row in rows] == ["libc-2", "tcmalloc-2"]
    for row in rows:
        assert int(row.split()[1]) > 0
        used, rss = zip(*((float(used), float(rss)) for used, rss in re.findall(r"([\d.]+) of ([\d.]+)", row)))
        assert used[0] < 0.3 and 50 <= used[1] < 51 and 5 <= used[2] == used[3] < 6
        assert rss[1] > rss[0] + 49
        assert all(more > less for more, less in zip(rss, used))


def test_a_wrong_command_line_is_refused() -> None:
    for arguments in ([], [BUILD], [BUILD, "--"], ["--", KV]):
        command = [sys.executable, COOKBOOK / "allocators.py", *arguments]
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == 2
        assert "Usage: allocators.py" in result.stderr


# Redis, for a comparison.

REDIS = SOURCE / "examples" / "redis.sh"


def load_redis(tmp_path: Path, *words: str, programs: dict[str, str] | None = None) -> tuple[int, str]:
    """With these programs in place of what is installed; what there is of temporary files must go."""
    folder = tmp_path / "programs"
    folder.mkdir(exist_ok=True)
    for name, text in (programs or {}).items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    temporary = tmp_path / "temporary"
    temporary.mkdir(exist_ok=True)
    path = f"{folder}:/usr/bin:/bin" if programs is None or programs else str(folder)
    done = subprocess.run(["/bin/sh", REDIS, *words], env={"PATH": path, "TMPDIR": str(temporary)}, timeout=120,
                          capture_output=True, text=True)  # fmt: skip
    assert list(temporary.iterdir()) == []
    return done.returncode, done.stdout + done.stderr


def test_the_load_of_redis_says_what_is_wrong(tmp_path: Path) -> None:
    assert load_redis(tmp_path, "1", "2") == (2, "Usage: redis.sh [KEYS]\n")
    assert load_redis(tmp_path, programs={}) == (127, "redis.sh: there is no redis-server here\n")
    status, _ = load_redis(tmp_path, programs={"redis-server": "exit 3", "redis-cli": "exit 1"})
    assert status != 0


def test_the_load_of_redis_reaches_the_server_alone_under_the_allocator(tmp_path: Path) -> None:
    """What the server is sent is the same each time, and well-formed."""
    client = f'''until [ -s {tmp_path}/server ]; do sleep 0.05; done
        echo "${{LD_PRELOAD-none}}" >>{tmp_path}/client
        case "$*" in *--pipe) cat >{tmp_path}/load ;; *shutdown*) kill $(cat {tmp_path}/pid) ;; esac'''
    server = f'echo $$ >{tmp_path}/pid; echo "${{LD_PRELOAD-none}}" >{tmp_path}/server; exec sleep 60'
    load_redis(tmp_path, "400", programs={"redis-server": server, "redis-cli": client})
    assert set((tmp_path / "client").read_text().split()) == {"none"}
    assert (tmp_path / "server").read_text() == "\n"
    lines = (tmp_path / "load").read_bytes().split(b"\r\n")
    words = [line.split(b" ") for line in lines[:-1]]
    assert lines[-1] == b"" and all(all(word) for word in words)
    counts = {name: sum(line[0] == name for line in words) for name in (b"SET", b"APPEND", b"DEL")}
    assert counts == {b"SET": 400 + 134, b"APPEND": 400, b"DEL": 300}


def test_the_load_of_redis_leaves_no_server_behind_if_it_fails(tmp_path: Path) -> None:
    server = f"echo $$ >{tmp_path}/pid; exec sleep 60"
    client = f'case "$*" in *ping) until [ -s {tmp_path}/pid ]; do sleep 0.05; done ;; *) exit 1 ;; esac'
    assert load_redis(tmp_path, "4", programs={"redis-server": server, "redis-cli": client})[0] != 0
    pid = (tmp_path / "pid").read_text().strip()
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="no redis-server here")
def test_a_real_redis_takes_the_load(tmp_path: Path) -> None:
    status, said = load_redis(tmp_path, "2000")
    assert status == 0 and "errors: 0, replies: 6167" in said


# Prometheus.


def scrape(port: int) -> dict[str, float]:
    parser = pytest.importorskip("prometheus_client.parser", reason="no prometheus_client for this interpreter")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        families = parser.text_string_to_metric_families(answer.read().decode())
    samples = [sample for family in families for sample in family.samples]
    return {sample.name: sample.value for sample in samples if "le" not in sample.labels}


def test_prometheus_sees_what_the_service_keeps(tmp_path: Path) -> None:
    pytest.importorskip("prometheus_client", reason="no prometheus_client for this interpreter")
    file = tmp_path / "a file"
    file.write_bytes(b"x" * 10_000_000)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [sys.executable, COOKBOOK / "exporter.py", str(port)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=ENVIRONMENT, text=True, **pipes) as service:

        def after(line: str) -> dict[str, float]:
            print(line, file=service.stdin, flush=True)
            service.stdout.readline()
            return scrape(port)

        assert service.stdout.readline() == "ready\n"
        before, kept, dropped = scrape(port), after(f"keep {file}"), after(f"drop {file}")
        for wrong in (f"keep {tmp_path}/none", "drop", "", "lose it"):
            assert after(wrong)["files_kept"] == 0
        service.stdin.close()
    assert service.returncode == 0

    def rise(name: str) -> float:
        return kept[name] - before[name]

    cost = rise("zmalloc_memory_used_bytes")
    assert 10_000_000 <= cost < 11_000_000
    assert rise("files_kept") == 1
    assert rise("process_resident_memory_bytes") > 9_000_000
    assert rise("zmalloc_allocated_bytes_total") == cost
    assert dropped["zmalloc_memory_used_bytes"] == before["zmalloc_memory_used_bytes"]
    assert dropped["zmalloc_freed_bytes_total"] - kept["zmalloc_freed_bytes_total"] == cost
    assert dropped["process_resident_memory_bytes"] < kept["process_resident_memory_bytes"] - 9_000_000


# The guide.


def code_blocks(page: str, language: str) -> list[str]:
    text = (SOURCE / "docs" / page).read_text(encoding="utf-8")
    found = re.findall(rf"^\.\. code-block:: {language}\n\n((?:(?: {{3}}.*)?\n)+)", text, re.MULTILINE)
    return [textwrap.dedent(block) for block in found]


def table(text: str) -> dict[str, dict[str, float]]:
    """By stage and name; what is unknown is not there."""
    head, *lines = text.splitlines()
    names, values = head.split()[1:], {line[:14].strip(): line[14:].split() for line in lines}
    known = {what: [pair for pair in zip(names, each) if pair[1] != "unknown"] for what, each in values.items()}
    return {what: {name: float(value) for name, value in pairs} for what, pairs in known.items()}


def test_the_guide_s_program_prints_what_the_guide_shows() -> None:
    [program] = code_blocks("which-number.rst", "python")
    shown = next(block for block in code_blocks("which-number.rst", "none") if "libc-2.36" in block)
    shown = next(table(part) for part in shown.split("\n\n") if part.startswith("libc"))
    untouched = {"MALLOC_PERTURB_": "0"}  # which Meson sets, so that malloc writes to each block
    told = table(run(sys.executable, "-c", program, env=ENVIRONMENT | untouched))
    assert {what: list(figures) for what, figures in told.items()} == {what: list(shown[what]) for what in shown}
    for what, figures in told.items():
        for name, figure in figures.items():
            # How large an interpreter is at its start depends on much else.
            rise, rise_shown = figure - told["at start"][name], shown[what][name] - shown["at start"][name]
            assert rise == pytest.approx(rise_shown, abs=0.1 if name == "used" else 8), f"{name}, {what}"
