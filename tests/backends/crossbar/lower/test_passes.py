"""The passes of the crossbar back end: what each promises, on random networks and chips."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from epimc.backends.base import DoesNotFitError
from epimc.backends.crossbar import dialect as xbar
from epimc.backends.crossbar.check.checker import check
from epimc.backends.crossbar.core.program import Program
from epimc.backends.crossbar.dialect import XbarOp
from epimc.backends.crossbar.lower.emit import emit
from epimc.backends.crossbar.lower.first_fit import (
    NEVER,
    BufferBlock,
    Load,
    busy_steps,
    first_fit,
)
from epimc.backends.crossbar.lower.liveness import Region
from epimc.backends.crossbar.lower.map import cut
from epimc.backends.crossbar.lower.rows import height, ring_rows, row_stride, rows_read
from epimc.backends.crossbar.sim.counters import Counters
from epimc.backends.crossbar.sim.simulator import Simulator
from epimc.backends.crossbar.target.schema import Target, load_target
from epimc.ir.core.module import Module
from epimc.ir.core.module_attributes import TARGET
from epimc.ir.core.op import Value
from epimc.ir.core.types import TensorType
from epimc.ir.dialects import moves, nn
from epimc.ir.semantics import cells, quantization
from epimc.support.diagnostics import EpimcError
from tests.backends.onnx.agreement import interpreted
from tests.helpers.modules import LOWERING, Net, lower, networks, quantized, unread
from tests.helpers.plans import Planned, plans

Array = NDArray[Any]


def chip(**changes: Any) -> dict[str, Any]:
    """`tiny` with some keys changed, named without their table."""
    described = load_target("tiny").to_dict()
    for table in described.values():
        if isinstance(table, dict):
            table.update({k: changes.pop(k) for k in tuple(changes) if k in table})
    assert not changes
    return described


@st.composite
def chips(draw: st.DrawFn) -> dict[str, Any]:
    """Small chips of all kinds, their ADCs without loss."""
    return chip(
        rows=draw(st.sampled_from([2, 5, 32])),
        columns=draw(st.sampled_from([3, 8, 32])),
        cell_bits=draw(st.integers(1, 4)),
        mapping=draw(st.sampled_from(cells.MAPPINGS)),
        dac_bits=draw(st.sampled_from([1, 2, 4])),
        adc_bits=16,
        crossbars=draw(st.sampled_from([1, 3, 64])),
        buffer_bytes=draw(st.sampled_from([24, 64, 128, 192, 384, 1024, 16384])),
    )


def bits_on(described: dict[str, Any], bits: int) -> int:
    """So many bits of a weight, or 2 where a chip has no weights of one."""
    return bits if cells.has_weights(described["crossbar"]["mapping"], bits) else 2


def fitting(module: Module, pipeline: str) -> Module:
    """The module after a pipeline; a network is passed over that has a window too large for it."""
    try:
        return lower(module, pipeline)
    except DoesNotFitError as problem:
        assert problem.nodes  # noqa: PT017
        assume(False)
        raise


# --- map ------------------------------------------------------------------------------------------


@given(
    st.tuples(*(st.integers(1, n) for n in (9, 9, 4, 4))),
    st.integers(2, 16),
    chips(),
)
def test_arrays_tile_the_epitome_matrix(
    epitome: tuple[int, int, int, int], bits: int, described: dict[str, Any]
) -> None:
    crossbar = Target.from_dict(described, "It").crossbar
    eo, ei, eh, ew = epitome
    arrays = cut(epitome, bits, crossbar)
    slices = len(cells.slice_coefficients(crossbar.mapping, bits, crossbar.cell_bits))
    reference = crossbar.mapping == "offset"
    covered = np.zeros((ei * eh * ew, eo * slices + reference), np.int64)
    for number, row, rows, column, columns in arrays:
        assert number == xbar.UNPLACED
        assert 1 <= rows <= crossbar.rows
        assert 1 <= columns <= crossbar.columns
        covered[row : row + rows, column : column + columns] += 1
        # Whole channels, where a channel fits.
        assert eh * ew > crossbar.rows or (row % (eh * ew) == 0 and rows % (eh * ew) == 0)
        # Columns are packed: a new array begins only where the last one is full.
        assert column % crossbar.columns == 0
    assert (covered == 1).all()


@given(plans(), chips(), st.integers(1, 16), st.integers(0, 99))
@settings(max_examples=40)
def test_mapped_epitomes_keep_their_meaning(
    planned: Planned, described: dict[str, Any], bits: int, seed: int
) -> None:
    bits = bits_on(described, bits)
    net = Net(seed, described)
    _, (_, cin, kh, kw), _ = planned
    y = net.epitome(net.input(cin, kh + 2, kw + 1), planned, pads=(1, 0, 1, 2))
    module = lower(net.module(y), f"calibrate,quantize{{weight_bits={bits}}}")
    inputs = interpreted(module, net.samples(3))
    for pipeline in ("map", "map,place"):
        agree(fitting(module, pipeline), inputs)


def agree(mapped: Module, known: dict[str, Array]) -> dict[str, Array]:
    """Hold all values of a mapped module to those of the quantized one, by name."""
    got = interpreted(mapped, {name: known[value.name] for name, value in mapped.inputs})
    common = got.keys() & known.keys()
    assert {value.name for _, value in mapped.outputs} <= common
    assert [name for name in common if not np.array_equal(got[name], known[name])] == []
    return got


def joined(count: int) -> Module:
    """A quantized module that puts a map behind itself so many times."""
    net = Net()
    x = net.input(1, 2, 2)
    return quantized(net.module(net.op(moves.Concat, *[x] * count)))


def test_as_many_sources_as_an_instruction_names_are_mapped() -> None:
    (concat,) = (op for op in lower(joined(255), "map").ops if op.name == "xbar.concat")
    assert len(concat.operands) == 255


def test_more_sources_than_an_instruction_names_are_refused() -> None:
    with pytest.raises(EpimcError) as caught:
        lower(joined(256), "map")
    diagnostic = caught.value.diagnostic
    assert diagnostic.message == (
        "nn.concat has 256 operands, and instruction 'concat' takes 255 at most."
    )
    assert diagnostic.where == "node 'concat0' (Op)"
    assert diagnostic.hint == "Split the operator in the model into several."


# --- place ----------------------------------------------------------------------------------------


@given(networks(target=chip(crossbars=3, rows=8, columns=8)))
@settings(max_examples=30)
def test_every_crossbar_holds_one_array(net: Net) -> None:
    module = lower(quantized(net.module(*unread(net.built)), 3), "map")
    placed = lower(module, "place")
    used: set[tuple[int, int]] = set()
    for op in placed.ops:
        assert isinstance(op, XbarOp)
        assert 0 <= op.tile < placed.attributes["tiles"]
        if isinstance(op, xbar.Mvm):
            for array in op.arrays:
                assert 0 <= array[0] < 3
                assert (op.tile, array[0]) not in used
                used.add((op.tile, array[0]))
    wanted = sum(len(op.arrays) for op in module.ops if isinstance(op, xbar.Mvm))
    assert len(used) == wanted
    assert placed.attributes["tiles"] == max((tile for tile, _ in used), default=0) + 1


def test_a_layer_that_exceeds_a_tile_is_added_up() -> None:
    net = Net(0, chip(crossbars=2, rows=4))
    module = quantized(net.module(net.conv(net.input(20, 3, 3), 3, (1, 1))))
    placed = lower(module, "map,place")
    assert [op.output.name for op in placed.ops] == [
        "conv0.acc.part0",
        "conv0.acc.part1",
        "conv0.acc.sum1",
        "conv0.acc.part2",
        "conv0.acc",
        "conv0",
    ]
    parts = [op for op in placed.ops if isinstance(op, xbar.Mvm)]
    assert [op.tile for op in parts] == [0, 1, 2]
    assert [op.bias is None for op in parts] == [True, True, False]
    assert [op.tile for op in placed.ops if isinstance(op, xbar.Add)] == [2, 2]
    assert placed.attributes["tiles"] == 3
    agree(placed, interpreted(module, net.samples(4)))


def test_a_layer_that_does_not_fit_into_the_rest_starts_a_tile() -> None:
    net = Net(0, chip(crossbars=3, rows=4))
    x = net.input(4, 3, 3)
    wide = net.conv(x, 8, (1, 1))
    deep = net.conv(wide, 2, (1, 1))
    placed = lower(quantized(net.module(net.conv(deep, 2, (1, 1))), 4), "map,place")
    parts = [op for op in placed.ops if isinstance(op, xbar.Mvm)]
    assert [(op.tile, [a[0] for a in op.arrays]) for op in parts] == [
        (0, [0]),
        (0, [1, 2]),
        (1, [0]),
    ]


def test_too_few_tiles() -> None:
    net = Net(0, chip(crossbars=1, rows=4, tiles=2))
    layer = net.conv(net.input(9, 3, 3), 1, (1, 1))
    with pytest.raises(EpimcError) as caught:
        lower(quantized(net.module(layer)), "map,place")
    assert str(caught.value) == (
        "error: The model needs 3 tiles, target 'tiny' has 2.\n"
        "  note: in pass 'place'\n"
        '  hint: Use fewer weight bits, a target with more tiles, or chip.tiles = "auto".'
    )


def crowded(**changes: Any) -> tuple[Net, Module]:
    """Three convolutions whose line buffers have room on a tile one by one, not together."""
    net = Net(0, chip(**changes))
    value = net.input(2, 6, 6)
    for _ in range(3):
        value = net.conv(value, 2, pads=(1, 1, 1, 1))
    return net, quantized(net.module(value), 4)


def test_layers_start_new_tiles_where_buffers_are_crowded() -> None:
    # 3 rows of 16 bytes and a row of 96 are 144, then that row and one of 16 are 112.
    net, module = crowded(buffer_bytes=208)
    placed = [op for op in lower(module, "map,place").ops if isinstance(op, XbarOp)]
    assert [(op.output.name, op.tile) for op in placed if isinstance(op, xbar.Mvm)] == [
        ("conv0.acc", 0),
        ("conv1.acc", 2),
        ("conv2.acc", 4),
    ]
    lowered = lower(module, LOWERING)
    assert not any(op.direct for op in lowered.ops if isinstance(op, XbarOp))
    assert executed_equals_interpreted(net, lowered)


def test_a_chip_of_few_tiles_keeps_its_crowded_ones() -> None:
    net, module = crowded(buffer_bytes=208, tiles=1)
    lowered = lower(module, LOWERING)
    ops = [op for op in lowered.ops if isinstance(op, XbarOp)]
    assert {op.tile for op in ops} == {0}
    assert any(op.direct for op in ops)
    assert executed_equals_interpreted(net, lowered)


def test_a_tile_with_room_for_all_is_not_left() -> None:
    _, module = crowded(buffer_bytes=1024)
    placed = lower(module, "map,place")
    assert {op.tile for op in placed.ops if isinstance(op, XbarOp)} == {0}


# --- schedule -------------------------------------------------------------------------------------


@given(networks(depth=9))
@settings(max_examples=40)
def test_every_row_is_computed_once_and_after_what_it_reads(net: Net) -> None:
    module = lower(quantized(net.module(*unread(net.built))), "map,place,schedule")
    steps: list[int] = []
    computed: dict[Value, tuple[int, ...]] = {}
    for op in module.ops:
        assert isinstance(op, XbarOp)
        assert len(op.order) == height(op.output)
        steps += op.order
        computed[op.output] = op.order
    assert sorted(steps) == list(range(len(steps)))
    for op in module.ops:
        assert isinstance(op, XbarOp)
        for y, step in enumerate(op.order):
            for k, operand in enumerate(op.operands):
                rows = rows_read(op, k, y) if operand in computed else []
                assert all(computed[operand][row] < step for row in rows)


def test_a_chain_streams_row_by_row() -> None:
    net = Net()
    x = net.input(2, 9, 9)
    first = net.relu(net.conv(x, 2, pads=(1, 1, 1, 1)))
    second = net.relu(net.conv(first, 2, pads=(1, 1, 1, 1)))
    module = lower(quantized(net.module(second)), LOWERING)
    rings = {op.output.name: op.ring for op in module.ops if isinstance(op, XbarOp)}
    assert {name: ring[1] for name, ring in rings.items() if ring} == {
        "conv0.acc": 1,
        "relu1": 3,
        "conv2.acc": 1,
        "relu3": 1,
    }


def test_a_network_deeper_than_the_recursion_limit() -> None:
    net = Net()
    value = net.input(1, 1, 1)
    for _ in range(700):
        value = net.relu(net.op(nn.MaxPool, value, kernel=(1, 1)))
    module = lower(quantized(net.module(value)), LOWERING)
    assert len(module.ops) == 1400
    assert check(emit(module)) == []


# --- allocate -------------------------------------------------------------------------------------


def row_lives(module: Module) -> Iterator[tuple[int, int, int, int, int, tuple[Any, ...]]]:
    """(tile, first byte, end, first step, last step, whose) of every row in every buffer.

    Written out from the meaning of the attributes, without the pass's own functions.
    """
    ops = [op for op in module.ops if isinstance(op, XbarOp)]
    homes = {op.output: op for op in ops}
    lives: dict[tuple[int, int, int, Value, int, Any], list[int]] = {}

    def live(
        tile: int, ring: tuple[int, ...], value: Value, row: int, reader: Any, *steps: int
    ) -> None:
        key = tile, ring[0], ring[1], value, row, reader
        lives.setdefault(key, []).extend(steps)

    for op in ops:
        assert op.ring is not None
        for y, step in enumerate(op.order):
            if op.direct:
                first, size = op.ring
                yield op.tile, first, first + size, step, step, (op.output.name, y, "window")
                continue
            live(op.tile, op.ring, op.output, y, None, step)
            for k, (operand, source) in enumerate(zip(op.operands, op.sources, strict=True)):
                home = homes.get(operand)
                for row in rows_read(op, k, y):
                    kept = home is not None and not home.spilled
                    # A kept row arrives when it is computed, for all readers; another when its
                    # reader first needs it, for that one alone.
                    since = [home.order[row]] if home is not None and kept else []
                    reader = None if kept else (op, k)
                    live(op.tile, source, operand, row, reader, step, *since)
    for (tile, address, rows, value, row, _), steps in lives.items():
        stride = row_stride(value)
        first = address + row % rows * stride
        yield tile, first, first + stride, min(steps), max(steps), (value.name, row, address)


def brute_force_overlaps(module: Module, capacity: int) -> list[str]:
    """Rows that lie in each other's place while both are needed, or outside the buffer."""
    planned = sorted(row_lives(module), key=lambda life: life[0])
    wrong = [f"{whose} ends at {end}" for _, _, end, _, _, whose in planned if end > capacity]
    for k, (tile, first, end, since, until, whose) in enumerate(planned):
        for other_tile, start, stop, begin, last, other in planned[k + 1 :]:
            apart = other_tile != tile or stop <= first or end <= start
            if not apart and begin <= until and since <= last:
                # One row may be read from one place by several.
                same = whose[:2] == other[:2] and first == start
                wrong += [] if same else [f"{whose} and {other} on tile {tile}"]
    return wrong


