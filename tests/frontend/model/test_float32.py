"""Models of floats that onnxruntime has no kernels for."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto as T
from onnx import helper, numpy_helper

from epimc.backends.onnx.large import LargeModel
from epimc.frontend.model.checks import check_model
from epimc.frontend.model.float32 import elements_in, in_float32, runnable
from epimc.support.diagnostics import EpimcError
from epimc.support.limits import Budget

VALUES = np.random.default_rng(0).standard_normal((2, 3, 5, 5))
WEIGHTS = np.random.default_rng(1).standard_normal((4, 3, 3, 3))


def info(name: str, element: int, *shape: int) -> onnx.ValueInfoProto:
    """A tensor of this type and shape, if one is named."""
    return helper.make_tensor_value_info(name, element, shape or None)


def model_of(element: int, *, inner: int | None = None) -> onnx.ModelProto:
    """A convolution and, in a branch, a sum; all of it, or what is between the ports, of a type."""
    kind = inner or element
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    branches = [
        helper.make_graph(
            [helper.make_node("Add", ["c", "x.float32"], [f"{name}.y"])]
            if name == "then"
            else [helper.make_node("Mul", ["c", "k"], [f"{name}.y"])],
            name,
            [],
            [info(f"{name}.y", kind)],
            [numpy_helper.from_array(np.full((), 2).astype(dtype), "k")] if name == "else" else [],
        )
        for name in ("then", "else")
    ]
    nodes = [
        helper.make_node("Cast", ["x"], ["x.in"], to=kind),
        helper.make_node("Conv", ["x.in", "w"], ["c"], "conv"),
        helper.make_node("Constant", [], ["x.float32"], value=scalar(3, dtype)),
        helper.make_node("If", ["b"], ["t"], then_branch=branches[0], else_branch=branches[1]),
        helper.make_node("Cast", ["t"], ["y"], to=element),
        helper.make_node("Identity", ["y"], ["z"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [info("x", element, 2, 3, 5, 5), info("b", T.BOOL, 1)],
        [info("y", element), info("z", element)],
        [numpy_helper.from_array(WEIGHTS.astype(dtype), "w")],
        value_info=[info("c", kind, 2, 4, 3, 3)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)


def scalar(value: float, dtype: Any) -> T:
    """A tensor of one number."""
    return numpy_helper.from_array(np.full((), value).astype(dtype))


def run(model: onnx.ModelProto, x: NDArray[Any], branch: bool) -> list[NDArray[Any]]:
    """What onnxruntime gives."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return list(session.run(None, {"x": x, "b": np.array([branch])}))


@pytest.mark.parametrize(
    ("model", "port"),
    [
        (model_of(T.DOUBLE), "float64"),
        (model_of(T.BFLOAT16), "float32"),
        (model_of(T.FLOAT, inner=T.DOUBLE), "float32"),
        (model_of(T.FLOAT, inner=T.BFLOAT16), "float32"),
        (model_of(T.DOUBLE, inner=T.BFLOAT16), "float64"),
    ],
)
@pytest.mark.parametrize("branch", [True, False])
def test_the_same_in_float32(model: onnx.ModelProto, port: str, branch: bool) -> None:
    before = model.SerializeToString(deterministic=True)
    result = runnable(LargeModel.of(model), Budget(2**30, "It")).message()
    assert model.SerializeToString(deterministic=True) == before
    check_model(result)
    outputs = run(result, VALUES.astype(port), branch)
    expected = run(model_of(T.FLOAT), VALUES.astype(np.float32), branch)
    for output, true in zip(outputs, expected, strict=True):
        assert output.dtype == port
        # Weights of bfloat16 have eight bits.
        np.testing.assert_allclose(output, true, rtol=0.1, atol=0.1)


@pytest.mark.parametrize(
    "model",
    [
        model_of(T.FLOAT),
        model_of(T.FLOAT16),
        # It has kernels for this one.
        helper.make_model(
            helper.make_graph(
                [helper.make_node("Relu", ["x"], ["y"])],
                "g",
                [info("x", T.DOUBLE, 1, 3)],
                [info("y", T.DOUBLE)],
            ),
            opset_imports=[helper.make_opsetid("", 17)],
            ir_version=8,
        ),
    ],
)
def test_others_stay_as_they_are(model: onnx.ModelProto) -> None:
    assert runnable(LargeModel.of(model), Budget(2**30, "It")).proto is model


def test_nothing_rare_is_left() -> None:
    left = set(elements_in(in_float32(LargeModel.of(model_of(T.BFLOAT16))).proto))
    assert left & {T.DOUBLE, T.BFLOAT16, T.FLOAT} == {T.FLOAT}


def test_a_copy_is_paid_for() -> None:
    with pytest.raises(EpimcError) as caught:
        runnable(LargeModel.of(model_of(T.DOUBLE)), Budget(100, "It"))
    assert caught.value.diagnostic.message == "It needs more memory than the limit of 100 bytes."
