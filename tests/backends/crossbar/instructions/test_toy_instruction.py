"""A new instruction is one class in one file: everything else learns of it by its registration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from epimc.backends.crossbar.check.checker import check
from epimc.backends.crossbar.core.counts import Counts
from epimc.backends.crossbar.core.program import FeatureMap, Port, Program
from epimc.backends.crossbar.instructions.registry import BY_CODE, BY_NAME, register, unregister
from epimc.backends.crossbar.instructions.table import Table
from epimc.backends.crossbar.isa.assembly import format_program, parse_program
from epimc.backends.crossbar.isa.binary import decode, encode
from epimc.backends.crossbar.isa.listing import list_program
from epimc.backends.crossbar.isa.page import isa_page
from epimc.backends.crossbar.proof import claims
from epimc.backends.crossbar.sim.counters import Counters
from epimc.backends.crossbar.sim.simulator import Simulator
from epimc.backends.onnx.graph import IntegerGraph, port
from epimc.bundle.bundle import read_bundle, write_bundle
from epimc.ir.core.levels import EPI
from epimc.ir.core.module import Module
from epimc.ir.core.op import Value
from epimc.ir.core.types import TensorType
from epimc.support.diagnostics import EpimcError, render
from epimc.verification.integer_reference import IntegerReference
from tests.backends.crossbar.bundle.test_tables import same
from tests.backends.crossbar.bundles import bundle_of
from tests.backends.crossbar.programs import CHIP, Writer
from tests.backends.crossbar.toy import Trail
from tests.crossbars import compiled_of, differences, program_in

pytestmark = pytest.mark.smoke


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    register(Trail)
    yield
    unregister(Trail)


def toy_program() -> Program:
    """One tile with nothing but the toy."""
    maps = [
        FeatureMap("x", (2, 4, 3), "u8", 8, 0, 0, scale=1.0),
        FeatureMap("y", (2, 4, 3), "u8", 8, 0, 32, scale=1.0),
    ]
    tables = [Trail(0, 1, np.array([1, 20], np.int64), 200)]
    tile = Writer(maps, list(tables))
    tile.load(0, 2)
    tile.compute("trail", 0, 1, lambda row: tile.store(1, row))
    ports = (Port("x", (2, 4, 3), 0, 1.0),), (Port("y", (2, 4, 3), 1, 1.0),)
    return Program(CHIP, tuple(maps), tuple(tables), *ports, (tile.finish(1),))


def changed(program: Program, **changes: object) -> Program:
    """The program with a changed table."""
    (table,) = program.tables_of(Table)
    return replace(program, tables=(replace(table, **changes),))


def test_it_is_assembled_and_encoded() -> None:
    streams = toy_program().streams
    text = format_program(streams)
    assert "trail table=0, rows=3:4, dst=0x10:1, src=[0x0:2]" in text
    assert parse_program(text, "toy.asm") == streams
    careless = text.replace("dst=0x10:1, src=[0x0:2]", "src=[ 0:2 ], dst=16:1")
    assert parse_program(careless, "toy.asm") == streams
    assert decode(encode(streams)) == streams


def test_it_lies_in_a_bundle(tmp_path: Path) -> None:
    program = toy_program()
    write_bundle(tmp_path / "out", bundle_of(program))
    assert same(program_in(read_bundle(tmp_path / "out")), program)
    text = (tmp_path / "out" / "tables.json").read_text(encoding="utf-8")
    assert '"steps": {"type": "int16", "shape": [2]}' in text


def test_a_bundle_with_it_is_refused_where_it_is_unknown(tmp_path: Path) -> None:
    write_bundle(tmp_path / "out", bundle_of(toy_program()))
    unregister(Trail)
    try:
        with pytest.raises(EpimcError, match="Unknown opcode 99"):
            read_bundle(tmp_path / "out")
    finally:
        register(Trail)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": np.array([1], np.int64)}, "error: Its steps must be [2]."),
        ({"steps": np.array([1, -1], np.int64)}, "error: A step is negative."),
        ({"highest": 256}, "error: 256 is no activation."),
        ({"source": 7}, "error: There is no map 7."),
    ],
)
def test_its_table_is_checked(changes: dict[str, object], message: str) -> None:
    assert check(toy_program()) == []
    complaints = check(changed(toy_program(), **changes))
    assert render(complaints[0]).splitlines()[0] == message


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("rows=3:4", "rows=3:5", "Rows 3:5 are no rows of 'y', which has 4."),
        ("src=[0x0:2]", "src=[0x0:1]", "The ring of 'x' differs from that used before."),
        ("load dst=0x8, src=0x8", "load dst=0x0, src=0x8", "It brings row 1 of 'x' to no slot"),
        ("table=0, rows=3:4", "table=1, rows=3:4", "There is no table 1."),
    ],
)
def test_its_instructions_are_checked(old: str, new: str, message: str) -> None:
    program = toy_program()
    text = format_program(program.streams)
    assert old in text
    streams = parse_program(text.replace(old, new, 1), "toy.asm")
    complaints = check(replace(program, streams=streams))
    assert any(message in render(complaint) for complaint in complaints), complaints


def test_it_is_simulated() -> None:
    x = np.random.default_rng(1).integers(0, 256, (5, 2, 4, 3))
    above = np.concatenate([np.zeros_like(x[:, :, :1]), x[:, :, :-1]], axis=2)
    expected = np.minimum(x + above // 2 + np.array([1, 20]).reshape(1, 2, 1, 1), 200)
    inputs = {"x": x.astype(np.float32)}
    for batch in (1, 2, 5):
        assert np.array_equal(Simulator(toy_program(), batch=batch).run(inputs)["y"], expected)


def reference_of(program: Program) -> onnx.ModelProto:
    """The graph of all that a program claims."""
    maps = [
        Value(target.name, TensorType(target.shape, f"u{target.bits}", target.scale))
        for target in program.maps
    ]
    graph = IntegerGraph(Module("toy", EPI, inputs=[(value.name, value) for value in maps]))
    graph.write(claims(program))
    model = graph.model().message()
    del model.graph.input[:]
    model.graph.input.extend(port(p.name, p.port_type) for p in program.inputs)
    model.graph.output.extend(port(p.name, p.port_type) for p in program.outputs)
    return model


def test_it_is_proved() -> None:
    """The reference is made of what the program claims, computes the same, and hides no fault."""
    program = toy_program()
    model = reference_of(program)
    reference = IntegerReference(
        model.SerializeToString(), "it", compiled_of(program), program.maps
    )
    assert reference.mismatches({}) == {}
    x = {"x": np.random.default_rng(2).integers(0, 256, (3, 2, 4, 3)).astype(np.float32)}
    outputs, maps = Simulator(program).run_collect(x)
    exact, integers = reference.run(["y", reference.tensors["y"]], x)
    assert np.array_equal(exact, outputs["y"])
    assert np.array_equal(integers, maps["y"])
    other = changed(program, steps=np.array([1, 21], np.int64))
    assert differences(reference.exported, other, {}) == {"%y/steps": 1}
    assert differences(reference.exported, changed(program, highest=199), {}) == {"%y/highest": 1}


def test_it_is_counted_and_listed() -> None:
    program = toy_program()
    counters = Counters(program)
    Simulator(program).run({"x": np.zeros((1, 2, 4, 3), np.float32)}, [counters])
    assert counters.maps[1] == Counts(
        instructions=4 + 4,
        multiply_adds=4 * 3 * 2,
        # The first row reads one row of 6 bytes, the others two; each is stored as well.
        buffer_read_bytes=(1 + 2 + 2 + 2) * 6 + 4 * 6,
        buffer_written_bytes=4 * 6,
        off_chip_written_bytes=4 * 6,
    )
    assert "; map 'y'" in list_program(program)


def test_it_is_documented() -> None:
    text = isa_page()
    assert "| `trail` | 99 | Adds to each activation a part of the one above it" in text
    assert "| `steps` | array of `int16` | [C]. |" in text
    assert "| `highest` | 0 to 65535 | The largest result. |" in text


def test_names_opcodes_and_ops_are_taken_once() -> None:
    with pytest.raises(ValueError, match=r"instruction 'trail' \(99\) meets 'trail'"):
        register(Trail)
    unregister(Trail)
    assert "trail" not in BY_NAME
    assert 99 not in BY_CODE
    register(Trail)
