from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from epimc.backends.crossbar.check.checker import check
from epimc.backends.crossbar.core.program import FeatureMap, Program
from epimc.backends.crossbar.instructions.host import Enter, Host
from epimc.backends.crossbar.instructions.moves import Concat, Constant, Pad, Rearrange, Select
from epimc.backends.crossbar.instructions.mvm import Mvm
from epimc.backends.crossbar.instructions.pool import Pool
from epimc.backends.crossbar.instructions.vector import Add, Lookup, Multiply, Requantize
from epimc.backends.crossbar.isa.assembly import format_program, parse_program
from epimc.backends.crossbar.isa.execution import Observer
from epimc.backends.crossbar.sim.paths import PATHS
from epimc.backends.crossbar.sim.simulator import ENGINES, Simulator
from epimc.ir.semantics import arrays, convolution, quantization, requantization, windows
from epimc.support.diagnostics import EpimcError
from tests.backends.crossbar.programs import PROGRAMS, merged_weights, sum_and_mean


def reference(program: Program, inputs: dict[str, arrays.Floats]) -> dict[str, arrays.Ints]:
    """Every map, layer by layer over whole maps, from the weights themselves."""
    values: dict[int, arrays.Ints] = {}
    for port in program.chip_inputs:
        target = program.maps[port.map]
        q = quantization.quantize_input(
            inputs[port.name], port.scale, target.zero_point, target.bits
        )
        values[port.map] = q.reshape(len(q), target.channels, target.height, target.width)
    layers: dict[str, arrays.Ints] = {}
    for table in program.tables:
        maps = program.maps
        match table:
            case Mvm():
                source = maps[table.source]
                x = values[table.source]
                matrix = merged_weights(table, mask(table), source.channels)
                kernel = (len(matrix), source.channels // table.groups, *table.window.kernel)
                # Cells outside this part's arrays are masked out, which splits the layer.
                result = convolution.convolve(
                    x, matrix.reshape(kernel), table.bias, table.window, source.zero_point, 8
                )
                layers[table.weights_name] = layers.get(table.weights_name, 0) + result
            case Requantize():
                terms = [values[s] - maps[s].zero_point for s in table.sources]
                zero_point = maps[table.destination].zero_point
                result = requantization.requantize(
                    terms, table.multipliers, table.shifts, zero_point, table.low, table.high,
                    table.offsets,
                )  # fmt: skip
            case Pool(kind="max"):
                result = windows.max_pool(values[table.source], table.window)
            case Pool():
                zero_point = maps[table.source].zero_point
                result = windows.sum_pool(
                    values[table.source], table.window, zero_point, table.counted
                )
            case Select():
                taken = [
                    [first + k * step for first, count, step in runs for k in range(count)]
                    for runs in table.selection.runs
                ]
                result = values[table.source]
                for axis, numbers in enumerate(taken, 1):
                    result = np.take(result, numbers, axis)
            case Constant():
                result = np.repeat(table.values[None], len(values[0]), axis=0)
            case Host():
                reals = [real(maps[s], values[s]) for s in table.sources]
                host = sum_and_mean(table.fragment, reals, len(values[0]))
                result = np.ones((len(values[0]), 1, 1, 1), np.int64)
            case Enter():
                feature = maps[table.destination]
                result = quantization.quantize_input(
                    np.stack(host[table.value.result]),
                    feature.scale,
                    feature.zero_point,
                    feature.bits,
                )
            case Rearrange():
                moved = values[table.source].transpose(0, *(axis + 1 for axis in table.perm))
                result = moved.reshape(len(moved), *table.shape)
            case Add():
                result = values[table.sources[0]] + values[table.sources[1]]
            case Multiply():
                first, second = (values[s] - maps[s].zero_point for s in table.sources)
                result = first * second
            case Lookup():
                rows = np.broadcast_to(
                    table.values, (maps[table.source].channels, table.values.shape[1])
                )
                parts = [row[values[table.source][:, c]] for c, row in enumerate(rows)]
                result = np.stack(parts, axis=1)
            case Concat():
                result = np.concatenate([values[s] for s in table.sources], axis=table.axis + 1)
            case Pad():
                feature = maps[table.destination]
                shape = (len(values[table.source]), feature.channels, feature.height, feature.width)
                result = np.full(shape, feature.zero_point)
                source = maps[table.source]
                (c, _), (top, left) = table.channels, table.pads[:2]
                inside = np.s_[
                    :,
                    c : c + source.channels,
                    top : top + source.height,
                    left : left + source.width,
                ]
                result[inside] = values[table.source]
        values[table.destination] = result
    return {program.maps[i].name: value for i, value in values.items()}


def real(feature: FeatureMap, values: arrays.Ints) -> arrays.Floats:
    """What a map stands for."""
    return quantization.dequantize_output(values, feature.scale, feature.zero_point)


def mask(table: Mvm) -> arrays.Ints:
    """The weights of a part that holds whole rows, zero elsewhere."""
    weights = np.zeros_like(table.weights)
    for array in table.arrays:
        rows = slice(array.row, array.row + array.rows)
        weights[rows] = table.weights[rows]
    return weights


def random_inputs(program: Program, samples: int) -> dict[str, arrays.Floats]:
    random = np.random.default_rng(0)
    return {
        port.name: (random.standard_normal((samples, *(port.shape or ()))) * 40).astype(np.float32)
        for port in program.inputs
    }


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_every_map_is_the_layer_by_layer_one(name: str, path: str, engine: str) -> None:
    program = PROGRAMS[name]()
    inputs = random_inputs(program, 5)
    simulator = Simulator(program, path=path, batch=2, host=sum_and_mean, engine=engine)
    outputs, maps = simulator.run_collect(inputs)
    expected = reference(program, inputs)
    assert set(maps) == set(expected) - {port.name for port in program.inputs}
    for key, value in maps.items():
        assert np.array_equal(value, expected[key]), key
    for port in program.chip_outputs:
        feature = program.maps[port.map]
        wanted = real(feature, expected[feature.name])
        assert outputs[port.name].dtype == np.float32
        assert np.array_equal(outputs[port.name], wanted.reshape(5, *(port.shape or ())))
        assert len(np.unique(outputs[port.name])) > 2


def test_the_host_gives_outputs_as_they_are() -> None:
    program = PROGRAMS["host"]()
    inputs = random_inputs(program, 5)
    outputs = Simulator(program, batch=2, host=sum_and_mean).run(inputs)
    maps = {feature.name: feature for feature in program.maps}
    known = reference(program, inputs)
    wanted = real(maps["h"], known["h"]) + real(maps["x"], known["x"])
    np.testing.assert_array_equal(outputs["sum"], wanted)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", PROGRAMS)
def test_results_do_not_depend_on_the_batch(name: str, engine: str) -> None:
    program = PROGRAMS[name]()
    inputs = random_inputs(program, 7)
    results = [
        Simulator(program, batch=batch, host=sum_and_mean, engine=engine, threads=n).run(inputs)
        for batch, n in ((1, 1), (3, 2), (64, 3))
    ]
    for result in results[1:]:
        for key, value in result.items():
            assert np.array_equal(value, results[0][key])


def test_observers_see_rows_as_they_are_computed() -> None:
    program = PROGRAMS["conv"]()
    seen: list[tuple[str, int, tuple[int, ...]]] = []

    class Seeing(Observer):
        def computed(self, target: FeatureMap, first: int, rows: NDArray[Any]) -> None:
            seen.append((target.name, first, rows.shape))

    Simulator(program, engine="bytes").run(random_inputs(program, 2), [Seeing()])
    assert seen == [(n, y, (2, 4, 1, 6)) for y in range(5) for n in ("acc", "y")]


def test_several_rows_in_one_instruction() -> None:
    program = PROGRAMS["conv"]()
    text = format_program(program.streams)
    head, *lines = text.splitlines()
    loads = [f"load dst={24 * i}, src={24 * i}, bytes=24" for i in range(5)]
    stores = [f"store dst={600 + 24 * i}, src={1200 + 24 * i}, bytes=24" for i in range(5)]
    work = [
        "mvm table=0, rows=0:2, dst=128:5, src=[0:5]",
        "mvm table=0, rows=2:5, dst=128:5, src=[0:5]",
        "requantize table=1, rows=0:5, dst=1200:5, src=[128:5]",
    ]
    merged_text = "\n".join([head, lines[0], *loads, *work, *stores, "halt"])
    joined = replace(program, streams=parse_program(merged_text, "p.asm"))
    # Rows of 8-byte accumulators: the ring takes 5 * 192 bytes from 128 on.
    assert check(joined) == []
    inputs = random_inputs(program, 3)
    assert np.array_equal(Simulator(joined).run(inputs)["y"], Simulator(program).run(inputs)["y"])


def test_a_wrong_address_gives_wrong_data() -> None:
    program = PROGRAMS["conv"]()
    text = format_program(program.streams).replace("src=0x18, bytes=24", "src=0x19, bytes=24")
    wrong = replace(program, streams=parse_program(text, "p.asm"))
    inputs = random_inputs(program, 2)
    results = (Simulator(p, engine="bytes").run(inputs)["y"] for p in (wrong, program))
    assert not np.array_equal(*results)


def test_a_deadlock_is_reported() -> None:
    program = PROGRAMS["spill"]()
    text = format_program(program.streams).replace("wait sem=0, count=1", "wait sem=0, count=9")
    stuck = replace(program, streams=parse_program(text, "p.asm"))
    with pytest.raises(EpimcError) as caught:
        Simulator(stuck, engine="bytes").run(random_inputs(program, 1))
    assert str(caught.value) == (
        "error: The program is deadlocked.\n"
        "  note: tile 1, instruction 0: wait sem=0, count=9 waits."
    )


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "Input 'x' is missing."),
        ({"x": np.zeros((1, 4, 5, 6), np.float32), "xx": np.zeros(1, np.float32)},
         "The program has no input 'xx'.\n  hint: Did you mean 'x'?"),
        ({"x": np.zeros((2, 4, 5, 7), np.float32)},
         "Input 'x' has shape (2, 4, 5, 7), not (samples, 4, 5, 6)."),
        ({"x": np.zeros((), np.float32)}, "Input 'x' has shape (), not (samples, 4, 5, 6)."),
    ],
)  # fmt: skip
def test_wrong_inputs(inputs: dict[str, arrays.Floats], message: str) -> None:
    with pytest.raises(EpimcError) as caught:
        Simulator(PROGRAMS["conv"]()).run(inputs)
    assert str(caught.value) == f"error: {message}"


