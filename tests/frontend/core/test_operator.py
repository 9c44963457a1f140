"""The records of operators: what they say is true of ONNX, and of what epimc does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.helper import make_node

from epimc.backends.onnx.large import LargeModel
from epimc.frontend import ImportedModel
from epimc.frontend.core.operator import OnnxOperator, records
from epimc.frontend.document import OperatorResult, becomes, operator_list, operators_by_name
from epimc.frontend.folding import Folder
from epimc.frontend.inference import Inference
from epimc.frontend.model.standard import KNOWN_OPSET, OLDEST_OPSET
from epimc.support.limits import DEFAULT_BYTES, Budget

Array = NDArray[Any]
Build = Callable[..., onnx.ModelProto]
Compare = Callable[[onnx.ModelProto], ImportedModel]


def draw(*shape: int) -> Array:
    """Random float32 numbers above 0.1."""
    return np.random.default_rng(len(shape)).uniform(0.1, 2.0, shape).astype(np.float32)


@dataclass(frozen=True)
class Case:
    """A node of an operator, as the opset writes it since which the operator is read.

    Attributes:
        constants: The inputs behind the first.
        attributes: Of the node.
        shape: Of the first input, with the batch.
        times: How often the node has the first input.
        outputs: How many the node has.
    """

    constants: tuple[Array, ...] = ()
    attributes: dict[str, Any] = field(default_factory=dict)
    shape: tuple[int, ...] = (1, 4, 6, 6)
    times: int = 1
    outputs: int = 1


CHANNELS = draw(4, 1, 1)
POOL = Case(attributes={"kernel_shape": [2, 2], "strides": [2, 2]})
REDUCTION = Case(attributes={"axes": [2, 3]})
CASES = {
    "Add": Case((CHANNELS,)),
    "AveragePool": POOL,
    "BatchNormalization": Case((draw(4), draw(4), draw(4), draw(4))),
    "Cast": Case(attributes={"to": 1}),
    "CastLike": Case((draw(1),)),
    "Clip": Case(attributes={"min": 0.25, "max": 1.5}),
    "Concat": Case((draw(1, 4, 2, 6),), {"axis": 2}),
    "Conv": Case((draw(2, 4, 3, 3), draw(2))),
    "ConvTranspose": Case((draw(4, 2, 3, 3), draw(2)), {"strides": [2, 2]}),
    "DepthToSpace": Case(attributes={"blocksize": 2}),
    "Div": Case((CHANNELS,)),
    "Einsum": Case((draw(4, 5),), {"equation": "bchw,co->bohw"}),
    "Expand": Case((np.array([1, 4, 6, 6]),), shape=(1, 4, 1, 6)),
    "Gather": Case((np.array([3, 0]),), {"axis": 1}),
    "Gemm": Case((draw(5, 4), draw(5)), {"transB": 1}, (1, 4)),
    "MatMul": Case((draw(4, 5),), shape=(1, 4)),
    "MaxPool": POOL,
    "Mul": Case((CHANNELS,)),
    "Pad": Case(attributes={"pads": [0, 0, 1, 2, 0, 0, 0, 1], "value": 0.5}),
    "Pow": Case((np.array(2, np.float32),)),
    "PRelu": Case((CHANNELS,)),
    **dict.fromkeys(("Max", "Mean", "Min", "Sum"), Case(times=2)),
    **dict.fromkeys(("ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum"), REDUCTION),
    **dict.fromkeys(("ReduceL1", "ReduceL2", "ReduceSumSquare"), REDUCTION),
    "QuantizeLinear": Case((np.array(0.25, np.float32),)),
    "Reshape": Case((np.array([1, 8, 3, 6]),)),
    "Resize": Case((np.array([1, 1, 2, 2], np.float32),)),
    "Slice": Case(attributes={"starts": [1], "ends": [3], "axes": [1]}),
    "Softmax": Case(attributes={"axis": 1}, shape=(1, 4)),
    "SpaceToDepth": Case(attributes={"blocksize": 2}),
    "Split": Case(attributes={"axis": 1, "split": [1, 3]}, outputs=2),
    "Squeeze": Case(attributes={"axes": [2]}, shape=(1, 4, 1, 6)),
    "Sub": Case((CHANNELS,)),
    "Tile": Case((np.array([1, 1, 2, 1]),)),
    "Transpose": Case(attributes={"perm": [0, 2, 3, 1]}),
    "Unsqueeze": Case(attributes={"axes": [2]}, shape=(1, 4, 6)),
    "Upsample": Case(attributes={"scales": [1.0, 1.0, 2.0, 2.0]}),
}
"""Where a node is more than the operator of one map."""

TRUTHS, NUMBERS = np.array([True, False, True]), np.array([4, -5, 6])
FOLDED_ONLY: dict[str, list[Array]] = {
    "And": [TRUTHS, ~TRUTHS],
    "ConstantOfShape": [np.array([2, 3])],
    "DequantizeLinear": [np.array([1, -2, 3], np.int8), np.array(0.25, np.float32)],
    "Equal": [NUMBERS, np.array([4, 5, 6])],
    "Greater": [draw(3), draw(3)[::-1]],
    "Less": [draw(3), draw(3)[::-1]],
    "Mod": [NUMBERS, np.array([3, 3, -4])],
    "Not": [TRUTHS],
    "Or": [TRUTHS, ~TRUTHS],
    "Range": [np.array(1), np.array(7), np.array(2)],
    "Round": [np.array([0.5, 1.5, -2.5, 0.7], np.float32)],
    "Sign": [np.array([-2, 0, 3], np.float32)],
    "Where": [TRUTHS, draw(3), -draw(3)],
}
"""The inputs of operators without importer that are no function of one map."""


def named(record: OnnxOperator) -> str:
    """What the tests' output calls an operator."""
    return record.op_type


