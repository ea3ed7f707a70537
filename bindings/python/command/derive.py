# SPDX-License-Identifier: BSD-3-Clause
"""Writes the manual page or a shell's completions, as the file's name says: derive.py PACKAGE VERSION FILE."""

import sys
from pathlib import Path
from types import ModuleType

# The package without its __init__, which would want the module: that may be for another machine.
sys.modules["zmalloc"] = ModuleType("zmalloc")
sys.modules["zmalloc"].__path__ = [sys.argv[1]]
sys.dont_write_bytecode = True

from zmalloc._cli import derived, manual  # noqa: E402

version, file = sys.argv[2], Path(sys.argv[3])
text = manual.source(version) if file.suffix == ".1" else derived.COMPLETIONS[file.suffix[1:] or "zsh"]()
file.write_text(text, encoding="utf-8")