@given(st.data(), st.integers(3, 8))
@settings(max_examples=40)
def test_no_two_rows_share_a_place_while_both_are_needed(data: st.DataObject, bits: int) -> None:
    described = data.draw(chips())
    net = data.draw(networks(target=described, depth=9))
    module = quantized(net.module(*unread(net.built)), bits)
    lowered = fitting(module, LOWERING)
    assert brute_force_overlaps(lowered, described["tile"]["buffer_bytes"]) == []
    off_chip = sorted(off_chip_places(lowered))
    assert all(a[1] <= b[0] for a, b in pairwise(off_chip))


def off_chip_places(module: Module) -> Iterator[tuple[int, int]]:
    """(first byte, end) of everything off chip."""
    addresses = dict(
        zip((v for _, v in module.inputs), module.attributes["input_addresses"], strict=True)
    )
    for op in module.ops:
        assert isinstance(op, XbarOp)
        assert (op.off_chip >= 0) == (op.spilled or op.output in dict(module.outputs).values())
        if op.off_chip >= 0:
            addresses[op.output] = op.off_chip
    for value, address in addresses.items():
        yield address, address + height(value) * row_stride(value)


Spans = list[tuple[int, int]]

SPANS = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 8)).map(lambda drawn: (drawn[0], sum(drawn))),
    max_size=6,
)


