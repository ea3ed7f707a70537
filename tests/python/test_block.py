# SPDX-License-Identifier: BSD-3-Clause
"""Block: it owns its memory, lends it out as a buffer, and goes when it is let go."""

from __future__ import annotations

import array
import copy
import ctypes
import gc
import io
import os
import pickle
import socket
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
import zmalloc

pytestmark = pytest.mark.zmalloc_no_growth

PREFIX = 16 if os.environ["ZMALLOC_PREFIX"] == "1" else 0


def test_a_new_block_is_zero_whatever_was_there() -> None:
    for size in (1, 24, 100, 5000, 1 << 20):
        for _ in range(20):
            block = zmalloc.Block(size)
            assert bytes(block) == bytes(size)
            block[:] = b"\xaa" * size
            block.close()


def test_used_memory_counts_it_to_the_byte() -> None:
    before = zmalloc.used_memory()
    blocks = [zmalloc.Block(size) for size in (0, 1, 100, 4096, 3 << 20)]
    assert zmalloc.used_memory() - before == sum(map(zmalloc.zmalloc_size, blocks))
    for block in blocks:
        assert zmalloc.zmalloc_size(block) == block.usable + PREFIX
        block.close()
    assert zmalloc.used_memory() == before


def test_forgetting_frees() -> None:
    before = zmalloc.used_memory()
    block = zmalloc.Block(1000)
    assert zmalloc.used_memory() > before
    del block
    assert zmalloc.used_memory() == before


def test_context_manager() -> None:
    before = zmalloc.used_memory()
    with zmalloc.Block(10) as block:
        assert len(block) == 10
    assert zmalloc.used_memory() == before
    with pytest.raises(ValueError, match="closed"), block:
        pass
    block.close()


def test_empty_block() -> None:
    for block in (zmalloc.Block(0), zmalloc.zmalloc(0), zmalloc.zrealloc(None, 0)):
        assert len(block) == 0
        assert bytes(block) == b""
        with pytest.raises(IndexError):
            block[0]


def test_items() -> None:
    block = zmalloc.Block(10)
    block[0] = 65
    block[-1] = 90
    block[1:4] = b"bcd"
    block[4:8:2] = bytearray(b"xy")
    assert bytes(block) == b"Abcdx\0y\0\0Z"
    assert block[0] == 65
    assert block[-1] == 90
    assert block[1:4] == b"bcd"
    assert type(block[1:4]) is bytes
    assert block[::-1] == bytes(block)[::-1]
    assert list(block) == list(bytes(block))
    assert 90 in block
    assert 91 not in block


@pytest.mark.parametrize("index", [10, -11, 2**70])
def test_index_out_of_range(index: int) -> None:
    block = zmalloc.Block(10)
    with pytest.raises(IndexError):
        block[index]
    with pytest.raises(IndexError):
        block[index] = 1


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        (0, 256, ValueError),
        (0, -1, ValueError),
        (0, "a", TypeError),
        (0, 1.5, TypeError),
        (0, None, TypeError),
        ("a", 1, TypeError),
        (1.0, 1, TypeError),
        (slice(0, 4), b"abc", ValueError),
        (slice(0, 4), b"abcde", ValueError),
        (slice(0, 4), "abcd", TypeError),
        (slice(0, 4), 5, TypeError),
    ],
)
def test_wrong_assignment_changes_nothing(key: object, value: object, error: type[Exception]) -> None:
    block = zmalloc.Block(10)
    with pytest.raises(error):
        block[key] = value
    assert bytes(block) == bytes(10)


def test_items_can_not_be_deleted() -> None:
    with pytest.raises(TypeError):
        del zmalloc.Block(10)[0]


def test_buffer() -> None:
    block = zmalloc.Block(10)
    with memoryview(block) as view:
        assert (view.nbytes, view.readonly, view.format, view.contiguous) == (10, False, "B", True)
        view[2] = 7
    assert block[2] == 7
    assert io.BytesIO(b"0123456789ab").readinto(block) == 10
    assert bytes(block) == b"0123456789"
    with open(os.devnull, "wb") as sink:
        assert sink.write(block) == 10


def test_overlapping_slices_move() -> None:
    block = zmalloc.Block(10)
    block[:] = b"0123456789"
    with memoryview(block) as view:
        block[2:] = view[:-2]
    assert bytes(block) == b"0101234567"


