# SPDX-License-Identifier: BSD-3-Clause
"""The private jemalloc's source: where it is looked for, and what is said where something is wrong with it."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path

import pytest

from package import copy_project, failure
from tree import LIBRARY_ALONE, MESON, SOURCE, run, tool

PATCHES = SOURCE / "subprojects" / "packagefiles" / "jemalloc" / "jemalloc" / "patches"
JEMALLOC = ["-Dallocator=jemalloc", *LIBRARY_ALONE]
# Targets; an archive that nothing needs is not made.
JEMALLOCS = ["jemalloc", "jemalloc-pic", "jemalloc-for-programs"]

# Nothing answers there: what would be fetched can't be.
NO_NETWORK = {name: "http://127.0.0.1:9" for name in ("http_proxy", "https_proxy")}


def unpacked(project: Path) -> list[Path]:
    return [path for path in project.glob("subprojects/jemalloc-*") if path.is_dir()]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """With jemalloc's source in the package cache, and not unpacked."""
    copy = copy_project(tmp_path)
    for path in unpacked(copy):
        shutil.rmtree(path)
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


def release(project: Path, version: str) -> list[str]:
    """The options that choose it."""
    if not any(project.glob(f"subprojects/packagecache/jemalloc?{version}*")):
        pytest.skip(f"no source of jemalloc {version} in subprojects/packagecache: tools/setup fetches it")
    if not (project / f"subprojects/packagecache/jemalloc-{version}.tar.bz2").exists():
        tool("autoconf")
    return [*JEMALLOC, f"-Djemalloc_version={version}"]


VERSIONS = ["5.3.0", "5.3.1"]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_patch_is_applied(version: str, project: Path) -> None:
    said = run(*MESON, "setup", project.parent / "build", project, *release(project, version))
    applied = set(re.findall(r'Applying diff file "jemalloc/jemalloc/patches/(\S+)"', said))
    patches = {str(path.relative_to(PATCHES)) for path in PATCHES.rglob("*.patch")}
    wanted = {name for name in patches if "/" not in name or name.startswith(version)}
    assert len(wanted) >= 4 and wanted - applied <= {"5.3.1/version.patch"} and applied <= wanted
    [size_classes] = project.glob("subprojects/jemalloc-*/include/jemalloc/internal/sc.h")
    assert "LG_QUANTUM" in re.findall("^#.*define SC_LG_TINY_MIN (.*)", size_classes.read_text(), re.MULTILINE)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_patch_that_does_not_fit_is_an_error_with_its_name(version: str, project: Path) -> None:
    name = f"jemalloc/jemalloc/patches/{version}/new-thread-cache.patch"
    patch = project / "subprojects" / "packagefiles" / name
    patch.write_text(patch.read_text().replace("-\t\t", "-\t\t other"))
    said = failure(*MESON, "setup", project.parent / "build", project, *release(project, version))
    assert f'Failed to apply diff file "{name}"' in said
    assert "jemalloc:" in said[said.index("ERROR:") :]
    assert not unpacked(project)


@pytest.mark.parametrize("version", VERSIONS[1:])
def test_the_version_is_jemalloc_s_own(version: str, project: Path) -> None:
    """Whatever the tags of the repository around it. Sizes are computed by the version."""
    run(tool("git"), "tag", "1.2.3", cwd=project)
    build = project / "build-inside"
    run(*MESON, "setup", build, project, *release(project, version))
    run(*MESON, "compile", "-C", build, "jemalloc")
    [header] = build.glob("subprojects/*/jemalloc/jemalloc.h")
    assert f'#define JEMALLOC_VERSION "{version}-' in header.read_text()


def test_debian_s_source_without_autoconf(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = release(project, "5.3.1")
    if (project / "subprojects/packagecache/jemalloc-5.3.1.tar.bz2").exists():
        pytest.skip("the release itself is here, which has what autoconf makes")
    programs = project.parent / "programs"
    programs.mkdir()
    for program in Path("/usr/bin").iterdir():
        if program.name != "autoconf":
            (programs / program.name).symlink_to(program)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.chdir(programs)  # and not in a build directory, whose log another ninja would throw away
    said = failure(*MESON, "setup", project.parent / "build", project, *options)
    assert "install autoconf, which makes it" in said


@pytest.mark.parametrize("change", ["missing", "other"])
def test_a_folder_with_other_patches_is_an_error(change: str, project: Path) -> None:
    """As an older version of zmalloc leaves it."""
    run(*MESON, "subprojects", "download", "jemalloc", cwd=project)
    [folder] = unpacked(project)
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
