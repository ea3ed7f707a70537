# SPDX-License-Identifier: BSD-3-Clause
"""Whatever a script hands to a call, it gets an exception that names the call and the argument."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
import zmalloc


class Number:
    """Says that it is a number, and closes a block on the way."""

    def __init__(self, block: zmalloc.Block | None = None) -> None:
        self.block = block

    def __index__(self) -> int:
        if self.block is not None:
            self.block.close()
        return 8


def spare() -> zmalloc.Block:
    return zmalloc.zmalloc(10)


def name_of(case: tuple) -> str:
    return case[0] + "-" + case[1]


# Call, argument, and how a value comes to be that argument.
SIZES = [
    ("zmalloc", "size", zmalloc.zmalloc),
    ("ztrymalloc", "size", zmalloc.ztrymalloc),
    ("zmalloc_usable", "size", zmalloc.zmalloc_usable),
    ("ztrymalloc_usable", "size", zmalloc.ztrymalloc_usable),
    ("zmalloc_no_tcache", "size", zmalloc.zmalloc_no_tcache),
    ("zcalloc", "size", zmalloc.zcalloc),
    ("zcalloc_num", "num", lambda value: zmalloc.zcalloc_num(value, 1)),
    ("zcalloc_num", "size", lambda value: zmalloc.zcalloc_num(1, value)),
    ("ztrycalloc", "size", zmalloc.ztrycalloc),
    ("zcalloc_usable", "size", zmalloc.zcalloc_usable),
    ("ztrycalloc_usable", "size", zmalloc.ztrycalloc_usable),
    ("zrealloc", "size", lambda value: zmalloc.zrealloc(spare(), value)),
    ("ztryrealloc", "size", lambda value: zmalloc.ztryrealloc(spare(), value)),
    ("zrealloc_usable", "size", lambda value: zmalloc.zrealloc_usable(spare(), value)),
    ("ztryrealloc_usable", "size", lambda value: zmalloc.ztryrealloc_usable(spare(), value)),
    ("extend_to_usable", "size", lambda value: zmalloc.extend_to_usable(spare(), value)),
    ("zaligned_alloc", "size", lambda value: zmalloc.zaligned_alloc(64, value)),
    ("ztryaligned_alloc", "size", lambda value: zmalloc.ztryaligned_alloc(64, value)),
    ("zaligned_alloc_usable", "size", lambda value: zmalloc.zaligned_alloc_usable(64, value)),
    ("ztryaligned_alloc_usable", "size", lambda value: zmalloc.ztryaligned_alloc_usable(64, value)),
    ("zfree_with_size", "size", lambda value: zmalloc.zfree_with_size(spare(), value)),
    ("zmalloc_good_size", "size", zmalloc.zmalloc_good_size),
    ("good_size", "size", zmalloc.good_size),
    ("Block", "size", zmalloc.Block),
    ("Block", "size", lambda value: zmalloc.Block(value, 64)),
    ("resize", "size", lambda value: spare().resize(value)),
]

ALIGNMENTS = [
    ("zaligned_alloc", "alignment", lambda value: zmalloc.zaligned_alloc(value, 10)),
    ("ztryaligned_alloc", "alignment", lambda value: zmalloc.ztryaligned_alloc(value, 10)),
    ("zaligned_alloc_usable", "alignment", lambda value: zmalloc.zaligned_alloc_usable(value, 10)),
    ("ztryaligned_alloc_usable", "alignment", lambda value: zmalloc.ztryaligned_alloc_usable(value, 10)),
    ("Block", "alignment", lambda value: zmalloc.Block(10, alignment=value)),
]

PIDS = [
    ("zmalloc_get_private_dirty", "pid", zmalloc.zmalloc_get_private_dirty),
    ("zmalloc_private_dirty", "pid", zmalloc.zmalloc_private_dirty),
    ("private_dirty", "pid", zmalloc.private_dirty),
    ("zmalloc_get_smap_bytes_by_field", "pid", lambda value: zmalloc.zmalloc_get_smap_bytes_by_field("Rss", value)),
    ("zmalloc_smap_bytes_by_field", "pid", lambda value: zmalloc.zmalloc_smap_bytes_by_field("Rss", value)),
    ("smaps", "pid", lambda value: zmalloc.smaps("Rss", value)),
    ("zmalloc_smaps", "pid", zmalloc.zmalloc_smaps),
    ("smaps", "pid", lambda value: zmalloc.smaps(pid=value)),
    ("zmalloc_mappings", "pid", zmalloc.zmalloc_mappings),
    ("mappings", "pid", zmalloc.mappings),
    ("zmalloc_process_rss", "pid", zmalloc.zmalloc_process_rss),
    ("rss", "pid", zmalloc.rss),
]

INTS = [
    ("get_proc_stat_ll", "i", zmalloc.get_proc_stat_ll),
]

SWITCHES = [
    ("set_jemalloc_bg_thread", "enable", zmalloc.set_jemalloc_bg_thread),
    ("zmalloc_background_thread", "enable", zmalloc.zmalloc_background_thread),
    ("background_thread", "enable", zmalloc.background_thread),
    ("zmalloc_disable_thp", "disable", zmalloc.zmalloc_disable_thp),
    ("disable_thp", "disable", zmalloc.disable_thp),
    ("zmalloc_report", "walk", zmalloc.zmalloc_report),
    ("report", "walk", lambda walk: zmalloc.report(walk=walk)),
]

LONGS = [
    ("zmalloc_set_decay", "dirty_ms", lambda value: zmalloc.zmalloc_set_decay(value, 0)),
    ("zmalloc_set_decay", "muzzy_ms", lambda value: zmalloc.zmalloc_set_decay(0, value)),
    ("set_decay", "dirty_ms", lambda value: zmalloc.set_decay(value, 0)),
    ("set_decay", "muzzy_ms", lambda value: zmalloc.set_decay(0, value)),
]

FIELDS = [
    ("zmalloc_get_smap_bytes_by_field", "field", zmalloc.zmalloc_get_smap_bytes_by_field),
    ("zmalloc_smap_bytes_by_field", "field", zmalloc.zmalloc_smap_bytes_by_field),
]

BLOCKS = [
    ("zfree", "ptr", zmalloc.zfree),
    ("zfree_usable", "ptr", zmalloc.zfree_usable),
    ("zfree_with_size", "ptr", lambda value: zmalloc.zfree_with_size(value, 10)),
    ("zfree_no_tcache", "ptr", zmalloc.zfree_no_tcache),
    ("zmalloc_size", "ptr", zmalloc.zmalloc_size),
    ("zmalloc_usable_size", "ptr", zmalloc.zmalloc_usable_size),
    ("zmadvise_dontneed", "ptr", zmalloc.zmadvise_dontneed),
    ("zmalloc_defrag_hint", "ptr", zmalloc.zmalloc_defrag_hint),
    ("zrealloc", "ptr", lambda value: zmalloc.zrealloc(value, 10)),
    ("ztryrealloc", "ptr", lambda value: zmalloc.ztryrealloc(value, 10)),
    ("zrealloc_usable", "ptr", lambda value: zmalloc.zrealloc_usable(value, 10)),
    ("ztryrealloc_usable", "ptr", lambda value: zmalloc.ztryrealloc_usable(value, 10)),
    ("extend_to_usable", "ptr", lambda value: zmalloc.extend_to_usable(value, 10)),
]

NOT_NUMBERS = [True, False, 1.0, 1.5, float("nan"), "1", b"1", [], {}, object(), 1j, Number(), int]


def refuses(case: tuple, value: object, error: type[Exception]) -> None:
    call, argument, use = case
    with pytest.raises(error, match=f"^{call}: argument '{argument}' "):
        use(value)


@pytest.mark.parametrize(("case", "value"), product(SIZES + ALIGNMENTS, NOT_NUMBERS))
def test_size_that_is_no_number(case: tuple, value: object) -> None:
    refuses(case, value, TypeError)


@pytest.mark.parametrize("case", SIZES + [case for case in ALIGNMENTS if case[0] != "Block"], ids=name_of)
def test_size_that_is_none(case: tuple) -> None:
    refuses(case, None, TypeError)


@pytest.mark.parametrize("value", [0, 3, 24, 2**62 + 1, 2**63 - 1, 2**64 - 1])
@pytest.mark.parametrize("case", ALIGNMENTS, ids=name_of)
def test_alignment_that_is_no_power_of_two(case: tuple, value: int) -> None:
    refuses(case, value, ValueError)


@pytest.mark.parametrize("value", [2**61, 2**62, 2**63])
@pytest.mark.parametrize("case", ALIGNMENTS, ids=name_of)
def test_alignment_that_nobody_has(case: tuple, value: int) -> None:
    call, _, use = case
    if call.startswith("ztry"):
        assert use(value) in (None, (None, 0))
    else:
        with pytest.raises(MemoryError, match=f"^{call}: can't allocate a size of 10 bytes$"):
            use(value)


@pytest.mark.parametrize("value", [-1, -(2**63), -(2**64), -(2**200)])
@pytest.mark.parametrize("case", SIZES + ALIGNMENTS, ids=name_of)
def test_negative_size(case: tuple, value: int) -> None:
    refuses(case, value, ValueError)


@pytest.mark.parametrize("value", [2**64, 2**64 + 1, 2**200])
@pytest.mark.parametrize("case", SIZES + ALIGNMENTS, ids=name_of)
def test_size_that_c_can_not_hold(case: tuple, value: int) -> None:
    refuses(case, value, OverflowError)


@pytest.mark.parametrize("value", [2**62, 2**63 - 1, 2**63, 2**64 - 1])
@pytest.mark.parametrize("case", SIZES, ids=name_of)
def test_size_that_nobody_has(case: tuple, value: int) -> None:
    call, _, use = case
    if call.startswith("ztry"):
        assert use(value) in (None, (None, 0))
    elif call in ("extend_to_usable", "zfree_with_size"):
        refuses(case, value, ValueError)
    elif call.endswith("good_size"):
        assert use(value) == 0 or use(value) >= value
    else:
        with pytest.raises(MemoryError, match=f"^{call}: can't allocate a size of {value} bytes$"):
            use(value)


@pytest.mark.parametrize(("num", "size"), [(2**32, 2**32), (2**63, 2), (2**64 - 1, 2**64 - 1), (3, 2**63)])
def test_product_that_overflows(num: int, size: int) -> None:
    with pytest.raises(MemoryError, match="^zcalloc_num: "):
        zmalloc.zcalloc_num(num, size)


@pytest.mark.parametrize(("case", "value"), product(PIDS, NOT_NUMBERS))
def test_pid_that_is_no_number(case: tuple, value: object) -> None:
    refuses(case, value, TypeError)


@pytest.mark.parametrize("case", LONGS, ids=name_of)
def test_time_that_is_none(case: tuple) -> None:
    for value in [*NOT_NUMBERS, None]:
        refuses(case, value, TypeError)


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 2**64, 2**200])
@pytest.mark.parametrize("case", PIDS + LONGS, ids=name_of)
def test_long_that_c_can_not_hold(case: tuple, value: int) -> None:
    refuses(case, value, OverflowError)


@pytest.mark.parametrize("value", [0, -2, -(2**63)])
def test_pid_that_can_be_no_process(value: int) -> None:
    for call, _, use in PIDS:
        if "_get_" not in call:
            with pytest.raises(ValueError, match=f"^{call}: Invalid argument"):
                use(value)
    assert zmalloc.zmalloc_get_private_dirty(value) == 0


@pytest.mark.parametrize("case", INTS + SWITCHES, ids=name_of)
def test_int(case: tuple) -> None:
    for value in NOT_NUMBERS:
        if not (isinstance(value, bool) and case in SWITCHES):
            refuses(case, value, TypeError)
    for value in (2**31, -(2**31) - 1, 2**64):
        refuses(case, value, OverflowError)


@pytest.mark.parametrize("value", [None, b"Rss", bytearray(b"Rss"), 1, 1.5, True, [], object()])
@pytest.mark.parametrize("case", FIELDS, ids=name_of)
def test_field_that_is_no_text(case: tuple, value: object) -> None:
    refuses(case, value, TypeError)


@pytest.mark.parametrize("value", ["", "Rss\0", "\0", "Rss\0Pss", "\ud800"])
@pytest.mark.parametrize("case", FIELDS, ids=name_of)
def test_field_that_can_be_none(case: tuple, value: str) -> None:
    refuses(case, value, ValueError)


@pytest.mark.parametrize("value", ["x\0", b"x\0", "\ud800"])
def test_string_with_a_nul(value: object) -> None:
    refuses(("zstrdup", "string", zmalloc.zstrdup), value, ValueError)


@pytest.mark.parametrize("value", [1, 1.5, [], bytearray(b"x"), object(), zmalloc.Block])
def test_string_that_is_none(value: object) -> None:
    refuses(("zstrdup", "string", zmalloc.zstrdup), value, TypeError)


NO_BLOCKS = [0, 1, 2**64, "", b"x", bytearray(8), memoryview(b"x"), [], object(), zmalloc.Block]


@pytest.mark.parametrize("value", NO_BLOCKS)
@pytest.mark.parametrize("case", BLOCKS, ids=name_of)
def test_block_that_is_none(case: tuple, value: object) -> None:
    refuses(case, value, TypeError)


@pytest.mark.parametrize("case", BLOCKS, ids=name_of)
def test_use_after_free(case: tuple) -> None:
    def free_with_size(block: zmalloc.Block) -> None:
        zmalloc.zfree_with_size(block, len(block))

    for free in (zmalloc.zfree, zmalloc.zfree_usable, zmalloc.zfree_no_tcache, free_with_size, zmalloc.Block.close):
        block = spare()
        free(block)
        refuses(case, block, ValueError)


@pytest.mark.parametrize(
    "use",
    [
        len,
        bytes,
        memoryview,
        list,
        bool,
        lambda b: b[0],
        lambda b: b[:],
        lambda b: b.__setitem__(0, 1),
        lambda b: b.resize(5),
        lambda b: b.usable,
        lambda b: b.__enter__(),
    ],
)
def test_a_closed_block_has_nothing(use: Callable[[zmalloc.Block], object]) -> None:
    block = spare()
    block.close()
    with pytest.raises(ValueError, match="closed"):
        use(block)


def test_scripts_hold_no_libc_block() -> None:
    for value in (0, 5, "x", b"x", object(), spare()):
        with pytest.raises(TypeError, match="^zlibc_free: argument 'ptr' .*scripts never hold a libc block"):
            zmalloc.zlibc_free(value)


@pytest.mark.parametrize("value", [0, 1, "f", [], b""])
def test_handler_that_can_not_be_called(value: object) -> None:
    for use in (zmalloc.set_oom_handler, zmalloc.zmalloc_set_oom_handler):
        refuses((use.__name__, "handler", use), value, TypeError)


def test_an_argument_can_not_close_the_block_before_it() -> None:
    for use in (zmalloc.zrealloc, zmalloc.ztryrealloc_usable, zmalloc.extend_to_usable, zmalloc.zfree_with_size):
        block = spare()
        with pytest.raises(TypeError):
            use(block, Number(block))
        assert len(block) == 10


def test_a_key_can_not_close_the_block() -> None:
    block = spare()
    with pytest.raises(BufferError):
        block[Number(block)]
    with pytest.raises(BufferError):
        block[Number(block)] = 1
    assert len(block) == 10


@pytest.mark.parametrize("code", [
    "zmalloc.Block.__new__(zmalloc.Block)",
    "object.__new__(zmalloc.Block)",
    "zmalloc.Block()",
    "zmalloc.Block(1, 2, 3)",
    "zmalloc.Block(alignment=8)",
    "zmalloc.Block(sizes=1)",
    "zmalloc.Block.__new__(int, 5)",
    "zmalloc.Block.close(object())",
    "zmalloc.Block.usable.__get__(1)",
    "zmalloc.Block.__len__(b'')",
    "zmalloc.zfree()",
    "zmalloc.zmalloc()",
    "zmalloc.zmalloc(1, 2)",
    "zmalloc.zmalloc(size=1)",
    "zmalloc.zrealloc(None)",
    "zmalloc.zmalloc_set_oom_handler()",
    "zmalloc.UsableBlock(1)",
    "zmalloc.AllocatorInfo()",
    "zmalloc.Block.close = None",
])  # fmt: skip
def test_a_process_survives(code: str, script: Callable) -> None:
    result = script(f"try:\n    {code}\nexcept TypeError as error:\n    print('refused')")
    assert (result.returncode, result.stdout) == (0, "refused\n"), result.stderr
