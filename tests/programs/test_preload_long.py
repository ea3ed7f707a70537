# SPDX-License-Identifier: BSD-3-Clause
"""Large programs under each library for LD_PRELOAD: their own results are those that they have without one."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from preloads import Run, under
from tree import tool

PYTHON = sys.executable
OWN_TESTS = ["test_memoryview", "test_threading"]

NUMPY = """
import threading, numpy
sums = {}
def work(seed):
    numbers = numpy.random.default_rng(seed)
    for i in range(60):
        table = numbers.integers(0, 1000, (200 + i, 300))
        sums[seed, i] = int((table @ table.T).sum()) + int(numpy.sort(table, axis=None)[i * 100])
threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(sorted(sums.items()))
"""

NODE = """
const { Worker } = require('worker_threads');
const work = `const { parentPort, workerData } = require('worker_threads');
  let sum = 0;
  for (let i = 0; i < 20000; i++) {
    const text = JSON.stringify({ i, list: Array(i % 50).fill(i) });
    sum += Buffer.from(text).length + JSON.parse(text).list.length;
  }
  parentPort.postMessage(sum + workerData);`;
const got = [];
for (let n = 0; n < 3; n++) {
  new Worker(work, { eval: true, workerData: n }).on('message', sum => {
    got.push(sum);
    if (got.length === 3) console.log(got.sort().join(' '));
  });
}
"""

COMMANDS = 2000


def plain(*words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, env=environment, cwd=cwd)


def all_served(done: Run) -> bool:
    return done.left != [] and all(left.elsewhere == 0 for left in done.left)


def verdict(err: str) -> list[str]:
    """How many of Python's own tests there were, and how they ended."""
    return re.findall(r"^(Ran \d+ tests|OK.*|FAILED.*)", err, re.MULTILINE)


@pytest.fixture(scope="module")
def own_verdicts() -> dict[str, list[str]]:
    if plain(PYTHON, "-c", "import test.test_threading").returncode != 0:
        pytest.skip("Python's own tests are not installed: libpython3.x-testsuite")
    found = {name: verdict(plain(PYTHON, "-m", "unittest", f"test.{name}").stderr) for name in OWN_TESTS}
    assert all(len(each) == 2 for each in found.values())
    return found


@pytest.mark.parametrize("name", OWN_TESTS)
def test_pythons_own_tests(library: Path, folder: Path, name: str, own_verdicts: dict[str, list[str]]) -> None:
    done = under(library, folder, PYTHON, "-m", "unittest", f"test.{name}", PYTHONMALLOC="malloc")
    assert verdict(done.err) == own_verdicts[name], done.err
    assert all_served(done)


def test_numpy(library: Path, folder: Path) -> None:
    if plain(PYTHON, "-c", "import numpy").returncode != 0:
        pytest.skip("no numpy here")
    done = under(library, folder, PYTHON, "-c", NUMPY)
    assert (done.out, done.status) == (plain(PYTHON, "-c", NUMPY).stdout, 0) and len(done.out) > 1000
    assert all_served(done)


def test_node(library: Path, folder: Path) -> None:
    node = tool("node")
    done = under(library, folder, node, "-e", NODE)
    assert (done.out, done.err, done.status) == (plain(node, "-e", NODE).stdout, "", 0) and done.out != ""
    assert done.left[0].total_allocated > 100_000


def write_ninja(folder: Path) -> None:
    """Layers of files, each made of two of the layer below."""
    folder.mkdir()
    lines = ["rule join", "  command = cat $in >$out && printf '%s\\n' $out >>$out"]
    for layer in range(1, 6):
        for i in range(30):
            below = f"{layer - 1}-{i} {layer - 1}-{(i + 7) % 30}" if layer > 1 else "seed"
            lines.append(f"build {layer}-{i}: join {below}")
    (folder / "build.ninja").write_text("\n".join(lines) + "\n")
    (folder / "seed").write_text("seed\n")


def contents(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in folder.glob("[0-9]-*")}


