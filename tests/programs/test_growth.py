# SPDX-License-Identifier: BSD-3-Clause
"""A program that was built with today's header, on a library of a later version, whose structs have grown."""

import re
from pathlib import Path

import pytest

from tree import BUILD, build_library, copy_source, option, run

PROGRAM = BUILD / "tests" / "c" / "test_structs"  # which looks for bytes that are written past the end of its structs

# A struct, its last field today, the source that fills it and what that calls its size.
GROWN = [
    ("zmalloc_report", "allocator_frag_smallbins_bytes", "src/inspect/report.c", "SIZE"),
    ("zmalloc_memory_limits", "data", "src/inspect/process.c", "SIZE_OF_LIMITS"),
    ("zmalloc_defrag", "freed_bytes", "src/defrag.c", "SIZE"),
]

pytestmark = pytest.mark.skipif(option("default_library") == "static", reason="a program with the library inside")


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert len(re.findall(old, text, re.MULTILINE)) == 1, f"{path}: {old}"
    path.write_text(re.sub(old, new, text, flags=re.MULTILINE))


def test_nothing_is_written_past_the_end_of_a_smaller_struct(tmp_path: Path) -> None:
    later = copy_source(tmp_path)
    header = later / "include" / "zmalloc.h"
    for struct, last, source, size in GROWN:
        change(header, rf"(^struct {struct} {{$[^}}]*)^}};$", r"\1    size_t later[4];\n};")
        change(later / source, rf"^( +{size} = ZM_END_OF\(struct {struct}), {last}\)", r"\1, later)")
    report = later / "src" / "inspect" / "report.c"
    change(report, r"^( +)(\.shared_hugetlb = .*)$", r"\1\2\n\1.later = {7, 7, 7, 7},")
    library = build_library(later, tmp_path) / "src" / "libzmalloc.so"
    told = run(PROGRAM, env={"LD_PRELOAD": str(library), "ZMALLOC_LATER": "1"})
    assert told.endswith("later: 4 more figures\n")