def test_a_live_view_keeps_it_alive() -> None:
    view = memoryview(zmalloc.Block(10))
    gc.collect()
    view[9] = 9
    assert bytes(view) == bytes(9) + b"\x09"


@pytest.mark.parametrize(
    "use",
    [
        lambda b: b.close(),
        lambda b: b.resize(5),
        lambda b: b.resize(5000),
        lambda b: b.__exit__(None, None, None),
        lambda b: zmalloc.zfree(b),
        lambda b: zmalloc.zfree_usable(b),
        lambda b: zmalloc.zfree_no_tcache(b),
        lambda b: zmalloc.zfree_with_size(b, 10),
        lambda b: zmalloc.zrealloc(b, 5000),
        lambda b: zmalloc.ztryrealloc(b, 0),
        lambda b: zmalloc.zrealloc_usable(b, 5000),
        lambda b: zmalloc.ztryrealloc_usable(b, 5000),
    ],
)
def test_nothing_moves_or_frees_it_under_a_view(use: object) -> None:
    block = zmalloc.Block(10)
    with memoryview(block) as view, memoryview(block) as another:
        with pytest.raises(BufferError, match="view"):
            use(block)
        view[0] = 1
        assert another[0] == 1
    iterator = iter(block)
    with pytest.raises(BufferError):
        use(block)
    del iterator
    try:
        use(block)
    except BufferError:
        pytest.fail("the views are gone")


def test_resize() -> None:
    block = zmalloc.Block(10)
    block[:] = b"0123456789"
    block.resize(5000)
    assert bytes(block) == b"0123456789" + bytes(4990)
    block.resize(5)
    assert bytes(block) == b"01234"
    block.resize(10)
    assert bytes(block) == b"01234" + bytes(5)
    block.resize(0)
    assert bytes(block) == b""
    block.resize(3)
    assert bytes(block) == bytes(3)


def test_a_resize_that_fails_changes_nothing() -> None:
    block = zmalloc.Block(10)
    block[:] = b"0123456789"
    for resize in (block.resize, lambda size: zmalloc.zrealloc(block, size)):
        with pytest.raises(MemoryError):
            resize(2**62)
        with pytest.raises(OverflowError):
            resize(2**64)
    assert zmalloc.ztryrealloc(block, 2**62) is None
    assert zmalloc.ztryrealloc_usable(block, 2**62) == (None, 0)
    assert bytes(block) == b"0123456789"


def test_zrealloc_keeps_the_identity() -> None:
    block = zmalloc.zmalloc(10)
    block[:] = b"0123456789"
    assert zmalloc.zrealloc(block, 100_000) is block
    assert len(block) == 100_000
    assert block[:10] == b"0123456789"
    pair = zmalloc.zrealloc_usable(block, 20)
    assert pair.block is block
    assert pair.usable == block.usable
    assert zmalloc.zrealloc(block, 0) is None
    with pytest.raises(ValueError, match="closed"):
        len(block)


def test_zrealloc_usable_to_zero_closes() -> None:
    block = zmalloc.zmalloc(10)
    assert zmalloc.zrealloc_usable(block, 0) == (None, 0)
    with pytest.raises(ValueError, match="closed"):
        block.usable


def test_extend_to_usable() -> None:
    block = zmalloc.zmalloc(1)
    usable = block.usable
    assert zmalloc.extend_to_usable(block, usable) is block
    assert len(block) == usable
    block[usable - 1] = 1
    with pytest.raises(ValueError, match="extend_to_usable.*size"):
        zmalloc.extend_to_usable(block, usable + 1)
    assert len(zmalloc.extend_to_usable(block, 0)) == 0
    assert zmalloc.extend_to_usable(None, 0) is None
    with pytest.raises(ValueError, match="size"):
        zmalloc.extend_to_usable(None, 1)


def address(block: zmalloc.Block) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(block))


@pytest.mark.parametrize("alignment", [1, 2, 8, 16, 32, 64, 256, 4096, 1 << 16, 1 << 21])
@pytest.mark.parametrize("size", [1, 7, 64, 100, 5000, 1 << 20])
def test_aligned(alignment: int, size: int) -> None:
    before = zmalloc.used_memory()
    made = [
        zmalloc.zaligned_alloc(alignment, size),
        zmalloc.ztryaligned_alloc(alignment, size),
        zmalloc.zaligned_alloc_usable(alignment, size).block,
        zmalloc.ztryaligned_alloc_usable(alignment, size).block,
        zmalloc.Block(size, alignment),
        zmalloc.Block(alignment=alignment, size=size),
    ]
    assert zmalloc.used_memory() - before == sum(map(zmalloc.zmalloc_size, made))
    for block in made:
        assert address(block) % max(alignment, 16) == 0
        assert len(block) == size <= block.usable
    assert bytes(made[-1]) == bytes(made[-2]) == bytes(size)
    for block in made:
        block[:] = b"\xaa" * size
        zmalloc.extend_to_usable(block, block.usable)[-1] = 1


