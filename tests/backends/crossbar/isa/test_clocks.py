"""What tiles can know of each other, and which rows and signals that makes superfluous."""

from __future__ import annotations

import pytest

from epimc.backends.crossbar.check.order import Order
from epimc.backends.crossbar.core.program import FeatureMap, Instruction
from epimc.backends.crossbar.isa.buffers import BufferTags
from epimc.backends.crossbar.isa.clocks import VectorClocks
from epimc.backends.crossbar.lower.semaphores import Semaphores, without_idle_signals

pytestmark = pytest.mark.smoke


def test_a_tile_learns_of_a_third_one_by_way_of_a_second() -> None:
    clocks = VectorClocks(3)
    clocks.set(0, 5)
    assert clocks.known(1, 0) == 0
    published = clocks.all_known(0)
    clocks.set(0, 9)
    clocks.learn(1, published)
    clocks.meet(1, 2)
    assert [clocks.known(tile, 0) for tile in range(3)] == [9, 5, 5]


def test_only_watched_tiles_are_kept_account_of() -> None:
    clocks = VectorClocks(3, [1, 1])
    clocks.set(0, 9)
    clocks.set(1, 4)
    clocks.meet(0, 1)
    clocks.learn(2, clocks.all_known(0))
    assert clocks.all_known(2).tolist() == [4]
    assert clocks.known(2, 1) == 4


def test_one_wait_makes_those_for_earlier_rows_superfluous() -> None:
    clocks = VectorClocks(2)
    semaphores = Semaphores([7, 4], clocks)
    for row in range(3):
        clocks.set(0, row + 1)
        assert semaphores.publish(0, 4, [row], row + 1)
    assert not semaphores.publish(0, 5, [0], 1)
    assert semaphores.wait(1, 4, 1) == (1, 2)
    assert semaphores.wait(1, 4, 0) is None
    assert semaphores.wait(1, 4, 2) == (1, 3)
    assert semaphores.wait(1, 5, 0) is None


def test_signals_without_a_waiter_are_left_out() -> None:
    signals = [Instruction("signal", (number,)) for number in (0, 1)]
    wait = Instruction("wait", (1, 1))
    assert without_idle_signals([signals, [wait]]) == [signals[1:], [wait]]


def test_a_row_lies_in_a_buffer_until_a_part_of_it_is_overwritten() -> None:
    maps = [FeatureMap(name, (1, 4, 16), "u8") for name in "ab"]
    buffers = BufferTags(maps, 2)
    assert buffers.bring(0, 16, (0, 1))
    assert not buffers.bring(0, 16, (0, 1))
    # Another tile, another map, another row.
    assert buffers.bring(1, 16, (0, 1))
    assert buffers.bring(1, 16, (1, 1))
    assert buffers.bring(1, 16, (1, 2))
    assert buffers.bring(0, 24, (1, 3))
    assert buffers.bring(0, 16, (0, 1))


def test_rows_of_several_sizes_share_a_buffer_of_any_size() -> None:
    maps = [FeatureMap(name, (1, 9, width), "u8") for name, width in (("a", 16), ("b", 64))]
    buffers, top = BufferTags(maps, 1), 2**30
    # Four rows of 16 bytes in the place of one of 64.
    assert buffers.bring(0, top, (1, 0))
    assert all(buffers.bring(0, top + 16 * row, (0, row)) for row in range(4))
    assert not any(buffers.bring(0, top + 16 * row, (0, row)) for row in range(4))
    # It overwrites the last two of them, and the end of the one before.
    assert buffers.bring(0, top + 24, (1, 1))
    assert not buffers.bring(0, top, (0, 0))
    assert not buffers.bring(0, top + 24, (1, 1))
    assert buffers.bring(0, top + 16, (0, 1))
    assert buffers.bring(0, top + 48, (0, 3))
    assert buffers.bring(0, top + 24, (1, 1))


def test_the_first_wait_that_tells_of_a_store_is_the_needed_one() -> None:
    order = Order(2)
    for time in (1, 3):
        order.tick(0, time)
        order.store(0)
        order.tick(0, time + 1)
        assert order.signal(0, 0)
    assert not order.signal(0, 0)
    assert not order.knows(1, 0, 1)
    assert order.wait(1, 0, 1, "first") == []
    assert order.knows(1, 0, 1)
    assert order.need(1, 0, 1) is None
    assert order.idle() == []
    assert order.wait(1, 0, 2, "second") == []
    assert order.wait(1, 0, 2, "third") == ["second"]
    assert order.idle() == ["third"]


def test_a_wait_for_more_than_is_needed() -> None:
    order = Order(2)
    for time in (1, 3):
        order.tick(0, time)
        order.store(0)
        order.signal(0, 0)
    order.wait(1, 0, 2, "there")
    # The store at time 1 was told of by the first signal already.
    assert order.need(1, 0, 1) == "there"
    assert order.idle() == []
