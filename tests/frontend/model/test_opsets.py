"""Models brought to a newer opset compute the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, parser

import epimc
from epimc.frontend import import_proto
from epimc.frontend.importer import refuse_host_nodes
from epimc.frontend.model.opsets import at_opset
from epimc.frontend.model.standard import OLDEST_OPSET, opset_of

Array = NDArray[Any]


def draw(*shape: int) -> Array:
    """Random float32 numbers."""
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


def ints(*numbers: int) -> Array:
    """A list of int64 numbers."""
    return np.array(numbers, np.int64)


def floats(*numbers: float) -> Array:
    """A list of float32 numbers."""
    return np.array(numbers, np.float32)


@dataclass(frozen=True)
class Case:
    """A node of an old opset.

    Attributes:
        op_type: Its operator.
        inputs: All but the first are constants.
        opsets: In which it is written so.
        attributes: Of the node.
        outputs: How many it has.
    """

    op_type: str
    inputs: Sequence[Array]
    opsets: Sequence[int]
    attributes: dict[str, Any] = field(default_factory=dict)
    outputs: int = 1


def model_of(case: Case, opset: int, *, fed: bool = False) -> onnx.ModelProto:
    """The node alone; `fed` has constants come from outside, too."""
    names = [f"x{number}" for number in range(len(case.inputs))]
    outputs = [f"y{number}" for number in range(case.outputs)]
    node = helper.make_node(case.op_type, names, outputs, case.op_type, **case.attributes)
    entries = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )
        for name, array in zip(names, case.inputs, strict=True)
    ]
    constants = [
        numpy_helper.from_array(array, name)
        for name, array in zip(names[1:], case.inputs[1:], strict=True)
    ]
    # In IR version 3 constants are listed among the inputs, too.
    graph = helper.make_graph(
        [node],
        "old",
        entries,
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [] if fed else constants,
    )
    opsets = [helper.make_opsetid("", opset)]
    version = helper.find_min_ir_version_for([helper.make_opsetid("", max(opset, 7))])
    return helper.make_model(graph, opset_imports=opsets, ir_version=version)


def run(model: onnx.ModelProto, inputs: dict[str, Array]) -> list[Array]:
    """What onnxruntime gives."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return [np.asarray(result) for result in session.run(None, inputs)]