def test_an_aligned_block_is_zero_whatever_was_there() -> None:
    for _ in range(20):
        with zmalloc.Block(1000, 64) as block:
            assert bytes(block) == bytes(1000)
            block[:] = b"\xaa" * 1000


def test_an_aligned_block_is_resized_as_any() -> None:
    block = zmalloc.Block(100, alignment=4096)
    block[:] = b"x" * 100
    block.resize(200)
    assert bytes(block) == b"x" * 100 + bytes(100)
    assert zmalloc.zrealloc(block, 50) is block
    assert bytes(block) == b"x" * 50


def test_no_alignment() -> None:
    assert len(zmalloc.Block(10, None)) == len(zmalloc.Block(10, alignment=None)) == 10
    with zmalloc.Block(0, 64) as block:
        assert bytes(block) == b""


def resized(block: zmalloc.Block, size: int) -> zmalloc.Block:
    block.resize(size)
    return block


def extended(block: zmalloc.Block) -> zmalloc.Block:
    return zmalloc.extend_to_usable(block, block.usable)


# How a block comes to be, and the least size that it may be freed with; None: its usable size alone.
MAKERS = [
    (lambda: zmalloc.Block(100), 100),
    (lambda: zmalloc.Block(0), 0),
    (lambda: zmalloc.zcalloc_num(10, 10), 100),
    (lambda: zmalloc.zmalloc_usable(100).block, 100),
    (lambda: zmalloc.zstrdup("text"), 5),
    (lambda: zmalloc.zrealloc(None, 100), 100),
    (lambda: zmalloc.zrealloc(zmalloc.Block(5000), 100), 100),
    (lambda: zmalloc.ztryrealloc_usable(zmalloc.Block(100), 5000).block, 5000),
    (lambda: resized(zmalloc.Block(5000), 100), 100),
    (lambda: resized(zmalloc.Block(100), 0), 0),
    (lambda: zmalloc.extend_to_usable(zmalloc.Block(100), 5), 100),
    (lambda: extended(zmalloc.Block(100)), 100),
    (lambda: zmalloc.Block(100, 64), None),
    (lambda: zmalloc.Block(100, 1), None),
    (lambda: zmalloc.zaligned_alloc(4096, 100), None),
    (lambda: zmalloc.ztryaligned_alloc(256, 100), None),
    (lambda: zmalloc.zaligned_alloc_usable(64, 1000).block, None),
    (lambda: zmalloc.ztryaligned_alloc_usable(64, 1000).block, None),
    (lambda: zmalloc.extend_to_usable(zmalloc.Block(100, 4096), 5), None),
    (lambda: zmalloc.zrealloc(zmalloc.Block(100, 4096), 50), 50),
    (lambda: resized(zmalloc.Block(100, 4096), 5000), 5000),
]