def node_of(record: OnnxOperator, first: str) -> tuple[onnx.NodeProto, dict[str, Array]]:
    """A node that has the first input and constants, and these."""
    case = CASES.get(record.op_type, Case())
    constants = {f"c{index}": array for index, array in enumerate(case.constants)}
    inputs = [*[first] * case.times, *constants]
    outputs = ["y", *(f"y{number}" for number in range(1, case.outputs))]
    return make_node(record.op_type, inputs, outputs, **case.attributes), constants


@pytest.mark.parametrize("record", records(), ids=named)
def test_since_is_when_onnx_has_it(record: OnnxOperator) -> None:
    versions = [
        schema.since_version
        for schema in onnx.defs.get_all_schemas_with_history()
        if schema.domain == "" and schema.name == record.op_type
    ]
    assert record.since == max(OLDEST_OPSET, min(versions)) <= KNOWN_OPSET


# Where has its condition first, which is a constant: `test_arithmetic.py` has it.  What quantizes
# is there in pairs alone: `test_quantization.py`.
ELSEWHERE = ("Where", "QuantizeLinear", "DequantizeLinear")
READ = [item for item in records() if item.importer and item.op_type not in ELSEWHERE]


@pytest.mark.parametrize("record", READ, ids=named)
def test_it_is_read_right_in_the_oldest_opset(
    build: Build, compare: Compare, record: OnnxOperator
) -> None:
    """Behind a function, so that no output of the model is an input of it."""
    node, constants = node_of(record, "f")
    shape = CASES.get(record.op_type, Case()).shape
    nodes = [make_node("LeakyRelu", ["x"], ["f"]), node]
    model = build(nodes, {"x": ("N", *shape[1:])}, constants, node.output, opset=record.since)
    assert compare(model).module.ops


def folded_case(record: OnnxOperator) -> tuple[onnx.NodeProto, dict[str, Array]]:
    """A node of nothing but constants, and these."""
    if record.op_type in FOLDED_ONLY:
        arrays = {f"c{index}": array for index, array in enumerate(FOLDED_ONLY[record.op_type])}
        return make_node(record.op_type, [*arrays], ["y"]), arrays
    node, constants = node_of(record, "x")
    return node, {"x": draw(*CASES.get(record.op_type, Case()).shape), **constants}


def reference(
    node: onnx.NodeProto, arrays: dict[str, Array], results: list[Array], opset: int
) -> list[Array]:
    """What onnxruntime makes of a constant node; the results say of which types its outputs are."""
    outputs = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(result.dtype), result.shape
        )
        for name, result in zip(node.output, results, strict=True)
    ]
    initializers = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph([node], "constant", [], outputs, initializers)
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return [np.asarray(result) for result in session.run(None, {})]


@pytest.mark.parametrize(
    "record",
    [item for item in records() if item.folds and item.op_type != "Constant"],
    ids=named,
)
def test_it_is_folded_right_in_the_oldest_opset(record: OnnxOperator) -> None:
    node, arrays = folded_case(record)
    empty = helper.make_model(
        helper.make_graph([], "empty", [], []),
        opset_imports=[helper.make_opsetid("", record.since)],
    )
    kinds = Inference(empty, 1).outputs(node, arrays)
    results = Folder(LargeModel.of(empty), 1, Budget(DEFAULT_BYTES, "M")).fold(node, arrays, kinds)
    assert results is not None
    for ours, theirs in zip(results, reference(node, arrays, results, record.since), strict=True):
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_every_record_says_what_becomes_of_a_node() -> None:
    handling = {record.op_type: becomes(OperatorResult.of(record)) for record in records()}
    names = ("Conv", "Add", "Less", "Shape")
    assert [handling[name] for name in names] == ["imported", "both", "folded", "folded"]
    for record in records():
        assert record.importer or record.folds or record.shape_only
        assert record.doc
        assert not record.doc.endswith(".")


def test_the_lists_hold_every_operator_once() -> None:
    listed = " ".join(operator_list().split()).removeprefix("- ").split(" - ")
    names = [name for line in listed for name in line.partition(": ")[0].split(", ")]
    assert sorted(names) == [record.op_type for record in operators_by_name()]
