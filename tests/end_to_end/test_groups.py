"""Convolutions in groups, from the IR to the program: every stage agrees with onnxruntime."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epimc.api import load
from epimc.backends.crossbar.check.checker import check
from epimc.backends.crossbar.core.program import Program
from epimc.backends.crossbar.instructions.mvm import Mvm
from epimc.backends.crossbar.instructions.vector import Add
from epimc.backends.crossbar.lower.allocate import Allocate
from epimc.backends.crossbar.lower.emit import emit
from epimc.backends.crossbar.lower.map import Map
from epimc.backends.crossbar.lower.place import Place
from epimc.backends.crossbar.lower.schedule import Schedule
from epimc.backends.crossbar.sim.simulator import Simulator
from epimc.backends.onnx.export import export_integers
from epimc.backends.onnx.reading import read_exported
from epimc.bundle.bundle import read_bundle
from epimc.cli.main import main
from epimc.ir.core.module import Module
from epimc.ir.core.op import dump_attributes
from epimc.ir.core.types import IrError
from epimc.ir.epitome import plan
from epimc.ir.epitome.plan import Patch
from epimc.ir.epitome.policies import repeated
from epimc.ir.interpreter import interpret
from epimc.ir.semantics import cells, quantization, windows
from epimc.ir.text.parser import read_module
from epimc.ir.text.printer import print_module, write_module
from epimc.ir.verifier import verify
from epimc.runtime.reference import Reference
from epimc.support.diagnostics import EpimcError
from tests.crossbars import differences, program_in
from tests.helpers.grouped_networks import GROUPED_NETWORKS
from tests.helpers.layers import Layer, inputs_of, layers, module_of


def compiled(module: Module) -> tuple[Module, Program]:
    """The module at level `allocated`, verified after every pass, and its program, checked."""
    for step in (Map(), Place(), Schedule(), Allocate()):
        module = step.run(module)
        verify(module)
    program = emit(module)
    assert check(program) == []
    return module, program


def mvm_tables(program: Program) -> list[Mvm]:
    """The tables of its crossbars."""
    return [table for table in program.tables if isinstance(table, Mvm)]


def mismatches(program: Program, module: Module) -> dict[str, int]:
    """What the program claims of the integer reference of a module that it is not."""
    data = export_integers(module).SerializeToString()
    return differences(read_exported(data, "it"), program, {})


def depthwise(channels: int, kernel: int = 3, bits: int = 8) -> Layer:
    """A depthwise layer that keeps the size of its map."""
    shape = (channels, 1, kernel, kernel)
    pad = kernel // 2
    window = windows.Window((kernel, kernel), (1, 1), (pad, pad, pad, pad))
    return Layer(shape, shape, plan.identity(shape), channels, bits, window, 11)


@settings(max_examples=80, deadline=None)
@given(
    layers(),
    st.sampled_from(cells.MAPPINGS),
    st.sampled_from([(8, 8), (16, 24), (32, 32)]),
    st.integers(1, 3),
    st.sampled_from([2, 3, 64]),
)
def test_every_stage_agrees(
    layer: Layer, mapping: str, size: tuple[int, int], cell_bits: int, crossbars: int
) -> None:
    rows, columns = size
    crossbar = {"rows": rows, "columns": columns, "cell_bits": cell_bits, "mapping": mapping}
    converters = {"adc_bits": 14}
    module = module_of(
        layer, crossbar=crossbar, converters=converters, tile={"crossbars": crossbars}
    )
    verify(module)
    x = inputs_of(module, 2, layer.seed)
    expected = Reference(export_integers(module).SerializeToString(), "r")
    (y,) = expected.run(["y"], x)
    assert np.array_equal(interpret(module, x)["y"], y)
    mapped, program = compiled(module)
    for path in ("fused", "bit-serial"):
        assert np.array_equal(Simulator(program, path=path).run(x)["y"], y)
    q = {"x": quantization.quantize_input(x["x"], 0.5, layer.zero_point, 8)}
    actual = interpret(mapped, q)["y"]
    assert np.array_equal(quantization.dequantize_output(actual.astype(np.int64), 0.5, 7), y)
    assert mismatches(program, module) == {}


def test_text_holds_groups_and_packs(tmp_path: Path) -> None:
    module = module_of(depthwise(5))
    mapped, _ = compiled(module)
    for grouped, line in ((module, "groups = 5"), (mapped, "pack = 3")):
        assert line in print_module(grouped)
        write_module(grouped, tmp_path / "m.epi")
        assert print_module(read_module(tmp_path / "m.epi")) == print_module(grouped)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"groups": 3}, "the weights take 6 input channels"),
        ({"pack": 0}, "there is no pack of 0 groups"),
        ({"pack": 9}, "there is no pack of 9 groups"),
        ({"pack": 2}, "the array at row 0, column 0 does not hold a whole pack"),
        (
            {"arrays": [[-1, 0, 27, 0, 13], [-1, 27, 27, 12, 13]]},
            "the array at row 27, column 12 does not hold a whole pack",
        ),
    ],
)
def test_wrong_groups_of_an_mvm(changes: dict[str, Any], message: str) -> None:
    mapped = Map().run(module_of(depthwise(8)))
    op = mapped.ops[0]
    mapped.ops[0] = type(op)(op.operands, op.output, op.location, dump_attributes(op) | changes)
    with pytest.raises(EpimcError) as caught:
        verify(mapped)
    assert message in str(caught.value).splitlines()[0]


def test_columns_that_do_not_divide_into_groups() -> None:
    patches = repeated((Patch(0, 3, 0, 4, 0, 0, 0, 0), Patch(3, 1, 0, 4, 0, 0, 0, 0)), 2, 4, 3)
    layer = Layer((8, 4, 1, 1), (6, 4, 1, 1), patches, 2, 8, windows.Window((1, 1)))
    mapped = Map().run(module_of(layer))
    op = mapped.ops[0]
    wrong = type(op)(op.operands, op.output, op.location, dump_attributes(op) | {"groups": 4})
    with pytest.raises(IrError) as caught:
        wrong.result_shape(lambda ref: mapped.tensors[ref.name].type)
    assert str(caught.value) == "6 columns do not divide into groups"


# --- packs ----------------------------------------------------------------------------------------


def test_groups_share_arrays_block_diagonally() -> None:
    # 32 rows hold three kernels of 9, 32 columns seven groups of 4 slices behind a reference.
    _, program = compiled(module_of(depthwise(8)))
    (table,) = mvm_tables(program)
    assert (table.groups, table.pack, table.weights.shape) == (8, 3, (72, 1))
    shapes = [(a.row, a.rows, a.column, a.columns) for a in table.arrays]
    assert shapes == [(0, 27, 0, 13), (27, 27, 13, 13), (54, 18, 26, 9)]
    (round_,) = table.rounds
    assert (round_.ifat, round_.ifrt) == (((0, 8),), ((0, 72),))
    assert [(e.column, e.count, e.destination) for e in round_.ofat] == [(0, 8, 0)]


def test_packs_on_several_tiles_are_added() -> None:
    _, program = compiled(module_of(depthwise(8), tile={"crossbars": 2}))
    assert [len(table.arrays) for table in mvm_tables(program)] == [2, 1]
    assert sum(isinstance(table, Add) for table in program.tables) == 1


def test_parts_with_other_packs_are_refused() -> None:
    # Without a reference column, the last two of 8 groups lie alike in packs of 3 and of 2.
    crossbar = {"mapping": "twos_complement"}
    module = module_of(depthwise(8, bits=7), crossbar=crossbar, tile={"crossbars": 2})
    _, program = compiled(module)
    first, second = mvm_tables(program)
    assert (first.pack, second.pack) == (3, 3)
    tables = tuple(replace(t, pack=2) if t is second else t for t in program.tables)
    assert [problem.message for problem in check(replace(program, tables=tables))] == [
        f"It is no part of the layer 'w' of table {program.tables.index(first)}."
    ]


def test_a_group_that_does_not_fit_is_cut() -> None:
    shape = (4, 5, 3, 3)
    layer = Layer(shape, shape, plan.identity(shape), 2, 8, windows.Window((3, 3)))
    _, program = compiled(module_of(layer))
    (table,) = mvm_tables(program)
    assert table.pack == 1
    shapes = [(a.row, a.rows, a.column, a.columns) for a in table.arrays]
    assert shapes == [(0, 27, 0, 9), (27, 18, 0, 9), (45, 27, 9, 9), (72, 18, 9, 9)]


def test_a_wide_depthwise_layer_needs_little_memory() -> None:
    module = module_of(depthwise(960), 7, 7, tile={"buffer_bytes": 2**18, "crossbars": 512})
    _, program = compiled(module)
    tracemalloc.start()
    try:
        assert check(program) == []
        Simulator(program, path="fused").run(inputs_of(module, 1))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # A dense matrix of 960 x 8640 int64 alone has 66 MB.
    assert peak < 24e6


# --- networks -------------------------------------------------------------------------------------


def compile_and_verify(folder: Path, net: str, *options: str) -> Program:
    """Compile with the command line, verify, and read the program."""
    model, bundle = folder / "net.onnx", folder / "bundle"
    GROUPED_NETWORKS[net](model)
    assert main(["compile", str(model), "-o", str(bundle), *options]) == 0
    assert main(["verify", str(bundle)]) == 0
    return program_in(read_bundle(bundle))


@pytest.mark.parametrize("target", ["epim-256", "tiny"])
@pytest.mark.parametrize("net", GROUPED_NETWORKS)
def test_networks(tmp_path: Path, net: str, target: str) -> None:
    program = compile_and_verify(tmp_path, net, "--target", target)
    assert max(table.pack for table in mvm_tables(program)) > 1
    x = np.random.default_rng(1).standard_normal((3, *program.chip_inputs[0].shape))
    inputs = {"x": x.astype(np.float32)}
    fused, serial = (Simulator(program, path=path).run(inputs) for path in ("fused", "bit-serial"))
    assert np.array_equal(fused["y"], serial["y"])
    (again,) = load(tmp_path / "bundle").run(None, inputs)
    assert np.array_equal(fused["y"], again)


def test_groups_with_epitomes(tmp_path: Path) -> None:
    program = compile_and_verify(tmp_path, "grouped", "--epitome", "uniform:18x4")
    tables = {table.weights_name: table for table in mvm_tables(program)}
    second = [table for table in tables.values() if table.groups == 4]
    # Of 4 x 6 outputs from 4 inputs each: 4 columns and 2 channels a group, in two rounds.
    assert [(t.weights.shape, len(t.rounds)) for t in second] == [((4 * 18, 4), 2)]
    assert second[0].rounds[0].ifat == ((0, 2), (4, 2), (8, 2), (12, 2))


def test_a_wrong_table_does_not_pass_the_proof() -> None:
    module = module_of(depthwise(4))
    _, program = compiled(module)
    (table,) = mvm_tables(program)
    wrong = replace(table, weights=np.roll(table.weights, 9, axis=0))
    tables = tuple(wrong if t is table else t for t in program.tables)
    assert mismatches(replace(program, tables=tables), module) == {"%acc/weight/0": 36}


def test_other_groups_do_not_pass_the_proof() -> None:
    module = module_of(depthwise(4))
    _, program = compiled(module)
    model = export_integers(module)
    (node,) = (node for node in model.graph.node if node.op_type == "ConvInteger")
    next(attribute for attribute in node.attribute if attribute.name == "group").i = 2
    exported = read_exported(model.SerializeToString(), "it")
    assert differences(exported, program, {}) == {"%acc/i32/0": 1}


def test_a_group_too_large_for_the_reference() -> None:
    shape = (2, 70000, 1, 1)
    layer = Layer(shape, shape, plan.identity(shape), 2, 8, windows.Window((1, 1)))
    with pytest.raises(EpimcError) as caught:
        export_integers(module_of(layer, 1, 1))
    assert str(caught.value).splitlines()[:2] == [
        "error: A group has more inputs than the integer reference can sum up.",
        "  --> node 'conv' (Conv)",
    ]
