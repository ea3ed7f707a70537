# SPDX-License-Identifier: BSD-3-Clause
"""The figures: each one's name, unit, meaning and source, written once.

The command line, its manual page, the collector for Prometheus, the picture and the JSON schema have them from here.
The order is that of a sample: the fields of a report, then what is counted, then the limits.
"""

from __future__ import annotations

# Where a figure comes from; what the kernel knows can be had of any process.
ZMALLOC, ALLOCATOR, KERNEL, COMPUTED = "zmalloc", "the allocator", "the kernel", "computed"


class Figure:
    """A figure: bytes, unless its kind says otherwise."""

    def __init__(
        self,
        name: str,
        meaning: str,
        source: str,
        metric: str,  # its name for Prometheus; the last word is the unit
        kind: str = "size",
        field: str | None = None,  # the kernel's name of it, among its smaps fields
        gap: tuple[str, str] | None = None,  # the figures that it is the difference of
    ) -> None:
        self.name, self.meaning, self.source, self.metric = name, meaning, source, metric
        self.kind, self.field, self.gap = kind, field, gap

    @property
    def unit(self) -> str:
        """In words."""
        return "ratio" if self.kind == "ratio" else "bytes"

    @property
    def description(self) -> str:
        """The meaning; that of a difference begins with what it is the difference of."""
        return f"{self.gap[0]} - {self.gap[1]}: {self.meaning}" if self.gap else self.meaning

    @property
    def sentence(self) -> str:
        """The description as a sentence, with the unit."""
        text = self.description
        return f"{text[0].upper()}{text[1:]}{', in bytes' if self.unit == 'bytes' else ''}."


FIGURES = (
    Figure("used", "in blocks, exactly", ZMALLOC, "zmalloc_memory_used_bytes"),
    Figure("allocated", "in blocks, as the allocator counts", ALLOCATOR, "zmalloc_memory_allocated_bytes"),
    Figure("active", "in pages that hold blocks", ALLOCATOR, "zmalloc_memory_active_bytes"),
    Figure("resident", "what the allocator holds in memory", ALLOCATOR, "zmalloc_memory_resident_bytes"),
    Figure("rss", "what the process holds in memory", KERNEL, "process_resident_memory_bytes", field="Rss"),
    Figure("allocator_overhead_bytes", "headers, caches", COMPUTED, "zmalloc_allocator_overhead_bytes", "difference",
           gap=("allocated", "used")),
    Figure("allocator_frag_bytes", "fragmentation", COMPUTED, "zmalloc_allocator_frag_bytes", "difference",
           gap=("active", "allocated")),
    Figure("allocator_rss_bytes", "can be purged", COMPUTED, "zmalloc_allocator_rss_bytes", "difference",
           gap=("resident", "active")),
    Figure("rss_overhead_bytes", "code, stacks, others", COMPUTED, "zmalloc_rss_overhead_bytes", "difference",
           gap=("rss", "resident")),
    Figure("mapped", "address space for blocks", ALLOCATOR, "zmalloc_memory_mapped_bytes"),
    Figure("retained", "address space kept without memory", ALLOCATOR, "zmalloc_memory_retained_bytes"),
    Figure("metadata", "the allocator's own data", ALLOCATOR, "zmalloc_memory_metadata_bytes"),
    Figure("mem_fragmentation_ratio", "rss / used", COMPUTED, "zmalloc_memory_fragmentation_ratio", "ratio"),
    Figure("allocator_frag_smallbins_ratio", "slots for small blocks / slots in use", ALLOCATOR,
           "zmalloc_smallbins_frag_ratio", "ratio"),
    Figure("pss", "rss, shared pages divided by users", KERNEL, "process_proportional_memory_bytes", field="Pss"),
    Figure("uss", "in pages mapped nowhere else", KERNEL, "process_unique_memory_bytes"),
    Figure("private_dirty", "written to, and not shared", KERNEL, "process_private_dirty_memory_bytes",
           field="Private_Dirty"),
    Figure("swap", "in swap, and not in rss", KERNEL, "process_swap_memory_bytes", field="Swap"),
    Figure("huge_pages", "in huge pages without a file", KERNEL, "process_huge_pages_memory_bytes",
           field="AnonHugePages"),
    Figure("private_hugetlb", "in its own hugetlbfs pages, which are not in rss, pss or uss", KERNEL,
           "process_private_hugetlb_memory_bytes", field="Private_Hugetlb"),
    Figure("shared_hugetlb", "in shared hugetlbfs pages, which are not in rss or pss", KERNEL,
           "process_shared_hugetlb_memory_bytes", field="Shared_Hugetlb"),
    Figure("muzzy", "the kernel may take it", ALLOCATOR, "zmalloc_memory_muzzy_bytes"),
    Figure("allocator_frag_smallbins_bytes", "free slots for small blocks", ALLOCATOR,
           "zmalloc_smallbins_frag_bytes"),
    Figure("peak", "the most used that any reading found", ZMALLOC, "zmalloc_memory_peak_bytes"),
    Figure("total_allocated", "allocated since the start", ZMALLOC, "zmalloc_allocated_bytes", "counter"),
    Figure("total_freed", "freed since the start", ZMALLOC, "zmalloc_freed_bytes", "counter"),
    Figure("limit", "the most that may be used", ZMALLOC, "zmalloc_memory_limit_bytes", "limit"),
    Figure("soft_limit", "above this the handler is called", ZMALLOC, "zmalloc_memory_soft_limit_bytes", "limit"),
)  # fmt: skip

BY_NAME = {figure.name: figure for figure in FIGURES}
NAMES = tuple(BY_NAME)
OF_ANY_PROCESS = tuple(figure.name for figure in FIGURES if figure.source == KERNEL)
COUNTED = NAMES[NAMES.index("peak") :]  # what a sample has and a report does not


def of_kind(kind: str) -> tuple[str, ...]:
    """The names of the figures that are of a kind."""
    return tuple(figure.name for figure in FIGURES if figure.kind == kind)


RATIOS, DIFFERENCES, LIMITS = of_kind("ratio"), of_kind("difference"), of_kind("limit")
