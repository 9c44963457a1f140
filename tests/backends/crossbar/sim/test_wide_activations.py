"""Activations of more than 8 bits: the width of an element is a parameter everywhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from epimc.backends.crossbar.bundle.tables import read_tables, write_tables
from epimc.backends.crossbar.check.checker import check
from epimc.backends.crossbar.core.program import ElementName, FeatureMap, Port, Program
from epimc.backends.crossbar.instructions.moves import Concat, Constant, Pad
from epimc.backends.crossbar.instructions.pool import Pool
from epimc.backends.crossbar.instructions.vector import Lookup
from epimc.backends.crossbar.sim.simulator import Simulator
from epimc.ir.semantics import windows
from epimc.support.diagnostics import render
from tests.backends.crossbar.bundle.test_tables import same
from tests.backends.crossbar.programs import (
    CHIP,
    Writer,
    identity,
    mvm,
    random_weights,
    requantize,
)
from tests.backends.crossbar.sim.test_simulator import random_inputs, reference

pytestmark = pytest.mark.smoke


def wide_program(bits: int) -> Program:
    """A convolution, a maximum, a look-up, a constant behind it and a pad, all of `bits` bits."""
    highest = 2**bits - 1
    maps = [
        FeatureMap("x", (3, 4, 4), "u16", bits, 300, 0, scale=0.5),
        FeatureMap("acc", (2, 4, 4), "i64"),
        FeatureMap("h", (2, 4, 4), "u16", bits, 200, scale=0.25),
        FeatureMap("max", (2, 2, 2), "u16", bits, 200, scale=0.25),
        FeatureMap("bent", (2, 2, 2), "u16", bits, 200, scale=0.25),
        FeatureMap("fixed", (1, 2, 2), "u16", bits, 200, scale=0.25),
        FeatureMap("joined", (3, 2, 2), "u16", bits, 200, scale=0.25),
        FeatureMap("y", (3, 3, 3), "u16", bits, 200, 256, scale=0.25),
    ]
    random = np.random.default_rng(3)
    window = windows.Window((3, 3), (1, 1), (1, 1, 1, 1))
    tables = [
        mvm(0, 0, 1, window, random_weights((27, 2)), identity(3, 9, 2), np.array([4, -5])),
        replace(requantize((1,), 2, [0.05], [2**24], 2), high=highest),
        Pool("max", 2, 3, windows.Window((2, 2), (2, 2))),
        Lookup(3, 4, random.integers(0, 2**bits, (1, 2**bits))),
        Constant(5, random.integers(0, 2**bits, (1, 2, 2))),
        Concat((4, 5), 6),
        Pad(6, 7, (0, 0), (1, 0, 0, 1)),
    ]
    tile = Writer(maps, list(tables))
    tile.load(0, 3)
    for number, opcode in enumerate(("mvm", "requantize", "pool", "lookup", "constant", "concat")):
        tile.compute(opcode, number, 0)
    tile.compute("pad", 6, 0, lambda row: tile.store(7, row))
    ports = (Port("x", (3, 4, 4), 0, 0.5),), (Port("y", (3, 3, 3), 7, 0.25),)
    chip = replace(CHIP, adc_bits=12)
    return Program(chip, tuple(maps), tuple(tables), *ports, (tile.finish(7),))


@pytest.mark.parametrize("bits", [9, 12])
@pytest.mark.parametrize("path", ["fused", "bit-serial"])
def test_they_are_simulated_exactly(bits: int, path: str) -> None:
    program = wide_program(bits)
    assert check(program) == []
    inputs = {name: x * 2.0 ** (bits - 4) for name, x in random_inputs(program, 3).items()}
    inputs = {name: x.astype(np.float32) for name, x in inputs.items()}
    expected = reference(program, inputs)
    _, maps = Simulator(program, path=path).run_collect(inputs)
    assert maps["h"].max() > 255
    assert all(np.array_equal(maps[name], expected[name]) for name in maps)


def test_they_come_back_from_a_bundle() -> None:
    program = wide_program(12)
    contents = read_tables(write_tables(program), "out")
    assert same(contents.tables, program.tables)
    assert contents.maps == program.maps


@pytest.mark.parametrize(("element", "bits"), [("u16", 8), ("u8", 9), ("u16", 17), ("u8", 0)])
def test_one_element_type_for_each_width(element: ElementName, bits: int) -> None:
    program = wide_program(12)
    changed = replace(program.maps[3], element=element, bits=bits)
    maps = (*program.maps[:3], changed, *program.maps[4:])
    complaints = check(replace(program, maps=maps))
    message = f"Activations of {bits} bits in {element}."
    assert any(message in render(complaint) for complaint in complaints)
