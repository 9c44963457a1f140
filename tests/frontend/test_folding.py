"""Constant nodes of any operator and type are evaluated by onnxruntime, within bounds."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from epimc.backends.onnx.large import LargeModel
from epimc.frontend.core.bindings import Unknown
from epimc.frontend.core.node import UnsupportedError
from epimc.frontend.folding import Folder, empty_of
from epimc.frontend.inference import Inference
from epimc.frontend.model.installed import typed
from epimc.frontend.work import MOST_STEPS, steps_of
from epimc.support.limits import DEFAULT_BYTES, Budget

Array = NDArray[Any]
OPSETS = {"": 21, "ai.onnx.ml": 3, "com.microsoft": 1}


def empty_model(opsets: dict[str, int]) -> onnx.ModelProto:
    """A model of these opsets."""
    return helper.make_model(
        helper.make_graph([], "g", [], []),
        opset_imports=[helper.make_opsetid(*entry) for entry in opsets.items()],
        ir_version=10,
    )


def fold(
    node: onnx.NodeProto, *arrays: Array, left: int = DEFAULT_BYTES, **opsets: int
) -> list[Array] | None:
    """What a node gives for constant inputs."""
    model = empty_model(OPSETS | opsets)
    named = [name for name in node.input if name]
    inputs = dict(zip(named, arrays, strict=True))
    kinds = Inference(model, 1).outputs(node, inputs)
    budget = Budget(DEFAULT_BYTES, "M", spent=DEFAULT_BYTES - left)
    return Folder(LargeModel.of(model), 1, budget).fold(node, inputs, kinds)


def one(node: onnx.NodeProto, *arrays: Array, **opsets: int) -> Array:
    """The one result of a node."""
    results = fold(node, *arrays, **opsets)
    assert results is not None
    (result,) = results
    return result


def make(op_type: str, count: int, **attributes: Any) -> onnx.NodeProto:
    """A node of some inputs and the output y."""
    names = [f"x{number}" for number in range(count)]
    return helper.make_node(op_type, names, ["y"], "n", **attributes)


def floats(*numbers: float) -> Array:
    """A list of float32 numbers."""
    return np.array(numbers, np.float32)


def texts(*words: str) -> Array:
    """A list of texts."""
    return np.array(words, object)


# --- types ----------------------------------------------------------------------------------------

TYPES = [np.float16, np.float32, np.float64, ml_dtypes.bfloat16, np.int8, np.uint8, np.int32]
TYPES += [ml_dtypes.int4, ml_dtypes.uint4, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2]


@pytest.mark.parametrize("dtype", TYPES, ids=lambda dtype: np.dtype(dtype).name)
def test_constants_of_any_type(dtype: Any) -> None:
    """Those that numpy lacks go through types that hold their numbers."""
    array = np.array([[1, 2, 3], [4, 5, 6]]).astype(dtype)
    result = one(make("Transpose", 1, perm=[1, 0]), array)
    assert result.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(result.astype(np.float64), array.T.astype(np.float64))


def test_numbers_that_wider_types_must_not_change() -> None:
    array = np.array([np.inf, -np.inf, np.nan, 2**-133, -0.0]).astype(ml_dtypes.bfloat16)
    result = one(make("Identity", 1), array)
    assert result.tobytes() == array.tobytes()


def test_dequantized_weights_of_four_bits() -> None:
    weights = np.array([[-8, 7, 3], [1, 0, -1]]).astype(ml_dtypes.int4)
    node = make("DequantizeLinear", 2, axis=0)
    np.testing.assert_array_equal(one(node, weights, floats(0.5, 2)), [[-4, 3.5, 1.5], [2, 0, -2]])


def test_a_constant_of_texts() -> None:
    words = [helper.make_node("Constant", [], ["y"], value_strings=["a", "bc"])]
    words.append(helper.make_node("Constant", [], ["y"], value_string="d"))
    assert [one(node).tolist() for node in words] == [["a", "bc"], "d"]


def test_texts() -> None:
    assert one(make("StringConcat", 2), texts("a", "b"), texts("c", "d")).tolist() == ["ac", "bd"]
    labels = make("LabelEncoder", 1, keys_strings=["a"], values_int64s=[7], default_int64=-1)
    labels.domain = "ai.onnx.ml"
    assert one(labels, texts("a", "z")).tolist() == [7, -1]


# --- operators ------------------------------------------------------------------------------------


def test_operators_of_onnxruntime_itself() -> None:
    """Of whose results ONNX knows no type."""
    node = make("QuickGelu", 1, alpha=1.0)
    node.domain = "com.microsoft"
    np.testing.assert_allclose(
        one(node, floats(1, -2)), [1 / (1 + np.exp(-1)), -2 / (1 + np.exp(2))], rtol=1e-6
    )


def test_results_whose_size_depends_on_the_data() -> None:
    np.testing.assert_array_equal(one(make("NonZero", 1), floats(0, 3, 0, 2)), [[1, 3]])


def test_the_opset_of_the_model_counts() -> None:
    """Softmax flattened its input once."""
    array = np.log(np.array([[[1, 3], [2, 2]]], np.float32))
    flat = one(make("Softmax", 1, axis=1), array, **{"": 11})
    np.testing.assert_allclose(flat, [[[1 / 8, 3 / 8], [2 / 8, 2 / 8]]], rtol=1e-6)
    apart = one(make("Softmax", 1, axis=1), array, **{"": 13})
    np.testing.assert_allclose(apart, [[[1 / 3, 3 / 5], [2 / 3, 2 / 5]]], rtol=1e-6)


def test_outputs_that_are_left_out() -> None:
    node = helper.make_node("Unique", ["x"], ["y", "", "places"], "n")
    results = fold(node, floats(3, 9, 3))
    assert results is not None
    assert [result.tolist() for result in results] == [[3, 9], [], [0, 1, 0]]


@pytest.mark.parametrize(
    "node",
    [
        make("RandomNormal", 0, shape=[2]),
        make("RandomUniform", 0, shape=[2]),
        make("RandomNormalLike", 1),
        make("Bernoulli", 1),
        make("Multinomial", 1),
    ],
    ids=lambda node: node.op_type,
)
def test_what_differs_each_time_is_no_constant(node: onnx.NodeProto) -> None:
    assert fold(node, *[np.full((1, 2), 0.5, np.float32)] * len(node.input)) is None


def test_a_dropout_is_constant_where_it_drops_nothing() -> None:
    half = np.array(0.5, np.float32)
    assert fold(make("Dropout", 3), floats(1, 2), half, np.array(True)) is None
    assert one(make("Dropout", 3), floats(1, 2), half, np.array(False)).tolist() == [1, 2]
    assert one(make("Dropout", 2), floats(1, 2), half).tolist() == [1, 2]


def test_loops_are_not_run() -> None:
    body = onnx.parser.parse_graph(
        "b (int64 i, bool c, float a) => (bool d, float b) { d = Identity (c) b = Neg (a) }"
    )
    node = make("Loop", 3, body=body)
    assert fold(node, np.array(2**62), np.array(True), np.array(1, np.float32)) is None


def test_one_input_that_is_computed() -> None:
    model = empty_model(OPSETS)
    kind = helper.make_tensor_type_proto(TensorProto.FLOAT, [1, 2])
    folder = Folder(LargeModel.of(model), 1, Budget(DEFAULT_BYTES, "M"))
    assert folder.fold(make("Add", 2), {"x0": floats(1), "x1": Unknown(kind)}, {"y": kind}) is None


def test_sequences_are_left_to_the_host() -> None:
    with pytest.raises(UnsupportedError, match="is no tensor"):
        fold(make("SequenceConstruct", 1), floats(1))


def test_what_has_no_elements_is_constant_whoever_computes_it() -> None:
    model = empty_model(OPSETS)
    kind = helper.make_tensor_type_proto(TensorProto.FLOAT, [1, 0, 4])
    inputs = {"x0": Unknown(kind)}
    results = Folder(LargeModel.of(model), 1, Budget(DEFAULT_BYTES, "M")).fold(
        make("Relu", 1), inputs, {"y": kind}
    )
    assert results is not None
    assert (results[0].shape, results[0].dtype) == ((1, 0, 4), np.dtype(np.float32))
    assert empty_of(helper.make_tensor_type_proto(TensorProto.FLOAT, [1, 2])) is None
    assert empty_of(helper.make_tensor_type_proto(TensorProto.FLOAT, [0, "n"])) is None
    strings = empty_of(helper.make_tensor_type_proto(TensorProto.STRING, [0]))
    assert strings is not None
    assert strings.dtype == object


# --- bounds ---------------------------------------------------------------------------------------


def test_a_result_that_is_too_large_is_not_made() -> None:
    node = make("Expand", 2)
    with pytest.raises(UnsupportedError, match="its constant result is too large"):
        fold(node, floats(1), np.array([2**20, 2**20]))


def test_a_result_of_unknown_size_is_bounded_by_the_limit() -> None:
    """ONNX does not tell how large it is, and onnxruntime is asked within its own bound."""
    node = make("NonZero", 1)
    with pytest.raises(UnsupportedError, match="too large"):
        fold(node, np.ones(2**20, np.float32), left=2**24)


def test_texts_do_not_double_for_ever() -> None:
    """Each result may have as many characters as all inputs together."""
    words = texts("a" * 2**16)
    with pytest.raises(UnsupportedError, match="its constant result is too large"):
        fold(make("StringConcat", 2), words, words)


def test_long_work_is_refused_before_it_is_done() -> None:
    image, kernel = np.ones((1, 1, 600, 600), np.float32), np.ones((1, 1, 300, 300), np.float32)
    with pytest.raises(UnsupportedError, match="steps, too many"):
        fold(make("Conv", 2), image, kernel)
    node = make("Foo", 1)
    node.domain = "com.example"
    many = np.ones(2**17, np.float32)
    assert steps_of(node, {"x0": many}, [None]) > MOST_STEPS


def test_the_work_of_all_nodes_is_bounded_together() -> None:
    model = empty_model(OPSETS)
    folder = Folder(LargeModel.of(model), 1, Budget(DEFAULT_BYTES, "M"))
    node = make("MatMul", 2)
    matrix = np.ones((64, 64), np.float32)
    kinds = Inference(model, 1).outputs(node, {"x0": matrix, "x1": matrix})
    folder.steps_left = 2 * (64**3 + 2 * 64**2) + 1
    for _ in range(2):
        assert folder.fold(node, {"x0": matrix, "x1": matrix}, kinds) is not None
    with pytest.raises(UnsupportedError, match="steps, too many"):
        folder.fold(node, {"x0": matrix, "x1": matrix}, kinds)


def test_what_onnxruntime_refuses_is_left_to_the_host() -> None:
    with pytest.raises(UnsupportedError, match="its constant inputs cannot be evaluated"):
        fold(make("Gather", 2), floats(1, 2, 3), np.array([7]))


# --- types that onnxruntime is asked for ----------------------------------------------------------


def test_onnxruntime_knows_the_types_of_its_own_operators() -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])
    nodes = [
        helper.make_node("QuickGelu", ["x"], ["a"], domain="com.microsoft"),
        helper.make_node("FusedMatMul", ["a", "w"], ["b"], domain="com.microsoft"),
        helper.make_node("ArgMax", ["b"], ["y"], axis=1),
    ]
    weights = numpy_helper.from_array(np.ones((4, 1000), np.float32), "w")
    y = helper.make_tensor_value_info("y", TensorProto.INT64, None)
    graph = helper.make_graph(nodes, "g", [x], [y], [weights])
    opsets = [helper.make_opsetid(*entry) for entry in OPSETS.items()]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    kinds = typed(model, ["a", "b", "x", "nothing"])
    assert sorted(kinds) == ["a", "b"]
    tensor = kinds["b"].tensor_type
    assert tensor.elem_type == TensorProto.FLOAT
    assert [dim.dim_value or dim.dim_param for dim in tensor.shape.dim] == ["N", 1000]


def test_a_model_that_onnxruntime_does_not_load_has_no_types() -> None:
    node = helper.make_node("Nothing", ["x"], ["y"], domain="com.microsoft")
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    opsets = [helper.make_opsetid(*entry) for entry in OPSETS.items()]
    graph = helper.make_graph([node], "g", [x], [y])
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    assert typed(model, ["y"]) == {}
