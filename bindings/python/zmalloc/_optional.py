# SPDX-License-Identifier: BSD-3-Clause
"""Packages that zmalloc can do without, and how to install one that is missing."""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# By the name that is imported: Debian's package, and pip's name.
PACKAGES = {
    "matplotlib": ("python3-matplotlib", "matplotlib"),
    "pandas": ("python3-pandas", "pandas"),
    "prometheus_client": ("python3-prometheus-client", "prometheus-client"),
    "rich": ("python3-rich", "rich"),
}


def hint(package: str) -> str:
    """How to install it."""
    debian, pip = PACKAGES[package]
    return f"install {debian} (Debian, Ubuntu), or {pip} by pip"


def missing(package: str) -> str:
    """What to say where it can't be imported."""
    return f"{package} can't be imported: {hint(package)}"


def is_installed(package: str) -> bool:
    """Whether it can be found; it is not imported, which may take seconds."""
    from importlib.util import find_spec

    try:
        return find_spec(package) is not None
    except ValueError:  # as of what sys.modules says is not to be imported
        return False


def optional(module: str) -> Any:
    """A module of such a package."""
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ImportError(f"this needs {package}: {missing(package)}", name=package) from error
