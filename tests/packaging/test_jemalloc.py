# SPDX-License-Identifier: BSD-3-Clause
"""The private jemalloc's source: where it is looked for, and what is said where something is wrong with it."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path

import pytest

from package import copy_project, failure
from tree import LIBRARY_ALONE, MESON, SOURCE, run

PATCHES = {path.name for path in SOURCE.glob("subprojects/packagefiles/jemalloc/jemalloc/patches/*.patch")}
JEMALLOC = ["-Dallocator=jemalloc", *LIBRARY_ALONE]
# Targets; an archive that nothing needs is not made.
JEMALLOCS = ["jemalloc", "jemalloc-pic", "jemalloc-for-programs"]

# Nothing answers there: what would be fetched can't be.
NO_NETWORK = {name: "http://127.0.0.1:9" for name in ("http_proxy", "https_proxy")}


def unpack_anew(project: Path) -> None:
    for path in project.glob("subprojects/jemalloc-*"):
        shutil.rmtree(path)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """With jemalloc's source in the package cache, and not unpacked."""
    copy = copy_project(tmp_path)
    unpack_anew(copy)
    if not any(copy.glob("subprojects/packagecache/jemalloc-*")):
        pytest.skip("no source of jemalloc in subprojects/packagecache: tools/setup fetches it")
    return copy


def host_of(project: Path) -> Path:
    """A project around it that has nothing but a program."""
    host = project.parent / "host"
    (host / "subprojects").mkdir(parents=True)
    project.rename(host / "subprojects" / "zmalloc")
    (host / "main.c").write_text("#include <zmalloc.h>\nint main(void) { zfree(zmalloc(1)); return 0; }\n")
    (host / "meson.build").write_text(
        "project('host', 'c')\nexecutable('main', 'main.c', dependencies: dependency('zmalloc'))\n"
    )
    return host


def test_every_patch_is_applied(project: Path) -> None:
    said = run(*MESON, "setup", project.parent / "build", project, *JEMALLOC)
    applied = re.findall(r'Applying diff file "jemalloc/jemalloc/patches/(\S+)"', said)
    assert set(applied) == PATCHES and len(PATCHES) >= 4
    [size_classes] = project.glob("subprojects/jemalloc-*/include/jemalloc/internal/sc.h")
    assert "#define SC_LG_TINY_MIN LG_QUANTUM\n" in size_classes.read_text()


def test_a_patch_that_does_not_fit_is_an_error_with_its_name(project: Path) -> None:
    patch = project / "subprojects/packagefiles/jemalloc/jemalloc/patches/new-thread-cache.patch"
    patch.write_text(patch.read_text().replace("Trigger tcache init", "Something else"))
    patch.write_text(patch.read_text().replace("tsd_tcache_data_init(tsd);", "other();"))
    said = failure(*MESON, "setup", project.parent / "build", project, *JEMALLOC)
    assert 'Failed to apply diff file "jemalloc/jemalloc/patches/new-thread-cache.patch"' in said
    assert "jemalloc:" in said[said.index("ERROR:") :]
    assert not any(project.glob("subprojects/jemalloc-*"))


@pytest.mark.parametrize("change", ["missing", "other"])
def test_a_folder_with_other_patches_is_an_error(change: str, project: Path) -> None:
    """As an older version of zmalloc leaves it."""
    run(*MESON, "subprojects", "download", "jemalloc", cwd=project)
    [folder] = project.glob("subprojects/jemalloc-*")
    patch = folder / "jemalloc" / "patches" / "alignment.patch"
    if change == "missing":
        patch.unlink()
    else:
        patch.write_text(patch.read_text() + "\n")
    said = failure(*MESON, "setup", project.parent / "build", project, *JEMALLOC)
    for words in (str(folder), "another version of zmalloc", "alignment.patch", "Remove that folder"):
        assert words in said[said.index("ERROR:") :]


def test_without_source_and_network_it_ends_at_once(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(project / "subprojects" / "packagecache")
    for name, value in NO_NETWORK.items():
        monkeypatch.setenv(name, value)
    begin = time.monotonic()
    said = failure(*MESON, "setup", project.parent / "build", project, *JEMALLOC)
    assert time.monotonic() - begin < 20
    for words in ("can not be fetched", str(project / "subprojects/packagecache"), "-Dallocator=libc"):
        assert words in said[said.index("ERROR:") :]


@pytest.mark.parametrize("whose", ["ours", "host's"])
def test_a_host_project_needs_no_network(whose: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The source is found in either package cache; and only the library is built."""
    host = host_of(project)
    if whose == "host's":
        (host / "subprojects/zmalloc/subprojects/packagecache").rename(host / "subprojects/packagecache")
    for name, value in NO_NETWORK.items():
        monkeypatch.setenv(name, value)
    run(*MESON, "setup", host.parent / "build", host)
    targets = run(*MESON, "introspect", "--targets", host.parent / "build")
    names = set(re.findall(r'"name": "([^"]+)"', targets))
    assert names <= {"main", "zmalloc", "zmalloc-core", *JEMALLOCS} and "zmalloc" in names


def test_the_error_names_both_caches(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(project / "subprojects" / "packagecache")
    host = host_of(project)
    said = failure(*MESON, "setup", "--wrap-mode=nodownload", host.parent / "build", host)
    assert str(host / "subprojects/packagecache") in said
    assert str(host / "subprojects/zmalloc/subprojects/packagecache") in said
