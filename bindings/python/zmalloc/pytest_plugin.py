# SPDX-License-Identifier: BSD-3-Clause
"""For pytest: tests that must not keep memory.

A test fails if more bytes are in Blocks when it ends than when it began. Blocks of fixtures that live longer than the
test are not the test's. A test asks for this by the fixture `zmalloc_no_growth`, or by the marker of the same name,
which takes the bytes that it may keep:

    def test_a_cache_forgets(zmalloc_no_growth):
        ...

    @pytest.mark.zmalloc_no_growth(limit=4096)
    def test_a_cache_keeps_a_page():
        ...

pytest finds an installed zmalloc by itself. From a build directory, use `pytest -p zmalloc.pytest_plugin`. The test
counts what `track(all_threads=True)` counts: the Blocks of all threads.
"""

from __future__ import annotations

import gc

import pytest

from ._track import Track

NAME = "zmalloc_no_growth"


class Growth:
    """What a test may keep, in bytes, and what it has kept so far."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._track = Track(all_threads=True)

    @property
    def kept(self) -> int:
        """The bytes that the test has allocated and not freed, garbage left out."""
        gc.collect()
        return self._track.kept

    def begin(self) -> None:
        """From here on it counts. A test may be run again, by the same object."""
        self._track = Track(all_threads=True)
        gc.collect()
        self._track.__enter__()

    def complaint(self) -> str | None:
        """The message if the test kept too much."""
        kept = self.kept
        if kept <= self.limit:
            return None
        return (f"the test kept {kept} bytes in zmalloc Blocks, of {self.limit} that it may: "
                f"{self._track.allocated} allocated, {self._track.freed} freed")  # fmt: skip


_growths = pytest.StashKey[Growth]()


def _marked_limit(item: pytest.Item) -> int:
    """The marker's limit; 0 without one."""
    marker = item.get_closest_marker(NAME)
    if marker is None:
        return 0
    given = dict(marker.kwargs)
    if marker.args:
        given["limit"] = marker.args[0]
    limit = given.pop("limit", 0)
    if given or len(marker.args) > 1 or type(limit) is not int or limit < 0:
        raise pytest.UsageError(f"{item.nodeid}: {NAME} takes limit, a number of bytes, and nothing else")
    return limit


@pytest.fixture(name=NAME)
def zmalloc_no_growth(request: pytest.FixtureRequest) -> Growth:
    """Fails the test if it keeps memory in Blocks. `limit`, in bytes, may be set; `kept` is what it keeps so far."""
    item: pytest.Item = request.node
    return item.stash.setdefault(_growths, Growth(_marked_limit(item)))


def pytest_configure(config: pytest.Config) -> None:
    """Makes the marker known."""
    what = f"{NAME}(limit=0): the test must not keep more than limit bytes in zmalloc Blocks"
    config.addinivalue_line("markers", what)


# The two stand around the call of the test; the second is not called if the test failed by itself.


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Begins to count for a test that asked for it."""
    if item.get_closest_marker(NAME) is not None:
        item.stash.setdefault(_growths, Growth(_marked_limit(item)))
    growth = item.stash.get(_growths, None)
    if growth is not None:
        growth.begin()


class _AfterCall:
    """The second half: a module can have each hook once."""

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_call(self, item: pytest.Item) -> None:
        """Fails the test that kept too much."""
        growth = item.stash.get(_growths, None)
        complaint = growth.complaint() if growth is not None else None
        if complaint is not None:
            pytest.fail(complaint, pytrace=False)


def pytest_plugin_registered(plugin: object, manager: pytest.PytestPluginManager) -> None:
    """Brings the second half along."""
    if getattr(plugin, "__name__", None) == __name__:
        manager.register(_AfterCall(), f"{__name__}.after_call")