def steps_in(spans: Spans) -> set[int]:
    """All steps of the spans, one by one."""
    return {step for first, last in spans for step in range(first, last + 1)}


@given(SPANS)
def test_the_steps_at_which_a_block_is_busy(spans: Spans) -> None:
    first, busy = busy_steps(spans)
    assert {first + k for k in range(busy.bit_length()) if busy >> k & 1} == steps_in(spans)
    assert first == min(steps_in(spans), default=NEVER)
    assert busy & 1 or not spans


@given(st.lists(st.tuples(st.integers(1, 5), SPANS), max_size=20))
def test_first_fit_finds_the_lowest_free_addresses(drawn: list[tuple[int, Spans]]) -> None:
    steps: dict[Region, set[int]] = {}
    blocks = []
    for number, (size, spans) in enumerate(drawn):
        region = Region(0, Value(str(number), TensorType((1,))))
        steps[region] = steps_in(spans)
        blocks.append(BufferBlock(region, 1, size * 8, *busy_steps(spans)))
    placed: list[tuple[BufferBlock, int]] = []
    for block, address in first_fit(blocks):
        together = [
            (start, start + other.size)
            for other, start in placed
            if steps[other.region] & steps[block.region]
        ]
        free = [
            candidate
            for candidate in (0, *(end for _, end in together))
            if all(candidate + block.size <= start or end <= candidate for start, end in together)
        ]
        assert address == min(free)
        placed.append((block, address))
    order = [block for block, _ in placed]
    assert order == sorted(blocks, key=lambda b: (min(steps[b.region], default=-1), -b.size))


