# SPDX-License-Identifier: BSD-3-Clause
"""Servers from Debian's sources, each built with its own memory layer and on zmalloc, by its own Makefile."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "bench")]
from debian_source import run, source, version  # noqa: E402

FOLDER = ROOT / "build" / "servers"
MESON = shlex.split(os.environ.get("MESON", "meson"))

# What zmalloc is built with for a layer. A static library is for the server's own Makefile: in deps/jemalloc.
STATIC = ["-Ddefault_library=static", "-Db_staticpic=false"]
LAYERS: dict[str, list[str]] = {
    "own": [],
    "quantum8": ["-Dallocator=jemalloc", "-Djemalloc_quantum=8", *STATIC],
    "jemalloc": ["-Dallocator=jemalloc", *STATIC],
    "libc": ["-Dallocator=libc"],
    "tcmalloc": ["-Dallocator=tcmalloc"],
}
LIBRARY_ALONE = [f"-D{part}=disabled" for part in ("tests", "python", "lua", "preload", "examples", "benchmarks")]


@dataclass
class Server:
    """A source package, and what zmalloc has for it."""

    package: str
    suite: str
    profile: str  # pkg-config's variable
    layers: tuple[str, ...]


# Valkey runs on a jemalloc with a quantum of 8 alone: it asserts that.
SERVERS = {
    "redis-7.0": Server("redis", "bookworm", "redis_7_0", ("own", "quantum8", "jemalloc", "libc", "tcmalloc")),
    "redis-8.0": Server("redis", "trixie", "redis_8", ("own", "quantum8", "jemalloc")),
    "valkey-8.1": Server("valkey", "trixie", "valkey_9", ("own", "quantum8")),
    "valkey-9.1": Server("valkey", "forky", "valkey_9", ("own", "quantum8")),
}


def clean_environment() -> dict[str, str]:
    """Without what a make around this one tells its own."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "ARGS"))}


@cache
def zmalloc(layer: str) -> Path:
    """The folder below which zmalloc is installed for this layer."""
    folder, root = FOLDER / f"zmalloc-{layer}", FOLDER / f"installed-{layer}"
    if not (folder / "build.ninja").exists():
        run(*MESON, "setup", folder, ROOT, "--prefix=/usr", "--libdir=lib", *LAYERS[layer], *LIBRARY_ALONE)
    run(*MESON, "compile", "-C", folder)
    shutil.rmtree(root, ignore_errors=True)
    run(*MESON, "install", "--no-rebuild", "-C", folder, env={**os.environ, "DESTDIR": str(root)})
    return root


def pkg_config(root: Path, *questions: str) -> list[str]:
    """Its words, with paths below the root."""
    places = {"PKG_CONFIG_LIBDIR": f"{root}/usr/lib/pkgconfig", "PKG_CONFIG_SYSROOT_DIR": str(root)}
    return run("pkg-config", *questions, "zmalloc", env=os.environ | places).split()


def place(root: Path, variable: str) -> Path:
    """The folder that pkg-config's variable names."""
    [path] = pkg_config(root, f"--variable={variable}")
    return Path(path) if path.startswith(str(root)) else root / path.lstrip("/")


def on_zmalloc(server: Server, layer: str, folder: Path) -> list[str]:
    """Puts zmalloc into the place of the server's own layer; and what its make is told."""
    root = zmalloc(layer)
    for file in place(root, server.profile).iterdir():
        shutil.copy2(file, folder / "src")  # with its time: what did not change is not compiled again
    if "-Ddefault_library=static" in LAYERS[layer]:
        shutil.rmtree(folder / "deps/jemalloc")
        shutil.copytree(place(root, "deps_jemalloc"), folder / "deps/jemalloc")
        return ["MALLOC=jemalloc"]
    link = [f"-L{root}/usr/lib", f"-Wl,-rpath,{root}/usr/lib", "-Wl,--no-as-needed", "-lzmalloc"]
    return ["MALLOC=libc", f"CFLAGS=-I{root}/usr/include", f"LDFLAGS={' '.join(link)}"]


def jobs() -> str:
    return f"-j{os.cpu_count() or 1}"


@dataclass
class Build:
    """A server with one of the layers."""

    name: str
    layer: str
    version: str
    folder: Path

    @property
    def binary(self) -> Path:
        return self.folder / "src" / f"{self.name.split('-')[0]}-server"

    @property
    def benchmark(self) -> Path:
        return self.folder / "src" / f"{self.name.split('-')[0]}-benchmark"

    def __str__(self) -> str:
        return f"{self.name.split('-')[0]} {self.version}, {self.layer}"


def build(name: str, layer: str) -> Build:
    """Made anew where what zmalloc has for it changed; a server's own build is made once."""
    server = SERVERS[name]
    package = FOLDER / f"{server.package}-{server.suite}"
    package.mkdir(parents=True, exist_ok=True)
    origin = source(server.package, server.suite, package)
    folder = FOLDER / name / layer
    result = Build(name, layer, version(package), folder)
    done = folder / "built"
    if layer == "own" and done.exists():
        return result
    if not folder.exists():
        shutil.copytree(origin, folder, symlinks=True)
    words = on_zmalloc(server, layer, folder) if layer != "own" else ["MALLOC=jemalloc"]
    # What was linked to an older library is linked again; its Makefile does not know of that.
    for program in folder.glob("src/*-server"):
        program.unlink()
    log = folder / "make.log"
    with log.open("w") as output:
        made = subprocess.run(["make", jobs(), *words], cwd=folder, env=clean_environment(), stdout=output,
                              stderr=subprocess.STDOUT, check=False)  # fmt: skip
    if made.returncode != 0:
        sys.exit(f"{result}: make failed\n{log.read_text()[-4000:]}")
    warnings = re.findall(r"^src/zmalloc\.[ch]:.*warning.*|^zmalloc\.[ch]:.*warning.*", log.read_text(), re.MULTILINE)
    for warning in warnings:
        print(f"{result}: {warning}")
    done.touch()
    return result
