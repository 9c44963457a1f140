"""Functions, clips, products, concatenations, pads and reductions compute what onnxruntime does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx.helper import make_node

from epimc.frontend import ImportedModel
from epimc.frontend.operators.elementwise import OPERATORS
from epimc.ir.semantics.functions import FUNCTIONS

Array = NDArray[Any]
Build = Callable[..., onnx.ModelProto]
Compare = Callable[[onnx.ModelProto], ImportedModel]

# The opset that brought an operator; IR_VERSIONS of conftest knows 8, 13, 18 and 26.
OPSETS = {"Celu": 13, "HardSwish": 18, "Mish": 18, "Erf": 13, "ThresholdedRelu": 13}


def ops_of(imported: ImportedModel) -> list[str]:
    """The names of the imported ops."""
    return [op.name for op in imported.module.ops]


def draw(*shape: int, seed: int = 0) -> Array:
    """Random float32 numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("stated", [False, True])
@pytest.mark.parametrize("op_type", sorted(OPERATORS))
def test_functions(build: Build, compare: Compare, op_type: str, stated: bool) -> None:
    function, keys, *_ = OPERATORS[op_type]
    attributes: dict[str, Any] = {
        key: 0.75 - 0.5 * index for index, key in enumerate(keys) if stated
    }
    # Behind another op: what jumps is left to the host where that has floats.
    nodes = [make_node("Neg", ["x"], ["n"]), make_node(op_type, ["n"], ["y"], **attributes)]
    opset = OPSETS.get(op_type, 8)
    _, op = compare(build(nodes, opset=opset)).module.ops
    assert op.name == "nn.activation"
    assert op.attributes["function"] == function
    set_ = {name for name, _ in FUNCTIONS[function].parameters if op.attributes[name] is not None}
    assert len(set_) == len(attributes)


@pytest.mark.parametrize("mode", ["none", "tanh"])
def test_gelu(build: Build, compare: Compare, mode: str) -> None:
    compare(build([make_node("Gelu", ["x"], ["y"], approximate=mode)], opset=26))


@pytest.mark.parametrize("opset", [7, 8, 11, 13, 26])
@pytest.mark.parametrize("shape", [(3, 1, 1), (1,), (1, 3, 1, 1), ()])
def test_prelu(build: Build, compare: Compare, opset: int, shape: tuple[int, ...]) -> None:
    node = make_node("PRelu", ["x", "s"], ["y"])
    (op,) = compare(build([node], constants={"s": draw(*shape)}, opset=opset)).module.ops
    assert op.attributes["alphas"] is not None


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 6.0), (-0.5, None), (None, 0.25), (None, None), (0.5, -0.5), (0.5, 1.0)]
)
@pytest.mark.parametrize("opset", [7, 11, 13, 26])
def test_clip(
    build: Build, compare: Compare, opset: int, low: float | None, high: float | None
) -> None:
    bounds = {"min": low, "max": high}
    present: dict[str, Any] = {key: value for key, value in bounds.items() if value is not None}
    if opset < 11:
        node, constants = make_node("Clip", ["x"], ["y"], **present), {}
    else:
        constants = {key: np.array(value, np.float32) for key, value in present.items()}
        names = [key if key in present else "" for key in bounds]
        node = make_node("Clip", ["x", *names], ["y"])
    if opset < 11 and low is not None and high is not None and low > high:
        pytest.skip("onnxruntime refuses such attributes")
    assert ops_of(compare(build([node], constants=constants, opset=opset))) == ["nn.clip"]


def test_infinite_bounds_do_not_hold(build: Build, compare: Compare) -> None:
    constants = {"low": np.array(-np.inf, np.float32), "high": np.array(np.inf, np.float32)}
    (op,) = compare(
        build([make_node("Clip", ["x", "low", "high"], ["y"])], constants=constants)
    ).module.ops
    assert op.attributes == {"low": None, "high": None}


@pytest.mark.parametrize("opset", [7, 13, 26])
def test_two_activations(build: Build, compare: Compare, opset: int) -> None:
    nodes = [
        make_node("Sub", ["a", "b"], ["s"]),
        make_node("Mul", ["s", "a"], ["m"]),
        make_node("Mul", ["g", "m"], ["p"]),
        make_node("Neg", ["p"], ["y"]),
    ]
    inputs = {"a": ("N", 3, 4, 5), "b": ("N", 3, 4, 5), "g": ("N", 3, 1, 1)}
    imported = compare(build(nodes, inputs, opset=opset))
    assert ops_of(imported) == ["nn.sub", "nn.multiply", "nn.multiply", "nn.affine"]


@pytest.mark.parametrize("opset", [7, 13, 26])
@pytest.mark.parametrize("axis", [1, -3])
def test_concat(build: Build, compare: Compare, opset: int, axis: int) -> None:
    node = make_node("Concat", ["a", "b", "a"], ["y"], axis=axis)
    imported = compare(build([node], {"a": ("N", 3, 4, 5), "b": ("N", 2, 4, 5)}, opset=opset))
    assert ops_of(imported) == ["nn.concat"]
    assert [port.shape for port in imported.outputs] == [(8, 4, 5)]


