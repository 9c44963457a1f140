"""What is made of models before their nodes are imported: functions, sparse tensors, branches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, parser

from epimc.frontend import ImportedModel, import_proto
from epimc.frontend.model.preparation import prepared
from epimc.frontend.model.scopes import DEEPEST_GRAPHS
from epimc.support.diagnostics import EpimcError
from epimc.support.limits import DEEPEST, DEFAULT_BYTES, MOST_NODES, Budget

Array = NDArray[Any]
Build = Callable[..., onnx.ModelProto]
Compare = Callable[[onnx.ModelProto], ImportedModel]


def error_of(model: onnx.ModelProto, limit_bytes: int = DEFAULT_BYTES) -> str:
    """The message with which a model is refused."""
    with pytest.raises(EpimcError) as caught:
        import_proto(model, "model", limit_bytes=limit_bytes)
    assert caught.value.exit_code == 2
    return str(caught.value)


def kinds_of(imported: ImportedModel) -> list[str]:
    """The names of a module's ops."""
    return [op.name for op in imported.module.ops]


# --- functions ------------------------------------------------------------------------------------

NESTED = """
<ir_version: 9, opset_import: ["": 17, "own": 1]>
agraph (float[N, 4] x) => (float[N, 4] y)
<float w = {0.5}, float[4] t = {1.0, 1.0, 1.0, 1.0}>
{
  a = own.Scaled <slope = 0.25> (x, w)
  b = own.Scaled (a)
  y = own.Twice (b)
}
<domain: "own", opset_import: ["": 15]>
Scaled <slope: float = 0.75> (x, w) => (y)
{
  t = Elu <alpha: float = @slope> (x)
  y = Clip (t, w)
}
<domain: "own", opset_import: ["": 17, "own": 1]>
Twice (x) => (y)
{
  z = own.Scaled (x)
  yes = Constant <value_int = 1> ()
  c = Cast <to = 9> (yes)
  y = If (c) <
    then_branch = one () => (float[N, 4] t) { t = Neg (z) },
    else_branch = two () => (float[N, 4] t) { t = own.Scaled (z) }>
}
"""


def test_functions_are_inlined(compare: Compare) -> None:
    """Called by others, with defaults, without an optional input, of another opset."""
    kinds = kinds_of(compare(parser.parse_model(NESTED)))
    # Three times Elu, once with a bound behind it, and Neg.
    assert len(kinds) == 7, kinds


def test_the_model_is_left_as_it_is() -> None:
    model = parser.parse_model(NESTED)
    before = model.SerializeToString(deterministic=True)
    imported = import_proto(model, "m")
    assert imported.model.proto is model
    assert model.SerializeToString(deterministic=True) == before


def test_without_functions_and_sparse_tensors_there_is_nothing_to_do(build: Build) -> None:
    model = build([helper.make_node("Relu", ["x"], ["y"])])
    assert prepared(model, Budget(DEFAULT_BYTES, "M")) is model


def chain(levels: int, calls: int) -> onnx.ModelProto:
    """A function of one node, and others that call the one below them some times."""
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    functions = [
        helper.make_function(
            "own", "F0", ["a"], ["b"], [helper.make_node("Neg", ["a"], ["b"])], opsets
        )
    ]
    for level in range(1, levels + 1):
        names = ["a", *(f"t{number}" for number in range(1, calls)), "b"]
        nodes = [
            helper.make_node(f"F{level - 1}", [names[k]], [names[k + 1]], domain="own")
            for k in range(calls)
        ]
        functions.append(helper.make_function("own", f"F{level}", ["a"], ["b"], nodes, opsets))
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 2]) for name in "xy")
    node = helper.make_node(f"F{levels}", ["x"], ["y"], domain="own")
    graph = helper.make_graph([node], "g", [x], [y])
    return helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=8)


def test_functions_that_double_are_counted_before_they_are_inlined() -> None:
    assert error_of(chain(40, 2)) == (
        f"error: The model has {2**40} nodes with its functions inlined; the limit is {MOST_NODES}."
    )


