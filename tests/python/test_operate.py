# SPDX-License-Identifier: BSD-3-Clause
"""The rules for Prometheus and the dashboard for Grafana: they ask for figures that the collector has."""

from __future__ import annotations

import itertools
import json
import os
import re
from pathlib import Path

import pytest

prometheus_client = pytest.importorskip("prometheus_client", reason="no prometheus_client for this interpreter")
metrics = pytest.importorskip("zmalloc.metrics", reason="no prometheus_client for this interpreter")

FOLDER = Path(os.environ["ZMALLOC_SOURCE"]) / "bindings" / "python" / "operate"
RULES = (FOLDER / "zmalloc.rules.yml").read_text()
RECORDED = set(re.findall(r"record: (\S+)", RULES))
DASHBOARD = json.loads((FOLDER / "zmalloc.dashboard.json").read_text())
GRID = 24  # columns that Grafana has


def collected() -> set[str]:
    """Names of the samples that a collector may export."""
    suffix = {"counter": "_total", "gauge": "", "info": "_info"}
    families = metrics.Collector(None, walk=True).describe()
    return {family.name + suffix[family.type] for family in families}


def queries() -> list[str]:
    """What the panels ask, for one process."""
    told = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    return [query.replace("$job", "j").replace("$instance", "i") for query in told]


def expressions() -> str:
    """What the rules ask: all but comments, annotations and the names that they give."""
    lines = [line for line in RULES.splitlines() if not line.lstrip().startswith("#")]
    return re.sub(r"annotations:\n(?: {10}.*\n)+", "", "\n".join(lines) + "\n")


def test_rules_ask_for_what_there_is() -> None:
    asked = set(re.findall(r"\b((?:zmalloc|process)[_:][\w:]+)", expressions()))
    assert len(RECORDED) >= 7 and RECORDED <= asked
    assert asked - RECORDED <= collected()
    assert {"zmalloc_memory_used_bytes", "zmalloc_memory_limit_bytes", "zmalloc_allocated_bytes_total"} <= asked


def test_each_alert_says_what_and_why() -> None:
    alerts = re.findall(r"- alert: (\w+)\n(.*?)(?=\n      - |\Z)", RULES, re.DOTALL)
    assert len(alerts) >= 6
    for name, text in alerts:
        assert name.startswith("Zmalloc")
        for word in ("expr:", "for:", "severity: ", "summary: ", "description: "):
            assert text.count(word) == 1, (name, word)


def test_the_dashboard_asks_for_what_there_is() -> None:
    variables = DASHBOARD["templating"]["list"]
    assert [each["name"] for each in variables] == ["datasource", "job", "instance"]
    asked = queries() + [each["definition"] for each in variables if "definition" in each]
    names = {name for query in asked for name in re.findall(r"\b((?:zmalloc|process)[_:][\w:]+)", query)}
    assert len(names) >= 15 and names <= collected() | RECORDED
    for query in queries():
        assert query.count("{") == query.count('{job="j", instance="i"}') > 0, query


def test_panels_have_places_of_their_own() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels) >= 8
    for panel in panels:
        place = panel["gridPos"]
        assert 0 <= place["x"] < place["x"] + place["w"] <= GRID
        letters = [target["refId"] for target in panel["targets"]]
        assert sorted(set(letters)) == letters
        assert panel["description"].endswith(".") and panel["fieldConfig"]["defaults"]["unit"]
    for one, other in itertools.combinations([panel["gridPos"] for panel in panels], 2):
        assert any(a[x] + a[w] <= b[x] for a, b in ((one, other), (other, one)) for x, w in ("xw", "yh"))
