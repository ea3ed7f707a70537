# SPDX-License-Identifier: BSD-3-Clause
"""The pages that were written by hand: names of calls in them lead to the calls, and none may lead nowhere."""

from __future__ import annotations

import re

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from zmalloc import pytest_plugin

PAGES = ("allocators", "cookbook", "design", "install", "limits", "which-number")


def target(text: str) -> tuple[str, str, str] | None:
    """Domain, role and name, if the text is a name of C's or of the module's: `zmalloc_rss`, `zmalloc.rss()`."""
    if re.fullmatch(r"z\w+_\w+|ZMALLOC_\w+", text) and text != pytest_plugin.NAME:
        return "c", "func", text
    python = re.fullmatch(r"(zmalloc\.(?![hc]$)[\w.]+)(\(.*\))?", text)
    return ("py", "obj", python[1]) if python else None


def link(app: Sphinx, page: nodes.document) -> None:
    if app.env.docname not in PAGES:
        return
    for literal in list(page.findall(nodes.literal)):
        found = target(literal.astext())
        if found:
            domain, role, name = found
            to = {"refdomain": domain, "reftype": role, "reftarget": name, "refdoc": app.env.docname}
            literal.replace_self(addnodes.pending_xref("", literal.deepcopy(), refexplicit=True, refwarn=True, **to))
