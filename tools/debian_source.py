# SPDX-License-Identifier: BSD-3-Clause
"""Source packages of other software, from this machine's Debian mirror, in folders of their own.

As a program: prints the mirror, or, given a package, a suite and a folder, where there its source is unpacked."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path


def run(*command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """The output of a command; CalledProcessError with what it said if it fails."""
    words = [str(word) for word in command]
    return subprocess.run(words, cwd=cwd, env=env, check=True, capture_output=True, text=True).stdout


def mirror() -> str:
    """The machine's own mirror: the first one that serves Debian itself."""
    lists = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]
    text = "".join(path.read_text() for path in lists if path.is_file())
    found = re.search(r"^(?:URIs:|deb(?: \[[^]]*\])?) *(https?:\S*/debian/?)(?:\s|$)", text, re.MULTILINE)
    if found is None:
        raise OSError("this machine has no Debian mirror")
    return found[1]


def originals(folder: Path) -> list[Path]:
    """The authors' release of a package; its signature, which some have beside it, is none."""
    return [path for path in folder.glob("*.orig.tar.*") if path.suffix != ".asc"]


def source(package: str, suite: str, folder: Path) -> Path:
    """The unpacked source, by an apt of its own: nothing of the machine's is changed."""
    unpacked = folder / "source"
    if not unpacked.exists():
        for name in ("lists/partial", "cache/archives/partial"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "status").touch()
        keys = "/usr/share/keyrings/debian-archive-keyring.gpg"
        (folder / "sources.list").write_text(f"deb-src [signed-by={keys}] {mirror()} {suite} main\n")
        (folder / "apt.conf").write_text(
            f'Dir::Etc::sourcelist "{folder}/sources.list";\nDir::Etc::sourceparts "/dev/null";\n'
            f'Dir::State "{folder}";\nDir::State::lists "{folder}/lists";\nDir::State::status "{folder}/status";\n'
            f'Dir::Cache "{folder}/cache";\nAPT::Sandbox::User "root";\nAcquire::Check-Valid-Until "false";\n'
        )
        apt: list[str | Path] = ["apt-get", "-qq", "-c", folder / "apt.conf"]
        run(*apt, "update")
        try:
            run(*apt, "source", "--download-only", package, cwd=folder)
        except subprocess.CalledProcessError:
            # Some mirrors lack Debian's own files of a package. The authors' release is enough.
            if not originals(folder):
                raise
        partial = folder / "partial"
        partial.mkdir(exist_ok=True)
        run("tar", "-x", "-f", originals(folder)[0], "--strip-components=1", cwd=partial)
        partial.rename(unpacked)
    return unpacked


def version(folder: Path) -> str:
    """The authors', of the package that source() has put there."""
    found = re.search(r"_([^_+]*)[^_]*\.orig\.tar\.", originals(folder)[0].name)
    return found[1] if found else ""


if __name__ == "__main__":
    try:
        print(source(sys.argv[1], sys.argv[2], Path(sys.argv[3]).resolve()) if sys.argv[1:] else mirror())
    except OSError as error:
        sys.exit(str(error))
