# SPDX-License-Identifier: BSD-3-Clause
"""The recipe that watches fragmentation: it purges when that may help, moves blocks where it can, and sees what came
of it."""

from __future__ import annotations

import re

import pytest

from tree import ALLOCATOR, BUILD, run

PROGRAM = BUILD / "examples" / "fragmentation"
LINE = re.compile(r"(.*?) +used +([\d.]+) MiB, waste +(-?[\d.]+) MiB: (\w+)(?:, ([\d.]+) MiB came back)?")

# What comes back, in MiB, of the whole pages of nine days, and in the end. Of the 28 MiB with jemalloc half came back
# before, by moves. tcmalloc's caches between threads keep some, and mimalloc's segments all until the last block in
# them has gone. mimalloc 3 gives back 22 MiB of the nine days, and 10 in the end.
COMES_BACK = {"jemalloc": (9, 1), "tcmalloc": (3, 0.5), "libc": (20, 2), "mimalloc": (0, 9)}

pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason="no examples when this was built")


def test_what_a_purge_can_do_and_what_not() -> None:
    looks = [LINE.fullmatch(line).groups() for line in run(PROGRAM).splitlines()]
    used, waste = ([float(look[i]) for look in looks] for i in (1, 2))
    full, halved, later, nearly_empty, later_still, empty = looks
    did = [look[3] for look in looks]
    assert did[0] == "little" or float(full[4]) < 1  # the program's own pages may be some more by then
    assert used[1] == pytest.approx(used[0] / 2, rel=0.1)
    assert waste[1] > 0.9 * used[1]
    assert did[1] == "purged" and float(halved[4]) < 1  # each page still has blocks
    assert did[2] == ("moved" if ALLOCATOR == "jemalloc" else "stays")
    if did[2] == "moved":
        assert float(later[4]) > 0.8 * waste[2]
    assert used[3] < used[0] / 10
    assert did[3] == "purged" and float(nearly_empty[4]) >= COMES_BACK[ALLOCATOR][0]
    assert waste[4] == pytest.approx(waste[3] - float(nearly_empty[4]), abs=1)
    assert did[4] == "stays" or ALLOCATOR == "jemalloc"
    assert used[5] == 0
    assert did[5] == "purged" and float(empty[4]) >= COMES_BACK[ALLOCATOR][1]
