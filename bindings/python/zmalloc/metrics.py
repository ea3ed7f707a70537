# SPDX-License-Identifier: BSD-3-Clause
"""For Prometheus: where the memory is, as metrics of prometheus_client.

`import zmalloc.metrics` needs prometheus_client: `pip install zmalloc[metrics]`. Then, once in a program that already
exposes its metrics:

    zmalloc.metrics.Collector()

From there on each scrape asks for a report. What it tells, in bytes where it doesn't say otherwise; what is unknown is
absent, and never 0:

  process_resident_memory_bytes         gauge: RSS. Left out where another collector of the registry has it already,
                                        as prometheus_client's own for processes on Linux
  zmalloc_memory_used_bytes             gauge: in blocks, to the byte
  zmalloc_memory_peak_bytes             gauge: the most that a reading of it found
  zmalloc_memory_limit_bytes            gauge: the most that may be in blocks; absent where no limit is set
  zmalloc_memory_soft_limit_bytes       gauge: beyond how much the soft limit's handler is called; absent as well
  zmalloc_memory_allocated_bytes        gauge: in blocks, as the allocator counts
  zmalloc_memory_active_bytes           gauge: in pages that hold blocks
  zmalloc_memory_resident_bytes         gauge: what the allocator holds from the kernel
  zmalloc_memory_mapped_bytes           gauge: address space for blocks
  zmalloc_memory_retained_bytes         gauge: address space whose memory the kernel has back
  zmalloc_memory_metadata_bytes         gauge: for the allocator's own use
  zmalloc_allocator_overhead_bytes      gauge: allocated beyond used
  zmalloc_allocator_frag_bytes          gauge: active beyond allocated
  zmalloc_allocator_rss_bytes           gauge: resident beyond active
  zmalloc_rss_overhead_bytes            gauge: RSS beyond resident
  zmalloc_memory_fragmentation_ratio    gauge: RSS / used
  zmalloc_smallbins_frag_ratio          gauge: places for small blocks / those taken
  zmalloc_allocated_bytes_total         counter: ever allocated
  zmalloc_freed_bytes_total             counter: ever freed
  zmalloc_info                          info: the allocator and the version, as labels

With the walk also process_proportional_memory_bytes, process_unique_memory_bytes, process_private_dirty_memory_bytes,
process_swap_memory_bytes and process_huge_pages_memory_bytes. How fast blocks come and go is what Prometheus makes of
the counters: `rate(zmalloc_allocated_bytes_total[5m])`. On 32-bit machines they wrap, which it takes for a restart.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from . import _zmalloc
from ._monitor.sources import series

try:
    from prometheus_client import REGISTRY, CollectorRegistry
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
except ImportError as error:
    missing = "zmalloc.metrics needs prometheus_client, which can't be imported: install it, or zmalloc[metrics]"
    raise ImportError(missing, name="prometheus_client") from error

RSS = "process_resident_memory_bytes"


class _Meaning(NamedTuple):
    """What a figure is to Prometheus. The unit is the name's last word."""

    name: str
    help: str
    counter: bool = False


MEANINGS = {
    "rss": _Meaning(RSS, "Resident memory size in bytes."),
    "used": _Meaning("zmalloc_memory_used_bytes", "Bytes in blocks that are not freed."),
    "peak": _Meaning("zmalloc_memory_peak_bytes", "Most bytes in blocks that a reading found."),
    "limit": _Meaning("zmalloc_memory_limit_bytes", "Most bytes that may be in blocks."),
    "soft_limit": _Meaning("zmalloc_memory_soft_limit_bytes", "Bytes in blocks beyond which a handler is called."),
    "allocated": _Meaning("zmalloc_memory_allocated_bytes", "Bytes in blocks, as the allocator counts."),
    "active": _Meaning("zmalloc_memory_active_bytes", "Bytes in pages that hold blocks."),
    "resident": _Meaning("zmalloc_memory_resident_bytes", "Bytes that the allocator holds from the kernel."),
    "mapped": _Meaning("zmalloc_memory_mapped_bytes", "Bytes of address space for blocks."),
    "retained": _Meaning("zmalloc_memory_retained_bytes", "Bytes of address space whose memory the kernel has back."),
    "metadata": _Meaning("zmalloc_memory_metadata_bytes", "Bytes for the allocator's own use."),
    "allocator_overhead_bytes": _Meaning("zmalloc_allocator_overhead_bytes", "Bytes allocated beyond those used."),
    "allocator_frag_bytes": _Meaning("zmalloc_allocator_frag_bytes", "Bytes active beyond those allocated."),
    "allocator_rss_bytes": _Meaning("zmalloc_allocator_rss_bytes", "Bytes resident beyond those active."),
    "rss_overhead_bytes": _Meaning("zmalloc_rss_overhead_bytes", "Bytes of RSS beyond those the allocator holds."),
    "mem_fragmentation_ratio": _Meaning("zmalloc_memory_fragmentation_ratio", "RSS by bytes in blocks."),
    "allocator_frag_smallbins_ratio": _Meaning(
        "zmalloc_smallbins_frag_ratio", "Places for small blocks by those that are taken."
    ),
    "pss": _Meaning("process_proportional_memory_bytes", "RSS, shared pages by their part, in bytes."),
    "uss": _Meaning("process_unique_memory_bytes", "Bytes that would be free if the process ended."),
    "private_dirty": _Meaning("process_private_dirty_memory_bytes", "Bytes written to and shared with none."),
    "swap": _Meaning("process_swap_memory_bytes", "Bytes in swap."),
    "huge_pages": _Meaning("process_huge_pages_memory_bytes", "Bytes in huge pages without a file."),
    "total_allocated": _Meaning("zmalloc_allocated_bytes", "Bytes ever allocated.", counter=True),
    "total_freed": _Meaning("zmalloc_freed_bytes", "Bytes ever freed.", counter=True),
}


def _family(meaning: _Meaning, value: float | None = None) -> Metric:
    kind: type[CounterMetricFamily | GaugeMetricFamily] = CounterMetricFamily if meaning.counter else GaugeMetricFamily
    return kind(meaning.name, meaning.help, value=value, unit=meaning.name.rpartition("_")[2])


def _info(value: dict[str, str] | None = None) -> Metric:
    return InfoMetricFamily("zmalloc", "The allocator, and the version of zmalloc.", value=value)


class Collector:
    """What a registry of prometheus_client asks at each scrape; it registers itself, unless registry is None.

    walk is report()'s. pid is another process: then only RSS is told, and with the walk what comes of it; nothing
    once the process has ended. rss says whether process_resident_memory_bytes is told; by default it is unless the
    registry has it when the collector is made (for which everything registered is collected once). Register what
    else tells it beforehand.

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
        self._told = {name: meaning for name, meaning in MEANINGS.items() if rss or name != "rss"}
        if registry is not None:
            registry.register(self)  # type: ignore[arg-type]

    def describe(self) -> Iterator[Metric]:
        """Every family that there may be, without figures: a registry asks for their names."""
        for meaning in self._told.values():
            yield _family(meaning)
        yield _info()

    def collect(self) -> Iterator[Metric]:
        """The families that have figures now."""
        try:
            figures = self._series.sample()._asdict()
        except ProcessLookupError:
            return
        for name, meaning in self._told.items():
            if figures[name] is not None:
                yield _family(meaning, figures[name])
        if self._series.pid is None:
            yield _info({"allocator": _zmalloc.zmalloc_allocator(), "version": _zmalloc.ZMALLOC_VERSION})
