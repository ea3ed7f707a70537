# SPDX-License-Identifier: BSD-3-Clause
"""The recipe that watches fragmentation: it purges when that may help, and sees what came of it."""

from __future__ import annotations

import re

import pytest

from tree import ALLOCATOR, BUILD, run

PROGRAM = BUILD / "examples" / "fragmentation"
LINE = re.compile(r"(.*?) +used +([\d.]+) MiB, waste +(-?[\d.]+) MiB: (?:purged, ([\d.]+) MiB came back|(\w+))")

# What comes back, in MiB, of the 28 of whole pages, and in the end: tcmalloc's caches between threads keep some, and
# mimalloc's segments all until the last block in them has gone.
COMES_BACK = {"jemalloc": (20, 2), "tcmalloc": (3, 0.5), "libc": (20, 2), "mimalloc": (0, 20)}

pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason="no examples when this was built")


def test_what_a_purge_can_do_and_what_not() -> None:
    looks = [LINE.fullmatch(line).groups() for line in run(PROGRAM).splitlines()]
    used, waste = ([float(look[i]) for look in looks] for i in (1, 2))
    full, halved, later, nearly_empty, later_still, empty = looks
    assert full[4] == "little" or float(full[3]) < 1  # the program's own pages may be some more by then
    assert used[1] == pytest.approx(used[0] / 2, rel=0.1)
    assert waste[1] > 0.9 * used[1]
    assert float(halved[3]) < 1  # each page still has blocks
    assert later[4] == "stays"
    assert used[3] < used[0] / 10
    assert float(nearly_empty[3]) >= COMES_BACK[ALLOCATOR][0]
    assert waste[4] == pytest.approx(waste[3] - float(nearly_empty[3]), abs=1)
    assert later_still[4] == "stays"
    assert used[5] == 0
    assert float(empty[3]) >= COMES_BACK[ALLOCATOR][1]