@given(st.lists(st.tuples(st.integers(1, 5), SPANS), max_size=12), st.integers(0, 11))
def test_no_addresses_end_below_the_load(drawn: list[tuple[int, Spans]], gone: int) -> None:
    region = Region(0, Value("x", TensorType((1,))))
    blocks = [BufferBlock(region, 1, size * 8, *busy_steps(spans)) for size, spans in drawn]
    load = Load(blocks)
    for removed in blocks[gone:]:
        load.add(removed, -1)
    steps = [(size * 8, step) for size, spans in drawn[:gone] for step in steps_in(spans)]
    sums = [sum(size for size, other in steps if other == step) for _, step in steps]
    assert load.most == max(sums, default=0)
    ends = [address + block.size for block, address in first_fit(blocks[:gone])]
    assert load.most <= max(ends, default=0)


@given(
    st.dictionaries(
        st.integers(0, 20), st.tuples(st.integers(0, 15), st.integers(0, 6)), min_size=1
    )
)
def test_a_ring_keeps_rows_that_live_together_apart(drawn: dict[int, tuple[int, int]]) -> None:
    spans = {row: (first, first + more) for row, (first, more) in drawn.items()}
    size = ring_rows(spans)
    for row, (first, last) in spans.items():
        for other, (begin, end) in spans.items():
            if row != other and begin <= last and first <= end:
                assert row % size != other % size


