"""What `verify` says of the loss: the epitomes' part, quantization's, and every layer's."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

import epimc
from epimc.backends.crossbar.core.program import FeatureMap
from epimc.backends.onnx.reading import read_exported
from epimc.bundle.bundle import read_bundle
from epimc.cli.main import main
from epimc.ir.core.module import Module
from epimc.ir.core.op import Value
from epimc.ir.dialects import epi
from epimc.ir.interpreter import interpret
from epimc.ir.semantics import quantization
from epimc.ir.text.parser import read_module
from epimc.support.diagnostics import EpimcError
from epimc.support.rendering import WIDTH
from epimc.support.results import onnx_nodes
from epimc.verification.layer_errors import LayerMeter, worst_first
from epimc.verification.measures import Loss, decibels
from epimc.verification.results import ComparedLayer, ComparedOutput, LayerLoss, VerifyResult
from epimc.verification.tallies import OutputTally
from epimc.verification.verify import verify
from tests.crossbars import program_in

EXAMPLES = Path(__file__).parents[2] / "examples"

Array = NDArray[Any]
Bundles = Callable[[str, str, int], Path]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    """The bundle of an example with epitomes by a policy and some bits of an activation."""

    @cache
    def make(model: str, policy: str, bits: int) -> Path:
        folder = tmp_path_factory.mktemp("bundle") / "out"
        data = EXAMPLES / f"{model.partition('-')[0]}-calibration.npz"
        epimc.compile(
            EXAMPLES / f"{model}.onnx",
            folder,
            calibration=data,
            epitome=policy,
            activation_bits=bits,
            # Layers that make up for the ones before them lose less together than alone.
            effort="fast",
        )
        return folder

    return make


def a_result(**changes: Any) -> VerifyResult:
    """A result that only matters where it is changed."""
    fields: dict[str, Any] = {
        "exact": True,
        "mismatches": 0,
        "samples": 1,
        "top1_agreement": None,
        "accuracy": None,
        "float_accuracy": None,
        "epitomized_accuracy": None,
        "identity_plans": False,
        "outputs": (),
        "layers": (),
        "parameters": {},
        "layer_errors": None,
    }
    return VerifyResult(**{**fields, **changes})


def sqnr(actual: Array, true: Array) -> float:
    """In dB, by the definition."""
    true = true.astype(np.float64)
    return float(10 * np.log10((true**2).sum() / ((actual.reshape(true.shape) - true) ** 2).sum()))


def samples_of(folder: Path) -> dict[str, Array]:
    """The samples kept in a bundle."""
    with np.load(folder / "reference" / "samples.npz") as file:
        return dict(file)


def dumped(folder: Path, name: str) -> Module:
    """The IR after a pass."""
    (path,) = (folder / "ir").glob(f"*-{name}.epi")
    return read_module(path)


def values(module: Module, inputs: dict[str, Array]) -> dict[str, Array]:
    """Every value of a module by name."""
    actual: dict[str, Array] = {}

    def observe(value: Value, array: Array) -> None:
        actual[value.name] = array

    interpret(module, inputs, observe)
    return actual


# --- three ways -----------------------------------------------------------------------------------


def test_the_loss_has_two_parts(bundles: Bundles) -> None:
    folder = bundles("fashion-resnet8", "uniform:256x32", 8)
    report = verify(read_bundle(folder))
    inputs = samples_of(folder)
    session = onnxruntime.InferenceSession(folder / "reference" / "float.onnx")
    (real,) = session.run(None, inputs)
    (epitomized,) = interpret(dumped(folder, "calibrate"), inputs).values()
    (integer,) = interpret(dumped(folder, "quantize"), inputs).values()
    (output,) = report.outputs
    assert report.exact
    assert not report.identity_plans
    assert output.epitome_sqnr_db == pytest.approx(sqnr(epitomized, real), abs=0.01)
    assert output.quantization_sqnr_db == pytest.approx(sqnr(integer, epitomized), abs=0.01)
    assert output.sqnr_db == pytest.approx(sqnr(integer, real), abs=0.01)


def test_identity_plans_lose_nothing(bundles: Bundles) -> None:
    report = verify(read_bundle(bundles("mnist-conv", "none", 8)))
    (output,) = report.outputs
    assert report.identity_plans
    # Nothing but the rounding of other kernels in float32.
    assert output.epitome_sqnr_db is None or output.epitome_sqnr_db >= 110
    assert output.quantization_sqnr_db == pytest.approx(output.sqnr_db, abs=0.01)
    assert "epitome" not in str(report)


def test_the_table_tells_both_parts(bundles: Bundles, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(bundles("mnist-conv", "uniform:64x8", 8))
    test = ["--input", str(EXAMPLES / "mnist-test.npz")]
    assert main(["verify", folder, *test]) == 0
    printed = capsys.readouterr().out
    assert "SQNR dB  epitomes dB  integers dB" in printed.splitlines()[0]
    assert "accuracy of the epitomized float model: " in printed
    assert main(["verify", folder, *test, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert 0 < data["epitomized_accuracy"] < data["float_accuracy"]
    assert data["identity_plans"] is False
    assert data["layer_errors"] is None
    (output,) = data["outputs"]
    assert output["epitome_sqnr_db"] < output["quantization_sqnr_db"]
    names = ("name", "mismatches", "sqnr_db", "cosine", "max_abs_error")
    assert set(output) == {*names, "epitome_sqnr_db", "quantization_sqnr_db"}


def test_a_bundle_without_the_epitomized_model(bundles: Bundles, tmp_path: Path) -> None:
    source = bundles("mnist-conv", "none", 8)
    folder = tmp_path / "out"
    shutil.copytree(source, folder)
    (folder / "reference" / "epi.onnx").unlink()
    with pytest.raises(EpimcError) as caught:
        verify(read_bundle(folder))
    assert str(caught.value) == (
        f"error: Bundle '{folder}' has no 'reference/epi.onnx': it cannot be verified.\n"
        "  hint: Compile the model again."
    )


# --- layers ---------------------------------------------------------------------------------------


def alone(module: Module, true: dict[str, Array], inputs: dict[str, Array]) -> dict[str, Array]:
    """What each kept value becomes when its layer is given true values, quantized: op by op."""
    actual: dict[str, Array] = {}
    given: dict[Value, Array] = {value: inputs[name] for name, value in module.inputs}
    for op in module.ops:
        if isinstance(op, epi.Dequantize):
            continue
        result = op.evaluate([given[x] for x in op.operands], module.tensor)
        kind = op.output.type
        if kind.is_activation and not isinstance(op, epi.Quantize):
            actual[op.output.name] = quantization.dequantize_output(
                result, kind.step, kind.zero_point
            )
            result = quantization.quantize_input(
                true[op.output.name], kind.step, kind.zero_point, kind.bits
            )
        given[op.output] = result
    return actual


@pytest.mark.parametrize(
    ("model", "policy", "bits"),
    [
        ("mnist-conv", "none", 8),
        ("mnist-conv", "uniform:64x8", 5),
        ("fashion-resnet8", "uniform:256x32", 8),
    ],
)
def test_layers_lose_what_the_interpreter_says(
    model: str, policy: str, bits: int, bundles: Bundles
) -> None:
    folder = bundles(model, policy, bits)
    inputs = samples_of(folder)
    true = values(dumped(folder, "calibrate"), inputs)
    module = dumped(folder, "quantize")
    integer = values(module, inputs)
    by_itself = alone(module, true, inputs)
    report = verify(read_bundle(folder), layers=True)
    assert report.exact
    assert report.layer_errors is not None
    assert {loss.name for loss in report.layer_errors} == set(by_itself)
    kinds = {op.output.name: op.output.type for op in module.ops}
    for loss in report.layer_errors:
        kind, name = kinds[loss.name], loss.name
        assert loss.bits == bits
        real = quantization.dequantize_output(integer[name], kind.step, kind.zero_point)
        assert loss.sqnr_alone_db == pytest.approx(sqnr(by_itself[name], true[name]), abs=0.02)
        assert loss.sqnr_accumulated_db == pytest.approx(sqnr(real, true[name]), abs=0.02)
        ends = quantization.dequantize_output(
            np.array([0, 2**bits - 1]), kind.step, kind.zero_point
        )
        near = np.clip(true[name], *(ends + np.array([-0.5, 0.5]) * kind.step))
        assert loss.outside_share == pytest.approx((near != true[name]).mean(), abs=2e-5)


def test_the_first_layer_has_only_its_own_loss(bundles: Bundles) -> None:
    report = verify(read_bundle(bundles("fashion-resnet8", "none", 8)), layers=True)
    losses = {loss.nodes[0].name: loss for loss in report.layer_errors or ()}
    first = losses.pop("/st/st.0/Conv")
    assert first.sqnr_alone_db == first.sqnr_accumulated_db
    for loss in losses.values():
        assert loss.sqnr_alone_db is not None
        assert loss.sqnr_accumulated_db is not None
        assert loss.sqnr_alone_db > loss.sqnr_accumulated_db


def test_a_damaged_layer_is_the_worst(bundles: Bundles) -> None:
    """Halve the multipliers of one layer in the integer reference: only it loses alone."""
    folder = bundles("fashion-resnet8", "none", 8)
    bundle = read_bundle(folder)
    model = onnx.load(folder / "reference" / "integer.onnx")
    name = "l_l_1_Relu_output_0"
    for constant in model.graph.initializer:
        if constant.name == f"%{name}/multipliers/0":
            halved = numpy_helper.to_array(constant) // 2
            constant.CopyFrom(numpy_helper.from_array(halved, constant.name))
    maps = [feature for feature in program_in(bundle).maps if feature.element == "u8"]
    epitomized = (folder / "reference" / "epi.onnx").read_bytes()
    meter = LayerMeter(maps, read_exported(model.SerializeToString(), "it"), epitomized)
    inputs = samples_of(folder)
    true = values(dumped(folder, "calibrate"), inputs)
    meter.add(inputs, {}, [true[tally.name].astype(np.float32) for tally in meter.tallies])
    worst, *others = meter.results()
    assert worst.name == name
    assert worst.sqnr_alone_db == pytest.approx(6, abs=0.3)
    assert all((loss.sqnr_alone_db or 0) > 30 for loss in others)
    # Nothing was computed by the program, so nothing has been compared with it.
    assert all(tally.accumulated == Loss() for tally in meter.tallies)


def test_the_table_of_layers(bundles: Bundles, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(bundles("fashion-resnet8", "none", 8))
    assert main(["verify", folder, "--layers"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= WIDTH for line in lines)
    start = lines.index("") + 1
    titles, _, *rows = lines[start:-2]
    assert titles.split() == ["layer", "bits", "alone", "dB", "accumulated", "dB", "outside"]
    assert rows[0].startswith("/l/l.1/c2/Conv, /l/l.1/sc/sc.0/Conv, /l/l.1/Add, /l/l.1/Re… ")
    numbers = [float(row.split()[-3]) for row in rows]
    assert numbers == sorted(numbers)
    assert len(rows) == 10
    assert lines[-2:] == [
        "dB: SQNR against the float model; alone: the layer is given the values of that model",
        "outside: the part of these values that lies outside the calibrated range, and is clipped",
    ]
    assert main(["verify", folder, "--layers", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)["layer_errors"]
    assert set(data[0]) == {
        "name",
        "nodes",
        "bits",
        "sqnr_alone_db",
        "sqnr_accumulated_db",
        "outside_share",
    }
    assert [row["sqnr_alone_db"] for row in data] == sorted(row["sqnr_alone_db"] for row in data)
    assert data[0]["nodes"][0] == {"op": "Conv", "name": "/l/l.1/c2/Conv"}
    assert len(data[0]["nodes"]) == 4


def test_long_names_and_exact_layers_keep_the_table_narrow() -> None:
    nodes = tuple(("Conv", f"{'n' * 60}{number}") for number in range(3))
    lost = LayerLoss("a", onnx_nodes(nodes), 8, 3.01, 0.0, 0.0)
    exact = LayerLoss("b", (), 8, None, None, 0.0)
    losses = worst_first([exact, lost])
    assert losses == (lost, exact)
    table = str(a_result(layer_errors=losses)).split("\n\n")[1].splitlines()
    assert all(len(line) <= WIDTH for line in table)
    assert table[2].endswith("      3.01            0.00    0.00%")
    assert table[3].split() == ["b", "8", "-", "-", "0.00%"]
    assert "epitomized float model" in table[-2]


def test_what_differs_is_named() -> None:
    layer = ComparedLayer("w" * 200, (), 10, 3)
    output = ComparedOutput("y", 2, None, None, None, None, None)
    result = a_result(
        exact=False,
        mismatches=6,
        outputs=(output,),
        layers=(layer,),
        parameters={"%v/role": 1},
    )
    titles, _, row, verdict, *rest = str(result).splitlines()
    assert titles.split()[:2] == ["output", "mismatches"]
    assert row.split() == ["y", "2", "-", "-", "-", "-", "-"]
    assert verdict == (
        "NOT exact: 6 mismatches: 1 layers, 10 integers on 1 samples against onnxruntime"
    )
    assert rest == [f"  {'w' * 97}…", "    3 of 10 differ", "  parameter %v/role: 1 differ"]


def test_outputs_that_are_no_numbers_stay_documents() -> None:
    tally = OutputTally("y")
    real = np.array([np.nan, 1.0])
    for batch in (np.zeros(2), np.ones(2)):
        tally.add(batch, real)
        tally.add_epitomized(batch, real, real)
    assert tally.result() == ComparedOutput("y", 0, None, None, None, None, None)


def test_measures() -> None:
    loss = Loss()
    loss.add(np.array([1.0, 2.5]), np.array([[1.0], [2.0]]))
    loss.add(np.array([3.0], np.float32), np.array([2.0], np.float32))
    assert (loss.signal, loss.noise) == (9.0, 1.25)
    assert loss.sqnr_db == decibels(9.0, 1.25) == pytest.approx(8.573, abs=0.001)
    assert decibels(1.0, 0.0) is None
    assert decibels(0.0, 1.0) is None
    assert decibels(math.inf, 1.0) is decibels(1.0, math.nan) is None


def test_maps_without_a_float_value_are_no_layers(bundles: Bundles) -> None:
    folder = bundles("mnist-conv", "none", 8)
    files = [(folder / "reference" / f"{name}.onnx").read_bytes() for name in ("integer", "epi")]
    stranger = FeatureMap("stranger", (1, 1, 1), "u8", 8)
    assert LayerMeter([stranger], read_exported(files[0], "it"), files[1]).tallies == []


def test_values_outside_the_calibrated_range_are_counted(bundles: Bundles) -> None:
    """Four times the calibration samples leave its ranges, all the more in later layers."""
    folder = bundles("fashion-resnet8", "none", 8)
    inputs = {name: 4 * array for name, array in samples_of(folder).items()}
    np.savez(folder.parent / "large.npz", **inputs)  # type: ignore[arg-type]
    report = verify(read_bundle(folder), folder.parent / "large.npz", layers=True)
    assert report.exact
    clipped = [loss for loss in report.layer_errors or () if loss.outside_share > 0.01]
    assert len(clipped) >= 5


def test_real_values_of_another_size_are_refused(bundles: Bundles) -> None:
    folder = bundles("mnist-conv", "none", 8)
    data, epitomized = (
        (folder / "reference" / f"{name}.onnx").read_bytes() for name in ("integer", "epi")
    )
    maps = program_in(read_bundle(folder)).maps
    meter, inputs = LayerMeter(maps, read_exported(data, "it"), epitomized), samples_of(folder)
    count = len(next(iter(inputs.values())))
    with pytest.raises(EpimcError, match="has another size in the epitomized model") as caught:
        meter.add(inputs, {}, [np.zeros((count, 1), np.float32) for _ in meter.tallies])
    assert caught.value.exit_code == 1
