# SPDX-License-Identifier: BSD-3-Clause
"""The build tree under test, and what tests do with programs and trees."""

import json
import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

BUILD = Path(os.environ["ZMALLOC_BUILD"])
SOURCE = Path(os.environ["ZMALLOC_SOURCE"])
ALLOCATOR = os.environ["ZMALLOC_ALLOCATOR"]
PREFIXED = os.environ["ZMALLOC_PREFIX"] == "1"
MESON = shlex.split(os.environ["ZMALLOC_MESON"])
HEADER = SOURCE / "include" / "zmalloc.h"
HEADERS = [HEADER, HEADER.with_name("zmalloc_lua.h"), HEADER.with_name("zmalloc_page.h")]
HEADERS_TEXT = "\n".join(header.read_text() for header in HEADERS)
STRANGER = Path(__file__).with_name("stranger.c")

# Everything but the library: what tests of its build and installation need not build again.
LIBRARY_ALONE = [f"-D{part}=disabled" for part in ("tests", "python", "lua", "preload", "examples", "benchmarks")]


# Meson makes its tests find the tree's own libraries first; what is installed is to find its own.
os.environ.pop("LD_LIBRARY_PATH", None)


def run(*command: str | Path, env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    """Standard output of a command that must succeed."""
    result = subprocess.run(
        [str(word) for word in command], env=os.environ | (env or {}), cwd=cwd, text=True, capture_output=True
    )
    assert result.returncode == 0, f"{shlex.join(map(str, command))}\n{result.stdout}\n{result.stderr}"
    return result.stdout


def tool(name: str) -> str:
    """A program that may be missing on a machine; then the test is skipped, by name."""
    if shutil.which(name) is None:
        pytest.skip(f"no {name} here")
    return name


def installed(library: str) -> str:
    """The path of an allocator's library, by its name or a pattern; without it the test is skipped."""
    found = [path for folder in ("/usr/lib", "/usr/local/lib") for path in Path(folder).glob(f"**/{library}")]
    if not found:
        pytest.skip(f"no {library} here")
    if found[0].resolve().name == "libmimalloc.so.3.0":
        pytest.skip("aligned blocks of mimalloc 3.0 overlap others")
    return str(found[0])


def introspect(what: str) -> Any:
    """What Meson wrote down about the tree."""
    return json.loads((BUILD / "meson-info" / f"intro-{what}.json").read_text())


def option(name: str) -> Any:
    """An option that the tree was configured with."""
    return next(each["value"] for each in introspect("buildoptions") if each["name"] == name)


def has_private_jemalloc() -> bool:
    """Whether jemalloc is built into the library."""
    return any(each["name"].startswith("jemalloc") for each in introspect("projectinfo")["subprojects"])


def header_functions() -> set[str]:
    """The functions that the headers declare."""
    return set(re.findall(r"^ZMALLOC_API\s[^;(]*?(\w+)\(", HEADERS_TEXT, re.MULTILINE))


def symbols(file: Path, *flags: str) -> set[str]:
    """Names of an object's symbols, their versions cut off."""
    lines = run(tool("nm"), *flags, "--format=posix", file).splitlines()
    names = (line.split()[0] for line in lines if line and not line.endswith(":"))
    return {name.split("@")[0] for name in names}


def copy_source(folder: Path) -> Path:
    """The source tree without what is built or fetched, but with jemalloc at hand as this tree built it."""
    copy = folder / "source"
    ignore = shutil.ignore_patterns(".git", "build*", "subprojects", "__pycache__")
    shutil.copytree(SOURCE, copy, ignore=ignore, symlinks=True)
    subprojects = copy / "subprojects"
    subprojects.mkdir()
    for wrap in SOURCE.glob("subprojects/*.wrap"):
        shutil.copy(wrap, subprojects)
    shutil.copytree(SOURCE / "subprojects" / "packagefiles", subprojects / "packagefiles")
    built = next(BUILD.glob("subprojects/jemalloc-*/jemalloc/libzmalloc-jemalloc.a"), None)
    if built is not None:
        # Unpacked already, so that Meson fetches nothing; and for the long build stands a copy of its results.
        unpacked = subprojects / built.parents[1].name
        shutil.copytree(SOURCE / "subprojects" / "packagefiles" / "jemalloc", unpacked)
        (unpacked / "jemalloc" / "build.sh").write_text(copies_of(built))
    return copy


def copies_of(built: Path) -> str:
    """A script that stands for jemalloc's long build: it copies the results of an earlier one."""
    archive, header = shlex.quote(str(built)), shlex.quote(str(built.with_name("jemalloc.h")))
    return f'case $2 in *.h) cp {header} "$2" ;; *) cp {archive} "$2" ;; esac\n'


def build_library(source: Path, folder: Path, *options: str) -> Path:
    """Builds the library alone, with this tree's allocator."""
    build = folder / "build"
    prefix = "true" if PREFIXED else "false"
    hardened = "true" if option("hardened") else "false"
    common = [f"-Dallocator={ALLOCATOR}", f"-Dsize_prefix={prefix}", f"-Dhardened={hardened}", *LIBRARY_ALONE]
    common.append(f"-Djemalloc_version={option('jemalloc_version')}")
    run(*MESON, "setup", f"--wrap-mode={option('wrap_mode')}", build, source, *common, *options)
    run(*MESON, "compile", "-C", build)
    return build


@dataclass
class Installed:
    """What `meson install` put under root, as it would stand on a machine's own root."""

    root: Path

    @classmethod
    def from_build(cls, build: Path, root: Path) -> "Installed":
        run(*MESON, "install", "--no-rebuild", "-C", build, env={"DESTDIR": str(root)})
        return cls(root)

    def find(self, name: str) -> Path:
        """The one file of that name."""
        found = list(self.root.rglob(name))
        assert len(found) == 1, f"{name}: {found}"
        return found[0]

    def has(self, name: str) -> bool:
        return any(self.root.rglob(name))

    def pkg_config(self, *questions: str) -> list[str]:
        """pkg-config's words, with paths under root."""
        folder = self.find("zmalloc.pc").parent
        env = {"PKG_CONFIG_PATH": str(folder), "PKG_CONFIG_SYSROOT_DIR": str(self.root)}
        return run(tool("pkg-config"), *questions, "zmalloc", env=env).split()

    def build_stranger(self, program: Path, *compiler: str, static: bool = False) -> None:
        """Compiles and links a stranger's program with nothing but pkg-config's word."""
        flags = self.pkg_config(*(["--static"] if static else []), "--cflags", "--libs")
        as_it_is = ["-x", "none"] if "-x" in compiler else []  # clang 19 warns of it where it changes nothing
        run(*compiler, STRANGER, *as_it_is, "-o", program, *flags)

    def run_stranger(self, program: Path) -> None:
        """The program uses the allocator that the tree was built with."""
        libraries = {str(path.parent) for path in self.root.rglob("libzmalloc.so*")}
        env = {"LD_LIBRARY_PATH": ":".join(libraries)}
        assert run(program, env=env).startswith(ALLOCATOR)
