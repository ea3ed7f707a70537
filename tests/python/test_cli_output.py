# SPDX-License-Identifier: BSD-3-Clause
"""What the command line makes besides tables: pictures, a manual page, completions, a script."""

from __future__ import annotations

import errno
import os
import re
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
import zmalloc
from zmalloc._cli import derived

from command import inside, run, start

PNG = b"\x89PNG\r\n\x1a\n"


# Pictures.


def test_plot(stopped: int, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="no matplotlib for this interpreter")
    png, svg = tmp_path / "picture.png", tmp_path / "p\x1b.SVG"
    assert inside("plot", stopped, "-n", ".01", "-c", "3", "-o", png) == (0, "", "")
    data = png.read_bytes()
    assert data.startswith(PNG)
    width, height = struct.unpack(">II", data[16:24])
    assert 2000 > width > height > 300
    assert inside("plot", stopped, "-n", ".01", "-c", "2", "-o", svg) == (0, "", "")
    assert f"process {stopped}" in svg.read_text() and svg.read_text().startswith("<?xml")


def test_plot_of_a_process_that_ends(brief: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """What there was is drawn, and it is said that it was not all."""
    pytest.importorskip("matplotlib", reason="no matplotlib for this interpreter")
    picture = tmp_path / "picture.png"
    with start("plot", brief.pid, "-n", ".01", "-c", "100000", "-o", picture) as process:
        brief.stdin.close()  # before the first reading, or after
        out, err = process.communicate(timeout=60)
    if process.returncode == 1:
        assert (out, err) == ("", f"zmalloc: process {brief.pid} has ended\n")
        assert picture.read_bytes().startswith(PNG)
    else:
        assert process.returncode == 3


def _fails(*_: object, **__: object) -> None:
    raise RuntimeError("no xelatex")


def test_plot_that_can_not_be(stopped: int, tmp_path: Path) -> None:
    """It is said before anything is read."""
    pytest.importorskip("matplotlib", reason="no matplotlib for this interpreter")
    for name, status in (("picture", 2), ("picture.exe", 2), (".png", 2), ("none/picture.png", 1)):
        said = inside("plot", stopped, "-o", tmp_path / name)
        assert (said.status, said.out) == (status, "")
        assert said.err.startswith("zmalloc: plot: ") and name in said.err
    started = time.monotonic()
    with pytest.MonkeyPatch.context() as patch:  # a kind that needs what is not there
        patch.setattr("matplotlib.figure.Figure.savefig", _fails)
        said = inside("plot", stopped, "-n", "30", "-c", "2", "-o", tmp_path / "p.pgf")
    assert said == (2, "", "zmalloc: plot: can't make a .pgf here: no xelatex\n")
    assert time.monotonic() - started < 20
    said = inside("plot", stopped, "-n", ".01", "-c", "2", "-o", tmp_path / ("x" * 300 + ".png"))
    assert said.status == 1 and said.err.endswith(f": {os.strerror(errno.ENAMETOOLONG)}\n")
    assert list(tmp_path.iterdir()) == []


NEEDS = [(("plot", "-o", "x.png"), "matplotlib"), (("serve",), "prometheus_client")]


@pytest.mark.parametrize(("command", "package"), NEEDS)
def test_a_package_that_is_missing(command: tuple[str, ...], package: str, stopped: int) -> None:
    """It is said before anything is read, and how to get it: from Debian too."""
    said = run(*command, stopped, without=package)
    assert (said.status, said.out) == (2, "")
    assert f"install python3-{package.replace('_', '-')} (Debian, Ubuntu)" in said.err
    assert said == run(*command, 2**22 + 1, without=package)  # not even whether there is the process
    assert said.err.startswith(f"zmalloc: {command[0]}: ") and package in said.err and said.err.count("\n") == 1


# What is made of the parser.


def built(name: str) -> Path:
    return Path(zmalloc.__file__).parents[1] / "command" / name


def test_what_is_installed_is_what_is_printed() -> None:
    for name, command in {
        "zmalloc.1": ("manual", "--source"), "zmalloc.bash": ("completion", "bash"),
        "_zmalloc": ("completion", "zsh"), "zmalloc.fish": ("completion", "fish"),
    }.items():  # fmt: skip
        said = inside(*command)
        assert (said.status, said.err) == (0, "")
        assert said.out == built(name).read_text()


def test_manual_page(tmp_path: Path) -> None:
    """Every command and option is there, and groff has nothing to say against it."""
    if shutil.which("groff") is None:
        pytest.skip("no groff here")
    page = tmp_path / "zmalloc.1"
    page.write_text(inside("manual", "--source").out)
    groff = ["groff", "-man", "-Tascii", "-P-cbou", "-ww", page]
    done = subprocess.run(groff, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    text = " ".join(done.stdout.split())
    for command in derived.commands()[1]:
        assert f"zmalloc {command.name}" in text
        options = re.findall(r"--[a-z]+", inside(command.name, "--help").out)
        assert set(options) >= {"--help"}
        assert all(option in text for option in options)
    for status in range(4):
        assert re.search(rf"EXIT STATUS.* {status} [A-Z]", text)
    plain = inside("manual")
    assert (plain.status, plain.err) == (0, "")
    assert max(map(len, plain.out.splitlines())) <= 80
    said, page_said = (re.sub(r"[\s-]", "", each) for each in (plain.out, done.stdout))  # groff divides words
    assert len(said) > 3000 and said in page_said


# What is typed, and what must be offered, at least; and what must not.
TYPED = {
    "": ({"report", "smaps", "watch", "manual"}, {"--json"}),
    "m": ({"mappings", "manual"}, {"report"}),
    "report --": ({"--json", "--bytes", "--help"}, {"--interval", "report"}),
    "watch --": ({"--json", "--interval", "--count"}, {"--output"}),
    "plot 1 --": ({"--output", "--count"}, {"--json"}),
    "smaps PID Priv": ({"Private_Dirty", "Private_Clean"}, {"Pss", "--json"}),
    "smaps --bytes PID Pss Sw": ({"Swap"}, {"Pss"}),
    "completion ": ({"bash", "zsh", "fish"}, {"report", "--json"}),
    "watch -n 2 ": ({"PID"}, {"--json", "report"}),
    "mappings --sort p": ({"pss", "private_dirty", "path"}, {"rss", "PID"}),
    "plot -o FILE": ({"FILEX"}, {"report"}),
}
# Each shell reads such lines from its input, and writes what it would offer, and "=" after each.
ASK_BASH = r"""
source "$1"
complete -p zmalloc >/dev/null || exit 9
compopt() { :; }
while IFS= read -r line; do
    COMP_WORDS=(zmalloc $line)
    [[ $line = *' ' || -z $line ]] && COMP_WORDS+=('')
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _zmalloc
    printf '%s\n' "${COMPREPLY[@]}" =
done
"""
ASK_FISH = """
source $argv[1]
while read --local line
    complete -C "zmalloc $line"
    echo =
end
"""
# zsh completes only on a terminal. There a key completes a line from a file, and compadd writes what it takes.
ASK_ZSH = r"""
zmodload zsh/zpty
files=${1:h}
zpty shell "files=${(q)files} zsh -f -i"
zpty -w shell 'fpath=($files $fpath); autoload -Uz compinit; compinit -u -D'
zpty -w shell 'compadd() { local -a hits; builtin compadd -O hits "$@"; print -rl -- $hits >>$files/hits'
zpty -w shell 'builtin compadd "$@" }'
zpty -w shell 'ask() { LBUFFER="zmalloc $(<$files/line)"; zle complete-word; BUFFER=; print = >>$files/hits'
zpty -w shell ': >$files/done }'
zpty -w shell 'zle -N ask; bindkey "^A" ask; : >$files/done'
wait_for() { until [[ -e $files/done ]] { sleep 0.01 }; rm $files/done }
wait_for
while IFS= read -r line; do
    print -rn -- $line >$files/line
    zpty -w -n shell $'\x01'
    wait_for
done
cat $files/hits
"""
SHELLS = {
    "bash": ("zmalloc.bash", ["bash", "--norc", "-c", ASK_BASH, "bash"]),
    "fish": ("zmalloc.fish", ["fish", "--no-config", "-c", ASK_FISH]),
    "zsh": ("_zmalloc", ["zsh", "-f", "-c", ASK_ZSH, "zsh"]),
}


@pytest.mark.parametrize("shell", SHELLS)
def test_completion(shell: str, tmp_path: Path) -> None:
    """By the shells themselves."""
    if shell == "zsh" and not os.access("/dev/pts/ptmx", os.F_OK):
        pytest.skip("no terminals here, which zsh's completion is tried on")
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    (tmp_path / "FILEX").touch()
    name, command = SHELLS[shell]
    (tmp_path / name).write_text(inside("completion", shell).out)
    pid = str(os.getpid())
    typed = "".join(f"{line.replace('PID', pid)}\n" for line in TYPED)
    done = subprocess.run([*command, tmp_path / name], input=typed, cwd=tmp_path, capture_output=True, text=True,
                          timeout=60, check=False)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    answers = done.stdout.split("=\n")[:-1]
    assert len(answers) == len(TYPED)
    for (wanted, unwanted), answer in zip(TYPED.values(), answers):
        offered = {re.split(r"[\t:]", line.strip())[0] for line in answer.splitlines()}
        assert {word.replace("PID", pid) for word in wanted} <= offered
        assert not unwanted & offered


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """As `meson install` lays it out: the program, and the module where it looks for that."""
    text = built("zmalloc").read_text()
    folder, programs = (Path(path) for path in re.findall(r'FOLDER, PROGRAMS = "(.*)", "(.*)"', text)[0])
    there = tmp_path / "stage" / programs.relative_to("/")
    packages = Path(os.path.normpath(there / os.path.relpath(folder, programs)))
    there.mkdir(parents=True)
    (there / "zmalloc").write_text(text)
    shutil.copytree(Path(zmalloc.__file__).parent, packages / "zmalloc")
    (there / "packages").symlink_to(packages)
    return there


def ask_script(prefix: Path, *arguments: str, where: Path | None = None, **settings: str) -> tuple[int, str, str]:
    bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([sys.executable, prefix / "zmalloc", *arguments], env={**bare, **settings}, cwd=where,
                          capture_output=True, text=True, check=False)  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_script(prefix: Path) -> None:
    """It finds the installed module by itself, and is the same program; so from a link elsewhere."""
    assert ask_script(prefix, "--version") == (0, inside("--version").out, "")
    assert ask_script(prefix, "smaps", "0") == inside("smaps", "0")
    links = prefix / "deep" / "links"
    links.mkdir(parents=True)
    (links / "zmalloc").symlink_to(prefix / "zmalloc")
    assert ask_script(links, "--version") == (0, inside("--version").out, "")


def test_script_takes_the_module_of_its_own_prefix(prefix: Path, tmp_path: Path) -> None:
    """Not another one on the path, nor a folder of that name, as that of the sources, where it is called."""
    other = tmp_path / "other"
    (other / "zmalloc").mkdir(parents=True)
    (other / "zmalloc" / "__init__.py").write_text("raise SystemExit('another zmalloc')")
    (tmp_path / "clone" / "zmalloc" / "src").mkdir(parents=True)
    expected = (0, inside("--version").out, "")
    assert ask_script(prefix, "--version", PYTHONPATH=str(other)) == expected
    assert ask_script(prefix, "--version", where=tmp_path / "clone", PYTHONPATH="") == expected


def test_script_without_its_module(prefix: Path, tmp_path: Path) -> None:
    """A line that says where it is missing; a folder of that name without a module is none."""
    packages = (prefix / "packages").resolve()
    (tmp_path / "clone" / "zmalloc").mkdir(parents=True)
    said = f"zmalloc: there is no Python module zmalloc in {packages}: install it again, into the same prefix\n"
    shutil.rmtree(packages / "zmalloc")
    settings = {"where": tmp_path / "clone", "PYTHONPATH": "."}
    assert ask_script(prefix, "--version", **settings) == (1, "", said)
    (packages / "zmalloc").mkdir()
    assert ask_script(prefix, "--version", **settings) == (1, "", said)
