# SPDX-License-Identifier: BSD-3-Clause
"""Sphinx's configuration. The pages are filled by the folder reference/ beside."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import zmalloc  # noqa: E402

project = "zmalloc"
version = release = zmalloc.__version__
extensions = ["reference"]

html_theme = "furo"
html_title = f"zmalloc {version}"
html_copy_source = False
html_show_copyright = False
smartquotes = False
add_function_parentheses = False

# Every name must lead somewhere, but for the types that the languages have.
nitpicky = True
nitpick_ignore_regex = [("c:identifier", r"u?int\d+_t|size_t"), ("py:class", r"(?!zmalloc).*")]
