# SPDX-License-Identifier: BSD-3-Clause
"""What servers put into the place of their own memory layer: it compiles, links, does all calls, and counts them."""

import shutil
import stat
from pathlib import Path

import pytest

from tree import (
    ALLOCATOR, BUILD, HEADER, PREFIXED, Installed, build_library, copy_source, has_private_jemalloc, option, run,
    tool,
)  # fmt: skip

PROGRAM = Path(__file__).with_name("server.c")
PLACES = {"redis_7_0": "redis-7.0", "redis_8": "redis-8", "valkey_9": "valkey-9"}
STRICT = ["-O1", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror"]
STANDARDS = ["-std=c11", "-std=gnu11"]
QUANTUM = option("jemalloc_quantum")
HAS_DEPS = has_private_jemalloc() and not PREFIXED and not option("hardened")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """This very tree."""
    return Installed.from_build(BUILD, tmp_path_factory.mktemp("installed"))


@pytest.fixture(scope="module")
def static(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The static library, for programs, with what stands for a server's deps/jemalloc."""
    folder = tmp_path_factory.mktemp("static")
    options = ["-Ddefault_library=static", "-Db_staticpic=false", f"-Djemalloc_quantum={QUANTUM}"]
    return Installed.from_build(build_library(copy_source(folder), folder, *options), folder / "installed")


def variable(installed: Installed, name: str) -> Path:
    """What pkg-config answers, below the root."""
    [path] = installed.pkg_config(f"--variable={name}")
    return Path(path) if path.startswith(str(installed.root)) else installed.root / path.lstrip("/")


def server(installed: Installed, name: str, folder: Path) -> Path:
    """A server's src folder, with a program for its code, which sees no header of ours but by its zmalloc.h."""
    src = folder / "src"
    src.mkdir()
    for file in variable(installed, name).iterdir():
        shutil.copy(file, src)
    shutil.copy(PROGRAM, src)
    assert sorted(file.name for file in src.iterdir()) == ["server.c", "zmalloc.c", "zmalloc.h"]
    return src


@pytest.mark.parametrize("standard", STANDARDS)
@pytest.mark.parametrize("name", PLACES)
def test_with_the_library(shared: Installed, name: str, standard: str, tmp_path: Path) -> None:
    """With MALLOC=libc, as the server's Makefile calls one that it knows nothing of."""
    src = server(shared, name, tmp_path)
    flags = shared.pkg_config("--cflags")
    alone = tmp_path / "alone.c"
    alone.write_text('#include "zmalloc.h"\nint main(void) { zfree(zmalloc(1)); return 0; }\n')
    run(tool("gcc"), standard, *STRICT, "-I.", *flags, f"-I{src}", "-fsyntax-only", alone, cwd=src)
    link = shared.pkg_config("--libs", *(["--static"] if option("default_library") == "static" else []))
    # Where the server's Makefile has LDFLAGS: before the objects.
    before = ["-Wl,--no-as-needed", *link] if option("default_library") != "static" else []
    run("gcc", standard, *STRICT, *flags, "-I.", *before, "-o", tmp_path / "server", "server.c", "zmalloc.c", *link,
        cwd=src)  # fmt: skip
    libraries = ":".join({str(path.parent) for path in shared.root.rglob("libzmalloc.so*")})
    said = run(tmp_path / "server", env={"LD_LIBRARY_PATH": libraries})
    assert said.startswith(ALLOCATOR) and said.endswith("all held\n")


def test_files_for_a_server(shared: Installed) -> None:
    """One folder for each, and the header where a server's own does not stand before it."""
    for name, folder in PLACES.items():
        place = variable(shared, name)
        assert place.parts[-3:] == ("zmalloc", "compat", folder)
        assert (place / "zmalloc.h").read_text().count(f"ZMALLOC_COMPAT_{folder.split('-')[0].upper()}") == 1
    assert (variable(shared, "redis_8").parents[1] / "zmalloc.h").read_bytes() == HEADER.read_bytes()


@pytest.mark.skipif(not HAS_DEPS, reason="no jemalloc of its own in the library, or not its blocks")
class TestDeps:
    """The place of a server's deps/jemalloc."""

    def build(self, static: Installed, name: str, folder: Path) -> list[str | Path]:
        """What the server's make does there, and how it then compiles and links."""
        src = server(static, name, folder)
        deps = folder / "deps" / "jemalloc"
        shutil.copytree(variable(static, "deps_jemalloc"), deps)
        assert (deps / "configure").stat().st_mode & stat.S_IXUSR
        run(deps / "configure", "--with-lg-quantum=3", "--with-jemalloc-prefix=je_", "CFLAGS=-O2 -g", cwd=deps)
        run(tool("make"), "CFLAGS=-O2", "lib/libjemalloc.a", cwd=deps)
        return [tool("gcc"), "-std=gnu11", *STRICT, "-DUSE_JEMALLOC", "-I../deps/jemalloc/include", "-I.", "-o",
                folder / "server", src / "server.c", src / "zmalloc.c", "../deps/jemalloc/lib/libjemalloc.a", "-lm",
                "-ldl", "-pthread", "-lrt"]  # fmt: skip

    @pytest.mark.parametrize("name", PLACES)
    def test_with_one_archive(self, static: Installed, name: str, tmp_path: Path) -> None:
        if name.startswith("valkey") and QUANTUM != "8":
            pytest.skip("Valkey needs the other quantum; the variant that has it tests this")
        run(*self.build(static, name, tmp_path), cwd=tmp_path / "src")
        said = run(tmp_path / "server")
        assert said.startswith("jemalloc-") and said.endswith("all held\n")
        assert "libzmalloc" not in run(tool("readelf"), "--dynamic", tmp_path / "server")
        assert ("hints: " in said) is name.startswith("redis")

    @pytest.mark.skipif(QUANTUM == "8", reason="here it is right")
    def test_a_quantum_that_does_not_fit_is_said(self, static: Installed, tmp_path: Path) -> None:
        command = self.build(static, "valkey_9", tmp_path)
        with pytest.raises(AssertionError, match="build zmalloc with -Djemalloc_quantum=8"):
            run(*command, cwd=tmp_path / "src")

    def test_a_jemalloc_of_the_servers_own_is_said(self, static: Installed, tmp_path: Path) -> None:
        command = self.build(static, "redis_8", tmp_path)
        header = tmp_path / "deps" / "jemalloc" / "include" / "jemalloc" / "jemalloc.h"
        header.write_text('#include "private.h"\n')
        with pytest.raises(AssertionError, match="deps/jemalloc is the server's own"):
            run(*command, cwd=tmp_path / "src")

    def test_make_clean_keeps_it(self, static: Installed, tmp_path: Path) -> None:
        self.build(static, "redis_8", tmp_path)
        deps = tmp_path / "deps" / "jemalloc"
        before = {path: path.stat().st_mtime_ns for path in deps.rglob("*")}
        run("make", "distclean", cwd=deps)
        assert {path: path.stat().st_mtime_ns for path in deps.rglob("*")} == before


@pytest.mark.skipif(HAS_DEPS, reason="here there is one")
def test_no_deps_without_a_jemalloc_inside(static: Installed) -> None:
    assert static.pkg_config("--variable=deps_jemalloc") == []
    assert not static.has("libjemalloc.a")