def test_wrong_options() -> None:
    program = PROGRAMS["conv"]()
    with pytest.raises(EpimcError) as caught:
        Simulator(program, path="fussed")
    assert str(caught.value) == (
        "error: Unknown simulation path 'fussed'.\n  hint: Did you mean 'fused'?"
    )
    with pytest.raises(EpimcError, match="The batch size must be at least 1, not 0"):
        Simulator(program, batch=0)
    with pytest.raises(EpimcError, match="The number of threads must be at least 1, not 0"):
        Simulator(program, threads=0)


def test_no_samples() -> None:
    program = PROGRAMS["conv"]()
    inputs = random_inputs(program, 0)
    outputs, maps = Simulator(program).run_collect(inputs)
    assert outputs["y"].shape == (0, 4, 5, 6)
    assert maps == {}


def test_a_program_with_host_calls_needs_a_host() -> None:
    with pytest.raises(EpimcError) as caught:
        Simulator(PROGRAMS["host"]())
    assert str(caught.value) == "error: The program calls the host for 'call', but has no host."


def test_maps_of_any_rank() -> None:
    """What the host computes may have more dims than a row tells apart."""
    program = PROGRAMS["host"]()
    maps = list(program.maps)
    for index in (2, 4):
        maps[index] = replace(maps[index], shape=(1, 2, 1, 3, 4))
    wide = replace(program, maps=tuple(maps))
    assert check(wide) == []
    assert [m.dims for m in wide.maps] == [m.dims for m in program.maps]
    seen: list[tuple[int, ...]] = []

    def host(name: str, operands: list[Any], samples: int) -> list[list[Any]]:
        seen.extend(operand.shape for operand in operands)
        return sum_and_mean(name, operands, samples)

    inputs = random_inputs(program, 2)
    outputs = Simulator(wide, host=host).run(inputs)
    assert np.array_equal(outputs["y"], Simulator(program, host=sum_and_mean).run(inputs)["y"])
    assert seen == [(2, 2, 3, 4), (2, 2, 3, 4)]