def test_a_ring_of_rows_computed_in_order_is_as_small_as_can_be() -> None:
    spans = {0: (0, 2), 1: (1, 3), 2: (2, 4), 3: (3, 5), 4: (6, 6)}
    assert ring_rows(spans) == 3


def test_a_dilated_window_that_ends_in_padding() -> None:
    # Output rows read the input rows {0, 2}, {1} and {2}: row 2 comes before row 1.
    net = Net()
    x = net.input(1, 3, 3)
    y = net.conv(x, 1, (2, 1), dilations=(2, 1), pads=(0, 0, 2, 0))
    module = lower(quantized(net.module(y)), LOWERING)
    (first, *_) = module.ops
    assert isinstance(first, XbarOp)
    assert first.sources[0][1] == 3
    assert executed_equals_interpreted(net, module)


def executed_equals_interpreted(net: Net, lowered: Module) -> bool:
    """Emit, check and simulate a module; compare its outputs with the interpreter's."""
    program = emit(lowered)
    assert check(program) == []
    inputs = net.samples(3, seed=9)
    outputs = Simulator(program).run(inputs)
    known = {
        name: quantization.quantize_input(
            inputs[name], value.type.step, value.type.zero_point, value.type.bits
        )
        for name, value in lowered.inputs
    }
    got = interpreted(lowered, known)
    return all(
        np.array_equal(
            outputs[name],
            quantization.dequantize_output(got[value.name], value.type.step, value.type.zero_point),
        )
        for name, value in lowered.outputs
    )