def test_concat_of_vectors_and_of_one(build: Build, compare: Compare) -> None:
    nodes = [
        make_node("Concat", ["a", "b"], ["c"], axis=-1),
        make_node("Concat", ["c"], ["d"], axis=1),
        make_node("Relu", ["d"], ["y"]),
    ]
    imported = compare(build(nodes, {"a": ("N", 3), "b": ("N", 2)}))
    assert ops_of(imported) == ["nn.concat", "nn.relu"]


@pytest.mark.parametrize(
    ("names", "ops", "pads"),
    [
        (["x", "z"], ["nn.pad"], [(0, 2)]),
        (["z", "x"], ["nn.pad"], [(2, 0)]),
        (["z", "x", "z", "z", "x", "z"], ["nn.pad", "nn.pad", "nn.concat"], [(2, 4), (0, 2)]),
        (["x", "z", "x"], ["nn.pad", "nn.concat"], [(0, 2)]),
    ],
)
def test_concat_with_zeros_pads(
    build: Build, compare: Compare, names: list[str], ops: list[str], pads: list[tuple[int, int]]
) -> None:
    zeros = np.zeros((1, 2, 9, 8), np.float32)
    node = make_node("Concat", names, ["y"], axis=1)
    imported = compare(build([node], {"x": (1, 3, 9, 8)}, {"z": zeros}))
    assert ops_of(imported) == ops
    padded = [op.attributes["channels"] for op in imported.module.ops if op.name == "nn.pad"]
    assert padded == pads
    assert imported.module.outputs[0][1].name == "y"


@pytest.mark.parametrize("opset", [7, 11, 13, 26])
@pytest.mark.parametrize("value", [None, 0.0])
def test_pad(build: Build, compare: Compare, opset: int, value: float | None) -> None:
    widths = [0, 1, 2, 0, 0, 0, 3, 4]
    if opset < 11:
        attributes: dict[str, Any] = {} if value is None else {"value": value}
        node = make_node("Pad", ["x"], ["y"], pads=widths, **attributes)
        model = build([node], opset=opset)
    else:
        constants = {"p": np.array(widths)}
        if value is not None:
            constants["v"] = np.array(value, np.float32)
        model = build([make_node("Pad", ["x", *constants], ["y"])], constants=constants,
                      opset=opset)  # fmt: skip
    (op,) = compare(model).module.ops
    assert (op.attributes["channels"], op.attributes["pads"]) == ((1, 0), (2, 0, 3, 4))


def test_pad_of_some_axes_and_of_nothing(build: Build, compare: Compare) -> None:
    constants = {"p": np.array([1, 2, 3, 4]), "a": np.array([-1, 2]), "n": np.zeros(8, np.int64)}
    nodes = [
        make_node("Pad", ["x", "n"], ["t"]),
        make_node("Pad", ["t", "p", "", "a"], ["y"]),
    ]
    (op,) = compare(build(nodes, constants=constants, opset=18)).module.ops
    assert op.attributes["pads"] == (2, 1, 4, 3)


@pytest.mark.parametrize("opset", [8, 13, 18, 26])
@pytest.mark.parametrize("op_type", ["ReduceMean", "ReduceMax"])
@pytest.mark.parametrize(
    ("axes", "keeps", "shape"),
    [([2, 3], 1, (3, 1, 1)), ([-1, -2], 0, (3,)), ([2], 1, (3, 1, 8)), ([3], 1, (3, 9, 1))],
)
def test_reductions(
    build: Build,
    compare: Compare,
    op_type: str,
    opset: int,
    axes: list[int],
    keeps: int,
    shape: tuple[int, ...],
) -> None:
    as_input = opset >= 18
    constants = {"a": np.array(axes)} if as_input else {}
    attributes: dict[str, Any] = {} if as_input else {"axes": axes}
    node = make_node(op_type, ["x", *constants], ["y"], keepdims=keeps, **attributes)
    imported = compare(build([node], constants=constants, opset=opset))
    assert [port.shape for port in imported.outputs] == [shape]


def test_a_reduction_of_nothing(build: Build, compare: Compare) -> None:
    nodes = [
        make_node("ReduceMean", ["x", "a"], ["r"], noop_with_empty_axes=1),
        make_node("Relu", ["r"], ["y"]),
    ]
    imported = compare(build(nodes, constants={"a": np.zeros(0, np.int64)}, opset=18))
    assert ops_of(imported) == ["nn.relu"]


@pytest.mark.parametrize("opset", [8, 13, 26])
def test_vectors_become_maps(build: Build, compare: Compare, opset: int) -> None:
    axes = {"axes": np.array([2, 3])} if opset >= 13 else {}
    attributes: dict[str, Any] = {} if axes else {"axes": [2, 3]}
    constants = {**axes, "shape": np.array([0, -1, 1, 1]), "flat": np.array([0, 6])}
    nodes = [
        make_node("Unsqueeze", ["x", *axes], ["m"], **attributes),
        make_node("Relu", ["m"], ["r"]),
        make_node("Reshape", ["r", "flat"], ["f"]),
        make_node("Reshape", ["f", "shape"], ["y"]),
    ]
    imported = compare(build(nodes, {"x": ("N", 6)}, constants, opset=opset))
    assert ops_of(imported) == ["nn.rearrange", "nn.relu", "nn.rearrange", "nn.rearrange"]
    assert [port.shape for port in imported.outputs] == [(6, 1, 1)]