def test_ninja(library: Path, folder: Path, tmp_path: Path) -> None:
    ninja = tool("ninja")
    for name in ("plain", "served"):
        write_ninja(tmp_path / name)
    assert plain(ninja, "-C", tmp_path / "plain").returncode == 0
    done = under(library, folder, ninja, "-C", tmp_path / "served", "-j", "4")
    assert done.status == 0, done.out
    assert contents(tmp_path / "served") == contents(tmp_path / "plain") and len(contents(tmp_path / "plain")) == 150
    assert len(done.left) > 150 and all_served(done)


@contextmanager
def redis(environment: dict[str, str]) -> Iterator[str]:
    """A server, and its socket."""
    server, benchmark = shutil.which("redis-server"), shutil.which("redis-benchmark")
    if server is None or benchmark is None:
        pytest.skip("redis-server is not installed")
    with tempfile.TemporaryDirectory() as folder:
        place = f"{folder}/socket"
        words = [server, "--port", "0", "--unixsocket", place, "--save", "", "--dir", folder,
                 "--enable-debug-command", "local"]  # fmt: skip
        process = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL)
        try:
            while not os.path.exists(place):
                assert process.poll() is None
                time.sleep(0.01)
            yield place
        finally:
            process.terminate()
            assert process.wait(60) == 0


def ask(place: str, lines: list[str]) -> list[str]:
    """Sends commands in one piece, and returns as many lines of answers as there are."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(place)
        peer.settimeout(60)
        peer.sendall("".join(f"{line}\r\n" for line in lines).encode())
        got = b""
        while got.count(b"\r\n") < len(lines):
            piece = peer.recv(1 << 16)
            assert piece
            got += piece
    return got.decode().splitlines()


def commands() -> list[str]:
    kinds = ["SET text:{i} {w}", "APPEND text:{k} {w}", "LPUSH list:{k} {w}", "HSET hash:{k} {i} {w}",
             "SADD set:{k} {i}", "ZADD sorted:{k} {i} {w}", "DEL text:{j}"]  # fmt: skip
    return [kind.format(i=i, j=i // 2, k=i % 97, w="x" * (i % 400 + 1)) for i in range(6000) for kind in kinds]


def digest(place: str) -> str:
    """What is in the server after so many commands, and after its benchmark was there."""
    answers = ask(place, commands())
    assert not any(answer.startswith("-") for answer in answers)
    found = ask(place, ["DEBUG DIGEST"])[0]
    benchmark = ["redis-benchmark", "-s", place, "-q", "-n", "20000", "-P", "8", "-d", "300", "-r", "5000"]
    assert plain(*benchmark).returncode == 0
    assert ask(place, ["FLUSHALL", "DBSIZE"]) == ["+OK", ":0"]
    return found


def test_redis(library: Path, folder: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    with redis(environment) as place:
        expected = digest(place)
    folder.mkdir()
    served = {"LD_PRELOAD": str(library), "ZMALLOC_RUN_FOLDER": str(folder), "ZMALLOC_RUN_MILLISECONDS": "50"}
    with redis(environment | served) as place:
        assert digest(place) == expected and len(expected) > 20


def test_many_short_commands(library: Path, folder: Path, tmp_path: Path) -> None:
    """Each ends with its own figures; none leaves a process, a descriptor or a file elsewhere."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    script = f"i=0; while [ $i -lt {COMMANDS} ]; do /bin/true; i=$((i + 1)); done; ls /proc/self/fd | wc -l"
    places = {"TMPDIR": str(elsewhere), "XDG_RUNTIME_DIR": str(elsewhere)}
    done = under(library, folder, "/bin/sh", "-c", script, ZMALLOC_RUN_MILLISECONDS="100", **places)
    assert (done.out, done.err) == (plain("/bin/sh", "-c", "ls /proc/self/fd | wc -l").stdout, "")
    short = [left for left in done.left if left.program == "true"]
    assert len(short) == COMMANDS and all(left.ended == 1 for left in short)
    assert list(elsewhere.iterdir()) == []
