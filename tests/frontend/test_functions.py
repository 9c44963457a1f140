"""Whatever is a function of each element is imported as one, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper
from onnx.helper import make_node

from epimc.frontend import ImportedModel, import_proto
from epimc.frontend.core.functions import FUNCTION_OPSET, model_of, probe
from epimc.frontend.core.jumps import has_jumps
from epimc.ir.interpreter import interpret
from epimc.runtime.guard import run_model

Array = NDArray[Any]
Build = Callable[..., onnx.ModelProto]
Reference = Callable[..., list[Array]]

UNARY = (
    *("Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Cos", "Cosh", "Exp", "Floor"),
    *("Log", "Reciprocal", "Round", "Sign", "Sin", "Sinh", "Sqrt", "Tan"),
)


def imported(model: onnx.ModelProto) -> ImportedModel:
    """The model in the IR."""
    return import_proto(model, "model")


def reasons(imported: ImportedModel) -> list[str]:
    """Why nodes run on the host."""
    return [node.reason for node in imported.nodes if not node.on_chip]


def same(build: Build, reference: Reference, node: onnx.NodeProto, **options: Any) -> list[str]:
    """The ops that stand for a node behind a Neg, which compute what onnxruntime does."""
    inputs = ["n" if name == "x" else name for name in node.input]
    behind = make_node(node.op_type, inputs, node.output)
    behind.attribute.extend(node.attribute)
    model = build([make_node("Neg", ["x"], ["n"]), behind], **options)
    module = imported(model).module
    shape = module.inputs[0][1].type.shape
    x = np.random.default_rng(3).standard_normal((2, *shape)).astype(np.float32)
    (ours,) = interpret(module, {"x": x}, run=run_model).values()
    (theirs,) = reference(model, {"x": x})
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    return [op.name for op in module.ops[1:]]


@pytest.mark.parametrize("op_type", UNARY)
def test_operators_without_a_record(build: Build, reference: Reference, op_type: str) -> None:
    node = make_node(op_type, ["x"], ["y"])
    names = same(build, reference, node, opset=13)
    assert names == ["nn.activation" if op_type == "Exp" else "nn.function"]


def number(value: float, *shape: int) -> Array:
    """One number as a constant."""
    return np.full(shape, value, np.float32)


@pytest.mark.parametrize("shape", [(), (1,), (1, 1), (1, 1, 1, 1)])
@pytest.mark.parametrize(
    ("op_type", "inputs", "value", "attributes"),
    [
        ("Pow", "xc", 3.0, {}),
        ("Pow", "cx", 2.0, {}),
        ("Div", "cx", 3.0, {}),
        ("Mod", "xc", 0.75, {"fmod": 1}),
    ],
)
def test_with_a_number(
    build: Build,
    reference: Reference,
    op_type: str,
    inputs: Sequence[str],
    value: float,
    attributes: dict[str, Any],
    shape: tuple[int, ...],
) -> None:
    node = make_node(op_type, list(inputs), ["y"], **attributes)
    constants = {"c": number(value, *shape)}
    assert same(build, reference, node, constants=constants) == ["nn.function"]


@pytest.mark.parametrize("dims", [(4,), (4, 5), (3, 4, 5)])
def test_of_any_rank(build: Build, reference: Reference, dims: tuple[int, ...]) -> None:
    node = make_node("Shrink", ["x"], ["y"], lambd=0.3, bias=0.1)
    assert same(build, reference, node, inputs={"x": ("N", *dims)}) == ["nn.function"]


def test_an_operator_that_is_newer_than_the_float_model(build: Build) -> None:
    model = build([make_node("Swish", ["x"], ["y"], alpha=0.5)], opset=20)
    model.opset_import[0].version = 24
    module = imported(model).module
    x = np.random.default_rng(3).standard_normal((2, 3, 9, 8)).astype(np.float32)
    (ours,) = interpret(module, {"x": x}, run=run_model).values()
    np.testing.assert_allclose(ours, x / (1 + np.exp(-0.5 * x)), rtol=1e-5, atol=1e-6)


def test_other_domains(build: Build) -> None:
    model = build([make_node("QuickGelu", ["x"], ["y"], domain="com.microsoft", alpha=1.5)])
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    module = imported(model).module
    x = np.random.default_rng(3).standard_normal((2, 3, 9, 8)).astype(np.float32)
    (ours,) = interpret(module, {"x": x}, run=run_model).values()
    np.testing.assert_allclose(ours, x / (1 + np.exp(-1.5 * x)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("op_type", "attributes"),
    [
        ("LogSoftmax", {"axis": -1}),
        ("Hardmax", {"axis": 1}),
        ("LpNormalization", {}),
        ("LRN", {"size": 1}),
        ("MeanVarianceNormalization", {}),
        ("RandomUniformLike", {}),
        ("RandomNormalLike", {"seed": 1.0}),
        ("Bernoulli", {"seed": 1.0}),
        ("Trilu", {}),
        ("Transpose", {}),
        ("Cast", {"to": onnx.TensorProto.INT32}),
        ("Cast", {"to": onnx.TensorProto.DOUBLE}),
        ("IsNaN", {}),
        ("GlobalAveragePool", {}),
        ("Sine", {}),
    ],
)
@pytest.mark.parametrize("rank", [2, 4])
def test_what_is_no_function(op_type: str, attributes: dict[str, Any], rank: int) -> None:
    node = make_node(op_type, ["x"], ["y"], **attributes)
    model = model_of(node, [None], "", 18)
    assert probe(model, model, rank) is None


def test_a_sum_of_what_comes_before_is_no_function() -> None:
    node = make_node("CumSum", ["x", "axis"], ["y"])
    model = model_of(node, [None, np.array(0)], "", 18)
    assert probe(model, model, 2) is None


def test_a_function_must_mean_the_same_in_both_opsets() -> None:
    node = make_node("Log", ["x"], ["y"])
    other = model_of(make_node("Exp", ["x"], ["y"]), [None], "", 18)
    model = model_of(node, [None], "", 18)
    assert probe(model, model, 3) is not None
    assert probe(model, other, 3) is None


@pytest.mark.parametrize("constant", [np.full((9, 8), 2, np.float32), None])
def test_only_numbers_stand_beside_the_input(build: Build, constant: Array | None) -> None:
    names = ["x", "x" if constant is None else "c"]
    constants = {} if constant is None else {"c": constant}
    model = build([make_node("Mod", names, ["y"], fmod=1)], constants=constants)
    assert reasons(imported(model)) == ["it has no form on the chip"]


@pytest.mark.parametrize("op_type", ["Round", "ThresholdedRelu", "Sign"])
def test_what_jumps_is_left_to_the_host_where_that_has_floats(build: Build, op_type: str) -> None:
    turned = make_node("Transpose", ["x"], ["t"], perm=[0, 2, 3, 1])
    model = build([turned, make_node(op_type, ["t"], ["y"])])
    assert "it jumps, and its input comes as floats, which a table rounds" in reasons(
        imported(model)
    )


@pytest.mark.parametrize(
    ("op_type", "attributes", "jumps"),
    [
        *(
            (name, {}, False)
            for name in ("Log", "Sqrt", "Reciprocal", "Exp", "Sin", "Abs", "Acosh")
        ),
        *((name, {}, True) for name in ("Ceil", "Floor", "Round", "Sign")),
        ("Shrink", {"lambd": 0.5, "bias": 0.5}, False),
        ("Shrink", {"lambd": 0.5, "bias": 0.25}, True),
        ("ThresholdedRelu", {"alpha": 200.0}, True),
        ("ThresholdedRelu", {"alpha": 0.0}, False),
    ],
)
def test_jumps(op_type: str, attributes: dict[str, Any], jumps: bool) -> None:
    model = model_of(make_node(op_type, ["x"], ["y"], **attributes), [None], "", 20)
    assert jumps == has_jumps(lambda x: run_model(model, {"x": x.astype(np.float32)})[0])


def test_a_function_of_a_function(build: Build) -> None:
    nodes = [make_node("Sin", ["x"], ["a"]), make_node("Sin", ["a"], ["y"])]
    module = imported(build(nodes)).module
    contents = {module.tensor(op.attributes["model"]).tobytes() for op in module.ops}
    assert (len(module.ops), len(contents)) == (2, 1)


def test_what_changes_nothing_is_no_op(build: Build) -> None:
    nodes = [make_node("Pow", ["x", "one"], ["a"]), make_node("Sin", ["a"], ["y"])]
    names = [op.name for op in imported(build(nodes, constants={"one": number(1)})).module.ops]
    assert names == ["nn.function"]


def test_tensors_of_more_axes(build: Build) -> None:
    nodes = [
        make_node("Reshape", ["x", "five"], ["a"]),
        make_node("Log", ["a"], ["b"]),
        make_node("Reshape", ["b", "four"], ["y"]),
    ]
    shapes = {"five": np.array([-1, 3, 3, 3, 8]), "four": np.array([-1, 3, 9, 8])}
    result = imported(build(nodes, constants=shapes))
    assert [op.name for op in result.module.ops if "rearrange" not in op.name] == ["nn.function"]
    assert not reasons(result)


def test_the_float_model_has_the_opset_of_functions() -> None:
    from epimc.backends.onnx.float_graph import FLOAT_OPSET

    assert FUNCTION_OPSET == FLOAT_OPSET