def test_functions_of_endless_depth() -> None:
    with pytest.raises(EpimcError) as caught:
        prepared(chain(3000, 1), Budget(DEFAULT_BYTES, "M"))
    assert str(caught.value) == (
        f"error: The model's functions call one another more than {DEEPEST} deep."
    )
    # ONNX's own checker is the first to say so.
    assert error_of(chain(3000, 1))
    assert import_proto(chain(DEEPEST - 1, 1), "m").module.ops


def test_functions_that_call_themselves() -> None:
    model = chain(2, 1)
    model.functions[0].node[0].op_type = "F2"
    model.functions[0].node[0].domain = "own"
    with pytest.raises(EpimcError, match=r"Functions of the model call themselves: 'own\.F"):
        prepared(model, Budget(DEFAULT_BYTES, "M"))
    assert error_of(model)


def test_large_functions_that_are_called_often() -> None:
    model = chain(9, 2)
    weights = numpy_helper.from_array(np.zeros((1, 2**18), np.float32), "w")
    constant = helper.make_node("Constant", [], ["w"], value=weights)
    model.functions[0].node.append(constant)
    message = error_of(model, limit_bytes=2**30)
    assert message.startswith("error: Model 'model' needs more memory than the limit of 1073741824")
    assert "The model with its functions inlined takes " in message


# --- sparse tensors -------------------------------------------------------------------------------


def sparse(values: list[float], indices: Any, dims: list[int]) -> onnx.SparseTensorProto:
    """A sparse tensor s of float32."""
    held = numpy_helper.from_array(np.array(values, np.float32), "s")
    places = numpy_helper.from_array(np.array(indices, np.int64), "s.indices")
    return helper.make_sparse_tensor(held, places, dims)


def sparse_model(build: Build, tensor: onnx.SparseTensorProto) -> onnx.ModelProto:
    """x and s multiplied."""
    model = build([helper.make_node("MatMul", ["x", "s"], ["y"])], {"x": ("N", 3)})
    model.graph.sparse_initializer.append(tensor)
    return model


@pytest.mark.parametrize(
    "indices", [[1, 4, 6], [[0, 1], [2, 0], [3, 0]]], ids=["flattened", "by axes"]
)
def test_sparse_initializers(build: Build, indices: Any) -> None:
    if np.ndim(indices) == 1:
        dims, dense = [3, 4], [[0, 2, 0, 0], [3, 0, 4, 0], [0, 0, 0, 0]]
    else:
        dims, dense = [4, 2], [[0, 2], [0, 0], [3, 0], [4, 0]]
    model = build([helper.make_node("MatMul", ["x", "s"], ["y"])], {"x": ("N", dims[0])})
    model.graph.sparse_initializer.append(sparse([2, 3, 4], indices, dims))
    (made,) = prepared(model, Budget(DEFAULT_BYTES, "M")).graph.initializer
    assert made.name == "s"
    np.testing.assert_array_equal(numpy_helper.to_array(made), np.array(dense, np.float32))
    assert import_proto(model, "m").module.ops


def test_sparse_constants(build: Build, compare: Compare) -> None:
    node = helper.make_node("Constant", [], ["s"])
    node.attribute.append(helper.make_attribute("sparse_value", sparse([2, 3], [0, 4], [3, 2])))
    nodes = [node, helper.make_node("MatMul", ["x", "s"], ["y"])]
    compare(build(nodes, {"x": ("N", 3)}))


@pytest.mark.parametrize(
    ("tensor", "why"),
    [
        (sparse([1, 2], [0, 12], [3, 4]), "its indices do not fit its shape [3, 4]"),
        (sparse([1, 2], [-1, 2], [3, 4]), "its indices do not fit its shape [3, 4]"),
        (sparse([1], [0, 2], [3, 4]), "its indices do not fit its shape [3, 4]"),
        (sparse([1, 2], [[0, 0], [3, 0]], [3, 4]), "its indices do not fit its shape [3, 4]"),
        (sparse([1, 2], [[0], [3]], [3, 4]), "its indices do not fit its shape [3, 4]"),
        (sparse([1, 2], [5, 5], [3, 4]), "an index comes twice"),
        (sparse([1], [0], [-3, 4]), "it has the shape [-3, 4]"),
    ],
)
def test_damaged_sparse_tensors(build: Build, tensor: onnx.SparseTensorProto, why: str) -> None:
    model = sparse_model(build, tensor)
    with pytest.raises(EpimcError) as caught:
        prepared(model, Budget(DEFAULT_BYTES, "M"))
    assert str(caught.value) == (
        f"error: Sparse tensor 's' is damaged: {why}.\n  hint: Download or export the model again."
    )
    # ONNX's own checker may be the first to say so.
    assert error_of(model)