def test_two_readers_of_an_input_load_it_once_where_they_can() -> None:
    # Both line buffers lie at address 0, one after the other: the row is there already.
    net = Net()
    x = net.input(1, 1, 1)
    module = lower(quantized(net.module(net.relu(x), net.relu(x))), LOWERING)
    program = emit(module)
    assert [i.opcode for i in program.streams[0]].count("load") == 1
    assert executed_equals_interpreted(net, module)


def late_reader(buffer_bytes: int) -> tuple[Net, Module]:
    """A value of 12 rows that a global pool reads, and then a convolution again."""
    net = Net(0, chip(buffer_bytes=buffer_bytes))
    kept = net.relu(net.conv(net.input(2, 12, 12), 2, (1, 1)))
    pooled = net.op(nn.AveragePool, kept, kernel=(12, 12))
    return net, quantized(net.module(pooled, net.conv(kept, 2, pads=(1, 1, 1, 1))), 4)


@pytest.mark.parametrize(("buffer_bytes", "spills"), [(512, []), (504, []), (496, ["relu1"])])
def test_a_value_is_spilled_where_the_buffer_is_too_small(
    buffer_bytes: int, spills: list[str]
) -> None:
    net, module = late_reader(buffer_bytes)
    lowered = lower(module, LOWERING)
    ops = [op for op in lowered.ops if isinstance(op, XbarOp)]
    assert [op.output.name for op in ops if op.spilled] == spills
    assert executed_equals_interpreted(net, lowered)


def test_ops_are_direct_where_line_buffers_do_not_fit() -> None:
    # A row has 24 bytes, its accumulators have 192: together they are more, and so are 12 rows.
    net, module = late_reader(200)
    lowered = lower(module, LOWERING)
    ops = [op for op in lowered.ops if isinstance(op, XbarOp)]
    assert [op.output.name for op in ops if op.direct] == [
        "conv0.acc",
        "relu1",
        "average_pool2.acc",
        "conv3.acc",
        "conv3",
    ]
    assert all(op.spilled for op in ops if op.direct)
    assert executed_equals_interpreted(net, lowered)


def transposed(buffer_bytes: int) -> tuple[Net, Module]:
    """A convolution of an image of 12 x 12 whose channels come last."""
    net = Net(0, chip(buffer_bytes=buffer_bytes))
    image = net.op(nn.Rearrange, net.input(12, 12, 3), perm=(2, 0, 1), shape=(3, 12, 12))
    return net, quantized(net.module(net.conv(image, 2, (1, 1))), 4)


def test_a_rearrangement_of_a_whole_map_needs_no_buffer_for_it() -> None:
    net, module = transposed(400)
    lowered = lower(module, LOWERING)
    ops = [op for op in lowered.ops if isinstance(op, XbarOp)]
    # It reads all 12 rows of 40 bytes for each of its own.
    assert [op.output.name for op in ops if op.direct] == ["rearrange0"]
    assert [op.output.name for op in ops if op.spilled] == ["rearrange0"]
    assert executed_equals_interpreted(net, lowered)
    program = emit(lowered)
    counters = Counters(program)
    Simulator(program).run(net.samples(1), [counters])
    (moved,) = (m for m, feature in enumerate(program.maps) if feature.name == "rearrange0")
    # Element by element: it reads no more than it writes.
    counts = counters.maps[moved]
    assert counts.off_chip_read_bytes == 3 * 12 * 12 + 12 * 36
    assert counts.off_chip_written_bytes == 3 * 12 * 12


