"""`epimc plan`: the counting rules, and their totals on known networks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from epimc.backends.crossbar.instructions.layers import mvm_layers
from epimc.backends.crossbar.instructions.mvm import Mvm
from epimc.backends.crossbar.kernels.bit_serial import bit_serial
from epimc.backends.crossbar.lower import counting
from epimc.backends.crossbar.lower.counting import Geometry, Matrix
from epimc.backends.crossbar.sim.counters import Counters
from epimc.backends.crossbar.sim.simulator import Simulator
from epimc.bundle.bundle import read_bundle
from epimc.cli.main import main
from epimc.compiler.compiler import compile_model
from epimc.compiler.options import PlanRequest, Request
from epimc.compiler.planning import plan_model
from tests.crossbars import counts_of, program_in
from tests.helpers.grouped_networks import GROUPED_NETWORKS

EXAMPLES = Path(__file__).parents[2] / "examples"
PAPER = Geometry(256, 256, 1, "twos_complement")


def resnet(blocks: tuple[int, ...]) -> list[Matrix]:
    """The layers of a bottleneck ResNet, from the published table (arXiv 1512.03385, table 1)."""
    layers, channels = [Matrix(64, 3, 49)], 64
    for count, width in zip(blocks, (64, 128, 256, 512), strict=True):
        for block in range(count):
            layers += [Matrix(width, channels, 1), Matrix(width, width, 9)]
            layers.append(Matrix(4 * width, width, 1))
            if block == 0:
                layers.append(Matrix(4 * width, channels, 1))
            channels = 4 * width
    return [*layers, Matrix(1000, 2048, 1)]


@pytest.mark.parametrize(
    ("blocks", "packed", "mnsim"), [((3, 4, 6, 3), 13120, 13888), ((3, 4, 23, 3), 22912, None)]
)
def test_the_papers_baselines(blocks: tuple[int, ...], packed: int, mnsim: int | None) -> None:
    layers = resnet(blocks)
    assert sum(counting.packed(layer, 32, PAPER) for layer in layers) == packed
    if mnsim is not None:
        assert sum(counting.mnsim(layer, 32, PAPER) for layer in layers) == mnsim


def test_a_kernel_larger_than_the_array_is_cut_at_plain_rows() -> None:
    assert counting.row_blocks(Matrix(1, 4, 49), Geometry(32, 32, 1, "offset")) == 7


@pytest.mark.parametrize(
    ("matrix", "bits", "packed", "mnsim", "mapped"),
    [
        # Depthwise 3x3: 28 kernels of 9 rows fit into 256, and 32 x 8 columns.
        (Matrix(1, 1, 9, 960), 8, 35, 280, 35),
        # 32 bits: 8 x 32 columns fill the array; 32 slices, each of 28 groups an array.
        (Matrix(1, 1, 9, 32), 32, 4, 64, 4),
        # ResNeXt's 32 x 4d: 36 rows and 4 x 8 columns a group, 7 in an array.
        (Matrix(4, 4, 9, 32), 8, 5, 40, 5),
        # A group of 288 rows is cut: 28 channels, then 4.
        (Matrix(16, 32, 9, 4), 8, 8, 64, 8),
        # With its slices, a group has more columns than an array, without them it has not.
        (Matrix(40, 2, 9, 3), 8, 6, 8, 6),
    ],
)
def test_groups_share_arrays(
    matrix: Matrix, bits: int, packed: int, mnsim: int, mapped: int
) -> None:
    assert counting.packed(matrix, bits, PAPER) == packed
    assert counting.mnsim(matrix, bits, PAPER) == mnsim
    assert counting.mapped(matrix, bits, PAPER) == mapped


def test_a_reference_column_is_one_a_pack() -> None:
    matrix = Matrix(2, 1, 4, 10)
    # 32 columns hold two groups of 2 x 8 slices, but not with a reference column.
    assert counting.pack_groups(matrix, 8, Geometry(32, 32, 1, "twos_complement")) == 2
    assert counting.pack_groups(matrix, 8, Geometry(32, 32, 1, "offset")) == 1
    assert counting.pack_groups(matrix, 8, Geometry(32, 33, 1, "offset")) == 2


def test_signs_cost_cells() -> None:
    matrix = Matrix(32, 28, 9)
    assert counting.packed(matrix, 8, PAPER) == 1
    assert counting.mapped(matrix, 8, PAPER) == 1
    assert counting.mapped(matrix, 8, Geometry(256, 256, 1, "offset")) == 2
    assert counting.mapped(matrix, 8, Geometry(256, 256, 1, "differential")) == 2


@pytest.mark.parametrize(
    ("net", "target", "epitome"),
    [
        ("resnet8", "epim-256", "none"),
        ("resnet8", "epim-256", "uniform:72x8"),
        ("resnet8", "tiny", "uniform:256x32"),
        *(
            (net, target, "uniform:18x4")
            for net in GROUPED_NETWORKS
            for target in ("epim-256", "tiny")
        ),
    ],
)
def test_the_plan_is_what_compiling_gives(
    tmp_path: Path, net: str, target: str, epitome: str
) -> None:
    model = EXAMPLES / "fashion-resnet8.onnx" if net == "resnet8" else tmp_path / "net.onnx"
    if net in GROUPED_NETWORKS:
        GROUPED_NETWORKS[net](model)
    summary = counts_of(plan_model(PlanRequest(model, epitome=epitome, target=target)))
    bundle = tmp_path / "bundle"
    arguments = ["compile", str(model), "-o", str(bundle), "--target", target]
    if net == "resnet8":
        arguments += ["--calibration", str(EXAMPLES / "fashion-calibration.npz")]
        arguments += ["--effort", "fast"]
    assert main([*arguments, "--epitome", epitome]) == 0
    program = program_in(read_bundle(bundle))
    tables = [table for table in program.tables if isinstance(table, Mvm)]
    assert summary.mapped_crossbars == sum(len(table.arrays) for table in tables)
    layers = {table.weights_name: table for table in tables}
    assert summary.rounds == sum(len(table.rounds) for table in layers.values())
    assert summary.epitome_weights == sum(table.weights.size for table in layers.values())
    reads = sum(
        len(bit_serial(table, 8, 0, program.chip).reads[number])
        for table in tables
        for number in range(len(table.rounds))
    )
    assert reads == sum(layer.reads_per_position for layer in summary.layers)


@pytest.mark.parametrize("epitome", ["none", "uniform:256x32", "uniform:144x16"])
@pytest.mark.parametrize("target", ["epim-256", "tiny"])
@pytest.mark.parametrize(
    ("data", "model"), [("mnist", "mnist-conv"), ("fashion", "fashion-resnet8")]
)
def test_the_plan_is_what_executing_counts(
    data: str, model: str, target: str, epitome: str
) -> None:
    samples = EXAMPLES / f"{data}-calibration.npz"
    path = EXAMPLES / f"{model}.onnx"
    # How the numbers are chosen, nothing that is counted depends on.
    request = Request(path, target=target, calibration=samples, epitome=epitome, effort="fast")
    check_counts(request)


@pytest.mark.parametrize("epitome", ["none", "uniform:18x4"])
@pytest.mark.parametrize("target", ["epim-256", "tiny"])
@pytest.mark.parametrize("net", GROUPED_NETWORKS)
def test_the_plan_is_what_executing_counts_of_groups(
    tmp_path: Path, net: str, target: str, epitome: str
) -> None:
    GROUPED_NETWORKS[net](tmp_path / "net.onnx")
    check_counts(Request(tmp_path / "net.onnx", target=target, epitome=epitome))


def check_counts(request: Request) -> None:
    """Rounds and reads of every layer, planned and counted by the simulator."""
    program = program_in(compile_model(request))
    counters = Counters(program)
    inputs = {port.name: np.zeros((1, *(port.shape or ())), np.float32) for port in program.inputs}
    Simulator(program).run(inputs, [counters])
    counted = counters.layers()
    wanted = PlanRequest(request.model, epitome=request.epitome, target=request.target)
    summary = counts_of(plan_model(wanted))
    for layer, index in zip(summary.layers, mvm_layers(program), strict=True):
        actual = counted[index]
        assert actual.rounds == layer.rounds * layer.positions
        assert actual.array_reads == layer.array_reads
    assert counters.total().array_reads == summary.array_reads


def test_plan_command(capsys: pytest.CaptureFixture[str]) -> None:
    model = str(EXAMPLES / "mnist-conv.onnx")
    assert main(["plan", model, "--epitome", "uniform:64x8", "--weight-bits", "3", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["baseline_crossbars"] == sum(x["baseline_crossbars"] for x in summary["layers"])
    assert summary["compression"] == summary["baseline_crossbars"] / summary["crossbars"]
    assert [layer["weights_shape"] for layer in summary["layers"]] == [
        [8, 1, 5, 5],
        [16, 8, 5, 5],
        [10, 256, 1, 1],
    ]
    assert main(["plan", model]) == 0
    printed = capsys.readouterr().out
    assert all(len(line) <= 100 for line in printed.splitlines())
    assert "rule packed: 5 crossbars in FP32, 3 now: 1.67x fewer" in printed


def test_unknown_policy(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(EXAMPLES / "mnist-conv.onnx"), "--epitome", "best"]) == 2
    assert capsys.readouterr().err == (
        "error: Wrong policy: there is no policy 'best' (known: none, uniform:RxC).\n"
    )


def test_a_model_without_layers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entries = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ("N", 3)) for name in "xy"]
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])], "g", entries[:1], entries[1:]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "m.onnx")
    assert main(["plan", str(tmp_path / "m.onnx")]) == 0
    assert capsys.readouterr().out == (
        "m.onnx on epim-256, epitome none, W8A8:\n"
        "  no layer has constant weights: it takes no crossbars\n"
        "  on the chip: 1 of 1 node, 100.0 % of the bytes\n"
    )
    assert main(["plan", str(tmp_path / "m.onnx"), "--json"]) == 0
    counts = json.loads(capsys.readouterr().out)
    assert (counts["crossbars"], counts["compression"], counts["layers"]) == (0, None, [])
