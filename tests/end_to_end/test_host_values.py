"""Values of any type between chip and host, and between calls of the host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx.helper import make_node

import epimc
from epimc.backends.crossbar.core.program import Program
from epimc.backends.crossbar.instructions.host import Enter, Host, HostOperand
from epimc.backends.forms import HostValue
from epimc.runtime.host import OnnxHost
from epimc.runtime.reference import Reference
from epimc.support.diagnostics import EpimcError
from epimc.verification.verify import verify
from tests.crossbars import program_in, with_program
from tests.end_to_end.host_models import compiled, model_of, random


def several() -> onnx.ModelProto:
    """Parts with several operands and results of other types, between layers, and a loop of If."""
    text = helper.make_tensor_value_info("p", 1, None)
    yes = helper.make_graph([make_node("Mul", ["r", "two"], ["p"])], "yes", [], [text])
    no = helper.make_graph([make_node("Neg", ["r"], ["p"])], "no", [], [text])
    nodes = [
        make_node("Conv", ["x", "w"], ["c"], "conv"),
        make_node("Relu", ["c"], ["r"], "relu"),
        make_node("TopK", ["r", "k"], ["v", "i"], "top", axis=3),
        make_node("ReduceMax", ["r"], ["m"], "most", keepdims=0),
        make_node("Greater", ["m", "two"], ["t"], "greater"),
        make_node("If", ["t"], ["b"], "if", then_branch=yes, else_branch=no),
        make_node("Conv", ["b", "w2"], ["d"], "conv2"),
        make_node("Hardmax", ["d"], ["y"], "hard", axis=1),
    ]
    constants = {
        "w": random(4, 3, 1, 1),
        "w2": random(4, 4, 1, 1, seed=1),
        "k": np.array([2]),
        "two": np.array(2, np.float32),
    }
    return model_of(nodes, (3, 6, 5), ["y", "i", "v"], constants, integers=["i"])


def test_parts_with_several_operands_and_results(tmp_path: Path) -> None:
    bundle = compiled(several(), tmp_path)
    report = verify(bundle)
    assert report.exact
    y, i, v = epimc.Session(bundle).run(None, {"x": random(3, 3, 6, 5, seed=7)})
    assert (y.dtype, i.dtype, v.dtype) == (np.float32, np.int64, np.float32)
    assert (y.shape, i.shape, v.shape) == ((3, 4, 6, 5), (3, 4, 6, 2), (3, 4, 6, 2))


def gate() -> onnx.ModelProto:
    """Truths that one call gives another, around a layer on the chip; integers go out."""
    nodes = [
        make_node("Conv", ["x", "w"], ["c"], "conv"),
        make_node("Softmax", ["c"], ["s"], "shares", axis=1),
        make_node("Greater", ["s", "least"], ["t"], "large"),
        make_node("Conv", ["s", "w2"], ["d"], "conv2"),
        make_node("Where", ["t", "d", "s"], ["m"], "chosen"),
        make_node("ArgMax", ["m"], ["y"], "best", axis=1, keepdims=0),
    ]
    constants = {
        "w": random(4, 3, 1, 1),
        "w2": random(4, 4, 1, 1, seed=1),
        "least": np.array(0.25, np.float32),
    }
    return model_of(nodes, (3, 6, 5), ["y", "m"], constants, integers=["y"])


def test_values_of_other_types_between_calls(tmp_path: Path) -> None:
    bundle = compiled(gate(), tmp_path)
    first, second = bundle.program.host_calls
    assert [name for _, name in first.nodes] == ["shares", "large"]
    assert [name for _, name in second.nodes] == ["chosen", "best"]
    # What the host has already it takes as it is; of the chip it takes one map.
    assert second.operands == (HostValue("host1", 1), "d", HostValue("host1", 0))
    assert verify(bundle).exact
    y, m = epimc.Session(bundle).run(None, {"x": random(3, 3, 6, 5, seed=7)})
    assert (y.dtype, y.shape, m.shape) == (np.int64, (3, 6, 5), (3, 4, 6, 5))
    assert np.array_equal(y, m.argmax(1))


def roots() -> onnx.ModelProto:
    """The roots of numbers, all added up, for a layer: NaN behind the first negative one."""
    nodes = [
        make_node("Cast", ["x"], ["wide"], to=onnx.TensorProto.DOUBLE),
        make_node("Sqrt", ["wide"], ["roots"]),
        make_node("CumSum", ["roots", "axis"], ["sums"]),
        make_node("Cast", ["sums"], ["r"], to=onnx.TensorProto.FLOAT),
        make_node("MatMul", ["r", "w"], ["y"]),
    ]
    return model_of(nodes, (4,), ["y", "r"], {"w": random(4, 3), "axis": np.array(1)})


def test_the_chip_takes_nan_of_the_host_for_zero(tmp_path: Path) -> None:
    good = np.abs(random(16, 4))
    session = epimc.compile(roots(), tmp_path / "out", target="tiny", calibration=good)
    x = np.array([[4, -1, 1, 1], [np.nan, 1, 1, 1], [1, np.inf, 1, 1], [4, 0, 0, 0]], np.float32)
    x = np.concatenate([x, good])
    report = epimc.verify(session, x)
    assert report.exact
    y, r = session.run(None, {"x": x})
    # The host gives what it has.
    assert np.array_equal(np.isnan(r[:4]).sum(1), [3, 4, 0, 0])
    zeros = session.run(None, {"x": np.zeros((1, 4), np.float32)})[0]
    assert np.array_equal(y[1:2], zeros)
    assert np.isfinite(y).all()
    alone = np.array([[4, 0, 0, 0]], np.float32)
    only = session.bundle.program.executor(OnnxHost(session.bundle.fragments))
    assert np.array_equal(only.run({"x": alone})["y"], y[3:4])


def test_an_input_is_an_output_as_it_is(tmp_path: Path) -> None:
    nodes = [make_node("MatMul", ["x", "w"], ["y"])]
    model = model_of(nodes, (4,), ["x", "y"], {"w": random(4, 3)})
    bundle = compiled(model, tmp_path)
    assert not bundle.fragments
    assert verify(bundle).exact
    x = random(5, 4, seed=3)
    given, y = epimc.Session(bundle).run(None, {"x": x})
    assert np.array_equal(given, x)
    assert y.shape == (5, 3)


def test_what_comes_from_the_host_goes_back_as_it_was(tmp_path: Path) -> None:
    """The chip reads a tensor in fewer dims than it has, and so does the part that reads both."""
    nodes = [
        make_node("Hardmax", ["x"], ["h"], "hard"),
        make_node("Cast", ["h"], ["f"], "half", to=onnx.TensorProto.FLOAT16),
        make_node("Cast", ["f"], ["g"], "back", to=onnx.TensorProto.FLOAT),
        make_node("MatMul", ["g", "w"], ["m"], "product"),
        make_node("Softmax", ["m"], ["y"], "shares"),
        make_node("LogSoftmax", ["f"], ["z"], "logs"),
        make_node("Cast", ["z"], ["z32"], "wide", to=onnx.TensorProto.FLOAT),
    ]
    model = model_of(nodes, (2, 3, 2, 4), ["y", "z32"], {"w": random(4, 3)})
    bundle = compiled(model, tmp_path)
    assert verify(bundle).exact
    x = random(3, 2, 3, 2, 4, seed=5)
    reference = Reference(model.SerializeToString(), "it", users=True)
    _, z = epimc.Session(bundle).run(None, {"x": x})
    assert np.array_equal(z, reference.run(["z32"], {"x": x})[0])


# --- what is refused, or proven wrong -------------------------------------------------------------


def other_result(program: Program) -> Program:
    """A call that takes another result of the one before it."""
    tables = [
        replace(table, reads=tuple(other(operand) for operand in table.reads))
        if isinstance(table, Host)
        else table
        for table in program.tables
    ]
    return replace(program, tables=tuple(tables))


def other(operand: HostOperand) -> HostOperand:
    """The truths in the place of the shares, and the other way round."""
    return operand if operand.result < 0 else replace(operand, result=1 - operand.result)


def entered_before(program: Program) -> Program:
    """What enters is a result that there is not."""
    tables = [
        replace(table, value=replace(table.value, result=7)) if isinstance(table, Enter) else table
        for table in program.tables
    ]
    return replace(program, tables=tuple(tables))


def other_truth(program: Program) -> Program:
    """The truths enter in the place of the shares, of which there are as many."""
    tables = [
        replace(table, value=other(table.value)) if isinstance(table, Enter) else table
        for table in program.tables
    ]
    return replace(program, tables=tuple(tables))


def other_output(program: Program) -> Program:
    """An output that is another result of its call."""
    first, second = program.host_outputs
    return replace(program, outputs=(replace(first, result=second.result), second))


def other_type(program: Program) -> Program:
    """An output of another type than the model's."""
    first, second = program.host_outputs
    return replace(program, outputs=(replace(first, type="tensor(int32)[N, 6, 5]"), second))


def whole_sample(program: Program) -> Program:
    """An output whose first axis counts no samples."""
    first, second = program.host_outputs
    return replace(program, outputs=(first, replace(second, type="tensor(float)[1, 4, 6, 5]")))


Change = Callable[[Program], Program]

FORGED: dict[Change, str] = {
    other_result: "error: onnxruntime cannot run the fragment 'host2'.",
    entered_before: "error: The host gives 2 results for 'host1', and no 7.",
    other_output: "error: Output 'y' has different sizes.",
}


@pytest.mark.parametrize("change", FORGED, ids=lambda change: change.__name__)
def test_other_values_of_the_host_are_refused(change: Change, tmp_path: Path) -> None:
    bundle = compiled(gate(), tmp_path)
    with pytest.raises(EpimcError) as caught:
        verify(with_program(bundle, change(program_in(bundle))))
    assert str(caught.value).splitlines()[0] == FORGED[change]


@pytest.mark.parametrize("change", [other_type, whole_sample, other_truth])
def test_verification_finds_other_values_of_the_host(change: Change, tmp_path: Path) -> None:
    bundle = compiled(gate(), tmp_path)
    report = verify(with_program(bundle, change(program_in(bundle))))
    assert not report.exact
    assert report.parameters
