"""Single ONNX nodes by onnxruntime; windows over small maps, and the slow way to gather them."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from epimc.ir.semantics.windows import Window
from tests.backends.onnx.agreement import LEVELS, run_onnx

Array = NDArray[Any]


def one_node(
    kind: str, inputs: dict[str, Array], constants: dict[str, Array], **attributes: Any
) -> Any:
    """What onnxruntime computes for one node; the inputs come first, then the constants."""
    types = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), None)
        for name, array in inputs.items()
    ]
    node = helper.make_node(kind, [*inputs, *constants], ["y"], **attributes)
    made = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    result = onnx_type(kind)
    graph = helper.make_graph(
        [node], "g", types, [helper.make_tensor_value_info("y", result, None)], made
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    return run_onnx(model.SerializeToString(), inputs, LEVELS[0])["y"]


def onnx_type(kind: str) -> int:
    """The element type of a node's result."""
    kinds = {"ConvInteger": TensorProto.INT32, "DequantizeLinear": TensorProto.FLOAT}
    return int(kinds.get(kind, TensorProto.UINT8))


@st.composite
def geometries(draw: st.DrawFn, *, pool: bool = False) -> tuple[tuple[int, ...], Window]:
    """A shape [batch, C, H, W] and a window that fits."""
    shape = draw(st.tuples(*(st.integers(1, n) for n in (2, 3, 9, 9))))
    pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel = draw(pairs)
    most = [k - 1 if pool else 4 for k in kernel * 2]
    pads = draw(st.tuples(*(st.integers(0, m) for m in most)))
    window = Window(kernel, draw(pairs), pads, draw(pairs))
    assume(window.output_size(shape[2], 0) >= 1)
    assume(window.output_size(shape[3], 1) >= 1)
    return shape, window


def slow_windows(x: Array, window: Window, fill: int) -> Array:
    """[batch, C, Kh, Kw, Hout, Wout], element by element."""
    batch, channels, height, width = x.shape
    rows, columns = window.output_size(height, 0), window.output_size(width, 1)
    windows = np.full((batch, channels, *window.kernel, rows, columns), fill, x.dtype)
    for u, v, i, j in np.ndindex(*window.kernel, rows, columns):
        y = i * window.strides[0] + u * window.dilations[0] - window.pads[0]
        z = j * window.strides[1] + v * window.dilations[1] - window.pads[1]
        if 0 <= y < height and 0 <= z < width:
            windows[:, :, u, v, i, j] = x[:, :, y, z]
    return windows
