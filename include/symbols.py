# SPDX-License-Identifier: BSD-3-Clause
"""Writes a header that gives functions and variables a prefix in what the linker sees.

Usage: symbols.py PREFIX public HEADER... or symbols.py PREFIX internal SOURCE..., the header to standard output.
Public are the calls that the headers declare; internal is what the sources name by zm_. For compilers they keep
their names.
"""

import re
import sys
from pathlib import Path

NAMES = {"public": r"^ZMALLOC_API\s[^;(]*?(\w+)\(", "internal": r"\b(zm_\w+)"}


def main() -> None:
    prefix, kind, *files = sys.argv[1:]
    text = "\n".join(Path(file).read_text(encoding="ascii", errors="replace") for file in files)
    print("/* SPDX-License-Identifier: BSD-3-Clause */")
    print(f"/* Made by the build: names for the linker, from -Dsymbol_prefix={prefix}. For gcc and clang. */")
    for name in sorted(set(re.findall(NAMES[kind], text, re.MULTILINE))):
        print(f"#pragma redefine_extname {name} {prefix}{name}")


main()