def test_rows_longer_than_a_buffer() -> None:
    net = Net(0, chip(buffer_bytes=64))
    x = net.relu(net.conv(net.input(2, 3, 90), 2, pads=(1, 1, 1, 1)))
    module = quantized(net.module(net.conv(x, 1, (1, 1))), 4)
    lowered = lower(module, LOWERING)
    assert all(op.direct for op in lowered.ops if isinstance(op, XbarOp))
    assert executed_equals_interpreted(net, lowered)


def test_windows_that_exceed_a_buffer_are_all_named() -> None:
    net = Net(0, chip(buffer_bytes=128))
    x = net.relu(net.conv(net.input(16, 5, 5), 2))
    y = net.conv(net.relu(net.conv(x, 15, (1, 1))), 1)
    with pytest.raises(DoesNotFitError) as caught:
        lower(quantized(net.module(y), 4), LOWERING)
    assert str(caught.value) == (
        "error: 2 layers cannot have a single window in the buffer of a tile, which has 128 bytes "
        "on target 'tiny'.\n"
        "  note: node 'conv0' (Op): 144 bytes\n"
        "  note: node 'conv4' (Op): 136 bytes\n"
        "  note: in pass 'place'\n"
        "  hint: Use a target with a larger tile.buffer_bytes: 144 at least."
    )
    assert caught.value.nodes == (("Op", "conv0"), ("Op", "conv4"))


def test_the_sums_of_parts_exceed_a_buffer() -> None:
    net = Net(0, chip(crossbars=1, rows=4, buffer_bytes=8))
    with pytest.raises(DoesNotFitError) as caught:
        lower(quantized(net.module(net.conv(net.input(8, 1, 1), 1, (1, 1))), 4), LOWERING)
    assert caught.value.diagnostic.notes[0] == "node 'conv0' (Op): 16 bytes"


def test_a_smaller_buffer_than_that_for_which_a_module_was_placed() -> None:
    _, module = late_reader(200)
    placed = lower(module, "map,place,schedule")
    smaller = Target.from_dict(chip(buffer_bytes=8), "It")
    placed.attributes[TARGET] = smaller.to_dict()
    with pytest.raises(EpimcError) as caught:
        lower(placed, "allocate")
    diagnostic = caught.value.diagnostic
    assert diagnostic.message == "Tile 0 needs a buffer of 24 bytes, the target has 8."
    assert diagnostic.hint == "Use a larger tile.buffer_bytes."


def test_too_little_memory_off_chip() -> None:
    net = Net(0, chip(off_chip_bytes=4096))
    x = net.input(8, 30, 30)
    with pytest.raises(EpimcError) as caught:
        lower(quantized(net.module(net.relu(x))), LOWERING)
    assert str(caught.value) == (
        "error: One sample needs 14400 bytes off chip, target 'tiny' has 4096.\n"
        "  note: in pass 'allocate'\n"
        "  hint: Use a target with a larger memory.off_chip_bytes."
    )


# --- the whole way --------------------------------------------------------------------------------


@given(st.data(), st.integers(1, 16), st.integers(2, 16))
@settings(max_examples=40)
def test_programs_pass_the_checker_and_compute_the_same(
    data: st.DataObject, weight_bits: int, activation_bits: int
) -> None:
    described = data.draw(chips())
    weight_bits = bits_on(described, weight_bits)
    net = data.draw(networks(target=described, depth=9))
    module = quantized(net.module(*unread(net.built)), weight_bits, activation_bits)
    lowered = fitting(module, LOWERING)
    inputs = net.samples(3, seed=7, scale=1.3)
    known = interpreted(module, inputs)
    agree(lowered, known)
    program: Program = emit(lowered)
    assert check(program) == []
    outputs = Simulator(program).run(inputs)
    assert all(np.array_equal(outputs[name], known[value.name]) for name, value in module.outputs)


def test_a_module_that_is_not_allocated_has_no_program() -> None:
    net = Net()
    module = lower(quantized(net.module(net.relu(net.input(1, 1, 1)))), "map,place,schedule")
    with pytest.raises(EpimcError) as caught:
        emit(module)
    assert str(caught.value) == (
        "error: A program takes IR at level allocated, module 'net' is at level scheduled.\n"
        "  hint: Run the passes that lie between."
    )