def test_enormous_sparse_tensors_are_not_made(build: Build) -> None:
    message = error_of(sparse_model(build, sparse([1], [0], [2**20, 2**20])))
    assert message.startswith("error: Model 'model' needs more memory than the limit of")
    assert "Sparse tensor 's' takes 4398046511104 bytes" in message


# --- branches -------------------------------------------------------------------------------------


def branch(text: str) -> onnx.GraphProto:
    """A graph of its text."""
    return parser.parse_graph(text)


THEN = branch("one () => (float[N, 4] r) <float[4] w = {1.0, 2.0, 3.0, 4.0}> { r = Add (x, w) }")
ELSE = branch("two () => (float[N, 4] r) { w = Neg (x) r = Mul (w, w) }")


@pytest.mark.parametrize("condition", [True, False])
def test_the_branch_of_a_decided_if(build: Build, compare: Compare, condition: bool) -> None:
    """Both use names of each other, and see those around them."""
    nodes = [
        helper.make_node("If", ["c"], ["a"], "first", then_branch=THEN, else_branch=ELSE),
        helper.make_node("If", ["c"], ["b"], "second", then_branch=ELSE, else_branch=THEN),
        helper.make_node("Sub", ["a", "b"], ["y"]),
    ]
    constants = {"c": np.array([condition])}
    imported = compare(build(nodes, {"x": ("N", 4)}, constants))
    assert len(kinds_of(imported)) == 4


def test_an_if_that_shapes_decide(build: Build, compare: Compare) -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "one"], ["k"]),
        helper.make_node("Equal", ["k", "four"], ["c"]),
        helper.make_node("If", ["c"], ["y"], then_branch=THEN, else_branch=ELSE),
    ]
    constants = {"one": np.array(1), "four": np.array(4)}
    imported = compare(build(nodes, {"x": ("N", 4)}, constants))
    assert kinds_of(imported) == ["nn.affine"]


def test_branches_in_branches(build: Build, compare: Compare) -> None:
    """The inner one sees names of the outer one, and gives a tensor of outside as it is."""
    inner_then = branch("a () => (float[N, 4] q, float[N, 4] p) { q = Relu (w) p = Neg (r) }")
    inner_else = branch("b () => (float[N, 4] q, float[N, 4] p) { q = Neg (w) p = Relu (r) }")
    outer = helper.make_graph(
        [
            helper.make_node("Neg", ["x"], ["w"]),
            helper.make_node("Relu", ["x"], ["r"]),
            helper.make_node(
                "If", ["c"], ["q", "p"], then_branch=inner_then, else_branch=inner_else
            ),
            helper.make_node("Add", ["q", "p"], ["z"]),
        ],
        "outer",
        [],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 4]) for name in ("z", "x0")],
    )
    outer.node.append(helper.make_node("Identity", ["x"], ["x0"]))
    nodes = [
        helper.make_node("If", ["c"], ["a", "b"], "if", then_branch=outer, else_branch=outer),
        helper.make_node("Add", ["a", "b"], ["y"]),
    ]
    compare(build(nodes, {"x": ("N", 4)}, {"c": np.array(True)}))


@pytest.mark.parametrize("depth", [DEEPEST_GRAPHS + 2, 1000])
def test_branches_that_are_too_deep(build: Build, depth: int) -> None:
    """As no file can have them: protobuf reads no such message."""
    model = build([helper.make_node("Relu", ["x"], ["r"])], {"x": ("N", 4)}, outputs=["r"])
    graph = model.graph
    for _ in range(depth):
        node = graph.node.add(op_type="If", input=["c"], output=["y"], name="if")
        node.attribute.add(name="else_branch", type="GRAPH").g.CopyFrom(ELSE)
        graph = node.attribute.add(name="then_branch", type="GRAPH").g
    graph.CopyFrom(THEN)
    assert error_of(model) == (
        f"error: The graphs of nodes lie in one another more than {DEEPEST_GRAPHS} deep.\n"
        "  --> node 'if' (If)"
    )
