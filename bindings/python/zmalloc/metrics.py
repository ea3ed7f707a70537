# SPDX-License-Identifier: BSD-3-Clause
"""For Prometheus: where the memory is, as metrics of prometheus_client.

`import zmalloc.metrics` needs prometheus_client: Debian's python3-prometheus-client, or `pip install
'zmalloc[metrics]'`. Then, once in a program that already exposes its metrics:

    zmalloc.metrics.Collector()

From then on each scrape takes a report. An unknown figure is absent, and never 0. A limit is absent if none is set.
Of another process that publishes its figures, zmalloc_published_timestamp_seconds is when it read them.
process_resident_memory_bytes is absent if another collector of the registry has it already, such as
prometheus_client's own for processes on Linux.

{table}

With the walk also:

{walk}

Prometheus computes from the counters how fast blocks come and go: `rate(zmalloc_allocated_bytes_total[5m])`. On
32-bit machines the counters wrap, which Prometheus takes for a restart.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from . import _zmalloc
from ._figures import BY_NAME, FIGURES, OF_ANY_PROCESS, Figure
from ._kernel import process_name
from ._monitor.sources import series
from ._optional import missing

try:
    from prometheus_client import REGISTRY, CollectorRegistry
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
except ImportError as error:
    needed = f"zmalloc.metrics needs prometheus_client: {missing('prometheus_client')}"
    raise ImportError(needed, name="prometheus_client") from error

RSS = BY_NAME["rss"].metric


def _family(figure: Figure, value: float | None = None) -> Metric:
    kind = CounterMetricFamily if figure.kind == "counter" else GaugeMetricFamily
    return kind(figure.metric, figure.sentence, value=value, unit=figure.metric.rpartition("_")[2])


def _info(value: dict[str, str] | None = None) -> Metric:
    return InfoMetricFamily("zmalloc", "The allocator, and the version of zmalloc.", value=value)


def _process_info(value: dict[str, str] | None = None) -> Metric:
    return InfoMetricFamily("zmalloc_process", "The process, by its number and name.", value=value)


def _published(when: float | None = None) -> Metric:
    text = "When the process read the figures that it publishes, in seconds since 1970."
    return GaugeMetricFamily("zmalloc_published_timestamp_seconds", text, value=when, unit="seconds")


def _described(text: str) -> str:
    """The module's docstring, with what it exposes."""
    lines: dict[bool, list[str]] = {False: [], True: []}
    for figure in FIGURES:
        name, kind = (f"{figure.metric}_total", "counter") if figure.kind == "counter" else (figure.metric, "gauge")
        walked = figure.name in OF_ANY_PROCESS and figure.metric != RSS
        lines[walked].append(f"  {name:36}  {kind}: {figure.description}")
    when = "gauge: of another process, when it read the figures that it publishes"
    lines[False].append(f"  {'zmalloc_published_timestamp_seconds':36}  {when}")
    lines[False].append(f"  {'zmalloc_info':36}  info: the allocator and the version, as labels")
    lines[False].append(f"  {'zmalloc_process_info':36}  info: the process's number and name, as labels")
    return text.format(table="\n".join(lines[False]), walk="\n".join(lines[True]))


__doc__ = _described(__doc__ or "")


class Collector:
    """What a registry of prometheus_client collects at each scrape. It registers itself, unless registry is None.

    walk is report()'s. pid is another process: then RSS and the figures of the walk are exported, others only if it
    publishes them, and nothing once the process has ended. rss says whether process_resident_memory_bytes is
    exported. By default it is, unless the registry has it when the collector is made. To find out, everything
    registered is collected once. So register other collectors that have it before.

    Errors: ValueError if the registry has such a collector already; for another process those of rss and smaps.

    >>> import prometheus_client, zmalloc.metrics
    >>> registry = prometheus_client.CollectorRegistry()
    >>> collector = zmalloc.metrics.Collector(registry)
    >>> block = zmalloc.Block(1000)
    >>> registry.get_sample_value("zmalloc_memory_used_bytes") == zmalloc.used_memory()
    True
    """

    def __init__(
        self,
        registry: CollectorRegistry | None = REGISTRY,
        *,
        walk: bool = False,
        pid: int | None = None,
        rss: bool | None = None,
    ) -> None:
        self._series = series(1, bool(walk), pid)
        if rss is None:
            rss = registry is None or registry.get_sample_value(RSS) is None
        self._told = [figure for figure in FIGURES if rss or figure.name != "rss"]
        if registry is not None:
            registry.register(self)  # type: ignore[arg-type]

    def describe(self) -> Iterator[Metric]:
        """Every family that there may be, without figures, for a registry that needs their names."""
        for figure in self._told:
            yield _family(figure)
        yield _info()
        yield _process_info()
        yield _published()

    def collect(self) -> Iterator[Metric]:
        """The families that have figures now."""
        try:
            figures = self._series.sample()._asdict()
        except ProcessLookupError:
            return
        for figure in self._told:
            if figures[figure.name] is not None:
                yield _family(figure, figures[figure.name])
        published = getattr(self._series.keep, "published", None)
        if published is not None:
            yield _published(published.wall_ns / 1e9)
        pid = os.getpid() if self._series.pid is None else self._series.pid
        yield _process_info({"pid": str(pid), "name": process_name(pid) or ""})
        if self._series.pid is None:
            yield _info({"allocator": _zmalloc.zmalloc_allocator(), "version": _zmalloc.ZMALLOC_VERSION})