@pytest.mark.parametrize(("make", "least"), MAKERS)
def test_zfree_with_size(make: Callable[[], zmalloc.Block], least: int | None) -> None:
    before = zmalloc.used_memory()
    block = make()
    size, usable = zmalloc.zmalloc_size(block), block.usable
    aligned = least is None
    least = usable if aligned else least
    for wrong in (least - 1, usable + 1, 2 * usable + 1, 2**63, 2**64 - 1):
        if wrong >= 0:
            with pytest.raises(ValueError, match="^zfree_with_size: argument 'size' must be from "):
                zmalloc.zfree_with_size(block, wrong)
    assert zmalloc.used_memory() - before == size
    zmalloc.zfree_with_size(block, least)
    assert zmalloc.used_memory() == before
    for share in (1, 2):
        block = make()
        zmalloc.zfree_with_size(block, block.usable if aligned else least + (block.usable - least) // share)
        assert zmalloc.used_memory() == before
        with pytest.raises(ValueError, match="closed"):
            len(block)


def test_zfree_with_size_of_nothing() -> None:
    assert zmalloc.zfree_with_size(None, 0) is zmalloc.zfree_with_size(None, 2**64 - 1) is None


def test_a_resize_that_fails_leaves_the_size_to_free_with() -> None:
    block = zmalloc.Block(100)
    assert zmalloc.ztryrealloc(block, 2**62) is None
    with pytest.raises(ValueError, match="from 100 to "):
        zmalloc.zfree_with_size(block, 99)
    zmalloc.zfree_with_size(block, 100)


def test_zmalloc_good_size() -> None:
    for size in (0, 1, 24, 100, 4097, 1 << 20):
        good = zmalloc.zmalloc_good_size(size)
        assert size <= good <= zmalloc.Block(size).usable
        if os.environ["ZMALLOC_ALLOCATOR"] == "jemalloc" and not PREFIX:
            assert good == zmalloc.Block(size).usable
    assert zmalloc.zmalloc_good_size(2**63) == 0


def test_zmadvise_dontneed_drops_whole_pages() -> None:
    page = os.sysconf("SC_PAGESIZE")
    block = zmalloc.Block(64 * page)
    block[:] = b"x" * len(block)
    zmalloc.zmadvise_dontneed(block)
    kept = bytes(block).count(b"x")
    assert kept < 2 * page
    assert bytes(block).count(0) == len(block) - kept


def test_zstrdup() -> None:
    assert bytes(zmalloc.zstrdup("grüß")) == "grüß".encode() + b"\0"
    assert bytes(zmalloc.zstrdup(b"\xff\xfe")) == b"\xff\xfe\0"
    assert bytes(zmalloc.zstrdup("")) == b"\0"
    assert zmalloc.zstrdup(None) is None


def test_it_says_what_it_is() -> None:
    block = zmalloc.Block(size=10)
    assert repr(block) == "<zmalloc.Block, 10 bytes>"
    block.close()
    assert repr(block) == "<zmalloc.Block, closed>"
    assert zmalloc.Block.__module__ == "zmalloc"


@pytest.mark.parametrize("use", [copy.copy, copy.deepcopy, pickle.dumps])
def test_it_is_not_copied(use: object) -> None:
    with pytest.raises(TypeError, match=r"take bytes\(block\)"):
        use(zmalloc.Block(10))


def test_it_is_equal_to_what_holds_the_same_bytes() -> None:
    block, other = zmalloc.Block(5), zmalloc.Block(5)
    block[:] = other[:] = b"hello"
    for same in (block, other, b"hello", bytearray(b"hello"), memoryview(b"hello"), array.array("B", b"hello")):
        assert block == same
        assert same == block
        assert not block != same
    for different in (b"hell", b"hello!", b"Hello", zmalloc.Block(5), "hello", 5, None, object()):
        assert block != different
        assert different != block
        assert not block == different
    with pytest.raises(TypeError):
        hash(block)
    with pytest.raises(TypeError):
        assert block < other


def test_a_closed_block_is_equal_to_itself_alone() -> None:
    block, other = zmalloc.Block(0), zmalloc.Block(0)
    assert block == other == b""
    block.close()
    other.close()
    assert block == block
    assert block != other
    assert block != b""
    assert b"" != block
    assert zmalloc.Block(0) != block


def test_comparing_does_not_lend_it_for_good() -> None:
    block = zmalloc.Block(100)
    assert block == zmalloc.Block(100)
    assert block == memoryview(block)
    block.close()


def test_weak_references() -> None:
    gone = []
    block = zmalloc.Block(1000)
    reference = weakref.ref(block, gone.append)
    by_name = weakref.WeakValueDictionary(block=block)
    assert reference() is by_name["block"] is block
    used = zmalloc.used_memory()
    del block
    assert reference() is None
    assert gone == [reference]
    assert "block" not in by_name
    assert zmalloc.used_memory() < used


def test_a_file_and_a_socket_read_into_it() -> None:
    block = zmalloc.Block(10)
    with Path(__file__).open("rb") as file:
        assert file.readinto(block) == 10
    assert block == Path(__file__).read_bytes()[:10]
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.send(b"01234")
        assert ours.recv_into(memoryview(block)[5:]) == 5
        assert theirs.sendall(block) is None
        assert ours.recv(100) == bytes(block)
    assert block[5:] == b"01234"
    block.close()


def test_it_has_no_children() -> None:
    with pytest.raises(TypeError):
        type("Child", (zmalloc.Block,), {})
