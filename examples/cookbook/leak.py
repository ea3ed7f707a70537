# SPDX-License-Identifier: BSD-3-Clause
"""Uploads that leak when they are aborted, and the two tests of them, of which one finds that.

Run it by pytest; where zmalloc is not installed, but in a build directory, by `pytest -p zmalloc.pytest_plugin`.
"""

from __future__ import annotations

from collections.abc import Callable

import zmalloc


class Uploads:
    """Parts of files that clients are sending, each in a Block."""

    def __init__(self) -> None:
        self._parts: dict[str, list[zmalloc.Block]] = {}
        self._of_client: dict[str, list[list[zmalloc.Block]]] = {}

    def add(self, client: str, name: str, data: bytes) -> None:
        """Keeps another part of a file."""
        part = zmalloc.Block(len(data))
        part[:] = data
        if name not in self._parts:
            self._parts[name] = []
            self._of_client.setdefault(client, []).append(self._parts[name])
        self._parts[name].append(part)

    def finish(self, client: str, name: str) -> bytes:
        """The whole file; its parts are not needed any longer."""
        parts = self._parts.pop(name)
        self._of_client[client].remove(parts)
        return b"".join(parts)

    def abort(self, client: str, name: str) -> None:
        """Forgets the file. This is the leak: the client's list still has the parts."""
        self._parts.pop(name)


uploads = Uploads()


def step(what: Callable[..., object], *arguments: object) -> None:
    """Does it and prints what that did to memory, which pytest shows of a test that fails."""
    with zmalloc.track() as t:
        what(*arguments)
    print(f"{what.__name__:8} allocated {t.allocated:6}, freed {t.freed:6}")


def test_finished_uploads_keep_nothing(zmalloc_no_growth) -> None:
    step(uploads.add, "ann", "a.png", b"a" * 30000)
    step(uploads.add, "ann", "a.png", b"b" * 20000)
    step(uploads.finish, "ann", "a.png")


def test_aborted_uploads_keep_nothing(zmalloc_no_growth) -> None:
    step(uploads.add, "bob", "b.png", b"c" * 30000)
    step(uploads.add, "bob", "b.png", b"d" * 20000)
    step(uploads.abort, "bob", "b.png")
