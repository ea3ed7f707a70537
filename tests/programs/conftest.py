# SPDX-License-Identifier: BSD-3-Clause
"""What tests of the libraries for LD_PRELOAD are given: each library in turn, and a folder for what is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from preloads import LIBRARIES


@pytest.fixture(params=sorted(LIBRARIES))
def library(request: pytest.FixtureRequest) -> Path:
    return LIBRARIES[request.param]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "left"