X, MAP, LONG = draw(2, 3, 4), draw(1, 2, 7, 6), draw(3, 2, 4)
POSITIVE = np.abs(X) + floats(0.1)
REDUCTIONS = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare")
NORM = [draw(2, 3, 4, 4), draw(3), draw(3), draw(3), np.abs(draw(3)) + floats(0.1)]
CASES = [
    Case("Softmax", [X], (7, 12)),
    Case("Softmax", [X], (7, 12), {"axis": 2}),
    Case("LogSoftmax", [X], (7, 12), {"axis": 0}),
    Case("Hardmax", [X], (7, 12)),
    Case("ReduceSum", [X], (7, 11, 12), {"axes": [1], "keepdims": 0}),
    Case("ReduceSum", [X], (7, 12)),
    *[Case(f"Reduce{name}", [POSITIVE], (7, 12, 17), {"axes": [1]}) for name in REDUCTIONS],
    Case("Pad", [draw(2, 3)], (7, 10), {"pads": [0, 1, 2, 0], "value": 0.5}),
    Case("Pad", [draw(2, 3)], (7, 10), {"pads": [0, 1, 1, 0], "mode": "reflect"}),
    Case("Pad", [draw(2, 3), ints(0, 1, 1, 0)], (11, 17)),
    Case("Slice", [draw(4, 5)], (7, 9), {"starts": [1], "ends": [3], "axes": [1]}),
    Case("Slice", [draw(4, 5), ints(1), ints(3), ints(1)], (10, 12)),
    Case("Squeeze", [draw(2, 1, 4)], (7, 12), {"axes": [1]}),
    Case("Unsqueeze", [draw(2, 4)], (7, 12), {"axes": [1]}),
    Case("Split", [draw(2, 6)], (7, 12), {"axis": 1, "split": [2, 4]}, outputs=2),
    Case("Split", [draw(2, 6)], (7, 17), {"axis": 1}, outputs=2),
    Case("Clip", [X], (7, 10), {"min": -0.25, "max": 0.5}),
    Case("Clip", [X], (7, 10), {"max": 0.5}),
    Case("TopK", [draw(3, 7)], (7, 9), {"k": 3}, outputs=2),
    Case("Dropout", [X], (7, 11), {"ratio": 0.5}),
    Case("BatchNormalization", NORM, (7, 9, 14), {"epsilon": 0.01}),
    Case("Gemm", [draw(3, 4), draw(4, 5), draw(5)], (7, 12), {"alpha": 0.5}),
    Case("AveragePool", [MAP], (7, 10, 18), {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
    Case("LpPool", [MAP], (7, 17), {"kernel_shape": [3, 3], "p": 2}),
    Case("LSTM", [LONG, draw(1, 20, 4), draw(1, 20, 5)], (7, 13), {"hidden_size": 5}),
    Case("GRU", [LONG, draw(1, 15, 4), draw(1, 15, 5)], (7, 13), {"hidden_size": 5}),
    Case("Cast", [X], (7, 12, 18), {"to": TensorProto.INT64}),
    Case("Scatter", [draw(3, 4), np.array([[1, 0]]), draw(1, 2)], (9, 10), {"axis": 1}),
    Case("QuantizeLinear", [X, np.float32(0.1), np.uint8(3)], (10, 12)),  # type: ignore[list-item]
    Case("GridSample", [MAP, draw(1, 3, 3, 2)], (16, 19), {"mode": "bilinear"}),
    Case("DFT", [draw(1, 4, 2)], (17, 19), {"axis": 1}),
    Case("Reshape", [X, ints(4, 6)], (7, 13, 18)),
]
RESIZED: Sequence[tuple[str, Sequence[int], list[Array], dict[str, Any]]] = (
    ("Upsample", (7, 8), [], {"scales": [1.0, 1.0, 2.0, 3.0]}),
    ("Upsample", (9,), [floats(1, 1, 2, 1.5)], {}),
    ("Resize", (10,), [floats(1, 1, 1.75, 2)], {}),
    ("Resize", (10,), [floats(1, 1, 0.3, 0.6)], {}),
)
UPSAMPLED = [
    Case(op_type, [MAP, *factors], opsets, {**stated, "mode": mode})
    for op_type, opsets, factors, stated in RESIZED
    for mode in ("nearest", "linear")
]


@pytest.mark.parametrize("version", [13, 20])
@pytest.mark.parametrize(
    ("case", "opset"),
    [
        pytest.param(case, opset, id=f"{case.op_type}-{opset}-{number}")
        for number, case in enumerate([*CASES, *UPSAMPLED])
        for opset in case.opsets
    ],
)
def test_a_converted_node_computes_the_same(case: Case, opset: int, version: int) -> None:
    model = model_of(case, opset)
    if opset > version:
        assert at_opset(model, version) is None
        return
    converted = at_opset(model, version)
    assert converted is not None
    assert opset_of(converted) == version
    onnx.checker.check_model(_with_types(converted))
    names = [f"x{number}" for number in range(len(case.inputs))]
    inputs = dict(zip(names[:1], case.inputs[:1], strict=True))
    for ours, theirs in zip(run(converted, inputs), run(model, inputs), strict=True):
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def _with_types(model: onnx.ModelProto) -> onnx.ModelProto:
    """With the types of the outputs, which ONNX's checker wants."""
    copy = onnx.shape_inference.infer_shapes(model)
    for output in copy.graph.output:
        if not output.type.tensor_type.HasField("shape"):
            element = output.type.tensor_type.elem_type or TensorProto.FLOAT
            output.type.CopyFrom(helper.make_tensor_type_proto(element, [1]))
    return copy


@pytest.mark.parametrize(
    "case",
    [
        Case("Resize", [MAP, floats(1, 1, 0.5, 2)], (10,), {"mode": "nearest"}),
        Case("Nothing", [X], (10,)),
    ],
    ids=["both ways", "no operator"],
)
def test_what_cannot_be_converted(case: Case) -> None:
    (opset,) = case.opsets
    assert at_opset(model_of(case, opset), 13) is None


def test_factors_that_are_not_known() -> None:
    case = Case("Resize", [MAP, floats(1, 1, 2, 2)], (10,), {"mode": "nearest"})
    assert at_opset(model_of(case, 10, fed=True), 13) is None


def test_a_model_that_is_there_already() -> None:
    model = model_of(Case("Relu", [X], (13,)), 13)
    assert at_opset(model, 13) is model
    assert at_opset(model, 12) is None


def test_nodes_of_other_domains_stay_as_they_are() -> None:
    model = parser.parse_model(
        """
        <ir_version: 6, opset_import: ["": 11, "com.microsoft": 1]>
        g (float[2, 3] x) => (float[2, 3] y)
        { a = com.microsoft.QuickGelu (x)  y = Softmax <axis = 1> (a) }
        """
    )
    before = model.SerializeToString(deterministic=True)
    converted = at_opset(model, 20)
    assert model.SerializeToString(deterministic=True) == before
    assert converted is not None
    assert converted.graph.node[0] == model.graph.node[0]
    x = draw(2, 3)
    np.testing.assert_allclose(run(converted, {"x": x})[0], run(model, {"x": x})[0], rtol=1e-6)


def test_nodes_in_branches_are_converted() -> None:
    """They read constants, and tensors around them; what is added meets no other name."""
    model = parser.parse_model(
        """
        <ir_version: 6, opset_import: ["": 11]>
        g (float[2, 3, 4] x, bool c) => (float[2, 1, 4] y) <float _v_4 = {3.0}>
        {
          z = Add (x, _v_4)
          y = If (c) <
            then_branch = a () => (float[2, 1, 4] r) { r = ReduceSum <axes = [1]> (z) },
            else_branch = b () => (float[2, 1, 4] q) { p = ReduceSum <axes = [1]> (x) q = Neg (p) }>
        }
        """
    )
    converted = at_opset(model, 13)
    assert converted is not None
    for condition in (True, False):
        inputs = {"x": draw(2, 3, 4), "c": np.array(condition)}
        np.testing.assert_allclose(
            run(converted, inputs)[0], run(model, inputs)[0], rtol=1e-5, atol=1e-6
        )


# --- opsets that importers do not know ------------------------------------------------------------

IMAGE, CHANNELS = draw(2, 3, 4, 4), draw(3)
PER_CHANNEL = CHANNELS[:, None, None]
SLOPES = np.where(IMAGE < 0, IMAGE * PER_CHANNEL, IMAGE)
VERY_OLD = [
    (Case("Add", [IMAGE, CHANNELS], (1, 6), {"broadcast": 1, "axis": 1}), IMAGE + PER_CHANNEL),
    (Case("Sub", [IMAGE, CHANNELS], (6,), {"broadcast": 1, "axis": -3}), IMAGE - PER_CHANNEL),
    (Case("Mul", [IMAGE, draw(4)], (1, 6), {"broadcast": 1}), IMAGE * draw(4)),
    (Case("Greater", [IMAGE, CHANNELS], (1,), {"broadcast": 1, "axis": 1}), IMAGE > PER_CHANNEL),
    (Case("PRelu", [IMAGE, CHANNELS], (1, 6)), SLOPES),
    (Case("PRelu", [IMAGE, floats(0.25)], (6,)), np.where(IMAGE < 0, IMAGE / 4, IMAGE)),
    (Case("Dropout", [IMAGE], (1, 6), {"is_test": 1}), IMAGE),
    (Case("Reshape", [IMAGE], (1, 4), {"shape": [2, -1]}), IMAGE.reshape(2, -1)),
    (Case("Clip", [IMAGE], (1, 6), {"min": -0.5, "max": 0.5}), np.clip(IMAGE, -0.5, 0.5)),
    (Case("Relu", [IMAGE], (1, 5), {}), np.maximum(IMAGE, 0)),
    (
        Case("BatchNormalization", NORM, (6,), {"is_test": 1, "epsilon": 0.0}),
        (NORM[0] - NORM[3][:, None, None]) / np.sqrt(NORM[4])[:, None, None]
        * NORM[1][:, None, None] + NORM[2][:, None, None],
    ),
    (
        Case("MaxPool", [IMAGE], (1,), {"kernel_shape": [2, 2], "strides": [2, 2]}),
        IMAGE.reshape(2, 3, 2, 2, 2, 2).max((3, 5)),
    ),
]  # fmt: skip


@pytest.mark.parametrize("version", [OLDEST_OPSET, 13])
@pytest.mark.parametrize(
    ("case", "opset", "expected"),
    [
        pytest.param(case, opset, expected, id=f"{case.op_type}-{opset}-{number}")
        for number, (case, expected) in enumerate(VERY_OLD)
        for opset in case.opsets
    ],
)
def test_nodes_that_onnxruntime_no_longer_runs(
    case: Case, opset: int, expected: Array, version: int
) -> None:
    converted = at_opset(model_of(case, opset), version)
    assert converted is not None
    (result,) = run(converted, {"x0": case.inputs[0]})
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-6)


def very_old_network() -> onnx.ModelProto:
    """A convolution of opset 6 with a bias that is broadcast in the old way, for any batch."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], "conv"),
        helper.make_node("Add", ["a", "b"], ["c"], "bias", broadcast=1, axis=1),
        helper.make_node("PRelu", ["c", "b"], ["d"], "prelu"),
        helper.make_node("Dropout", ["d"], ["y"], "drop", is_test=1),
    ]
    arrays = {"w": draw(4, 3, 3, 3), "b": np.abs(draw(4)) + floats(0.1)}
    entries = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 6, 6]),
        *(helper.make_tensor_value_info(k, TensorProto.FLOAT, v.shape) for k, v in arrays.items()),
    ]
    constants = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4, 4, 4])
    graph = helper.make_graph(nodes, "old", entries, [y], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 6)], ir_version=3)


def test_a_model_of_an_old_opset_compiles(tmp_path: Any) -> None:
    """onnxruntime has no kernels for it as it is."""
    model = very_old_network()
    imported = import_proto(model, "old")
    refuse_host_nodes(imported)
    assert opset_of(model) == 6
    assert opset_of(imported.model.proto) == OLDEST_OPSET
    bundle = epimc.compile(model, tmp_path / "bundle")
    assert epimc.verify(bundle).exact


def test_an_old_model_that_cannot_be_converted_is_told_by_onnxruntime(tmp_path: Any) -> None:
    model = very_old_network()
    model.graph.node[3].CopyFrom(helper.make_node("Cast", ["d"], ["y"], "cast", to="FLOAT"))
    model.opset_import[0].version = 5
    with pytest.raises(epimc.EpimcError, match="onnxruntime refuses the model"):
        epimc.compile(model, tmp_path / "bundle")
