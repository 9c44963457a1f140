"""Importers of quantization: a pair of QuantizeLinear and DequantizeLinear states a range."""

from __future__ import annotations

import numpy as np
import onnx

from epimc.frontend.core.bindings import Array, MoreDims, Rounded
from epimc.frontend.core.elements import by_element
from epimc.frontend.core.emitter import Emitter
from epimc.frontend.core.node import UnsupportedError
from epimc.frontend.core.operator import operator
from epimc.ir.core.op import Value
from epimc.ir.dialects import elementwise

# The smallest and the largest number of each type that activations are quantized to.
LIMITS: dict[int, tuple[int, int]] = {
    onnx.TensorProto.UINT8: (0, 2**8 - 1),
    onnx.TensorProto.INT8: (-(2**7), 2**7 - 1),
    onnx.TensorProto.UINT16: (0, 2**16 - 1),
    onnx.TensorProto.INT16: (-(2**15), 2**15 - 1),
}


@operator("QuantizeLinear", since=10, folds=True, more_dims=True, parameters=(1, 2))
def quantize_linear(node: Emitter) -> Rounded:
    """Per tensor, in front of DequantizeLinear alone: both clip to the range of the type.

    The chip rounds as its own quantization does.
    """
    x = node.inputs[0]
    if not isinstance(x, (Value, MoreDims)):
        raise UnsupportedError("a constant as input 0 is not supported")
    scale, zero_point = _parameters(node)
    if zero_point is None:
        element = node.integer("output_dtype", 0) or onnx.TensorProto.UINT8
    else:
        element = onnx.helper.np_dtype_to_tensor_dtype(zero_point.dtype)
    if element not in LIMITS:
        word = onnx.TensorProto.DataType.Name(element).lower()
        raise UnsupportedError(f"a computed tensor as {word} is not supported")
    zero = 0 if zero_point is None else int(zero_point.ravel()[0])
    low, high = (float(scale * (limit - zero)) for limit in LIMITS[element])
    return Rounded(x, element, float(scale), zero, low, high)


@operator("DequantizeLinear", since=10, folds=True, more_dims=True, parameters=(1, 2))
def dequantize_linear(node: Emitter) -> Value | MoreDims:
    """Behind QuantizeLinear with the same scale and zero point."""
    x = node.inputs[0]
    if not isinstance(x, Rounded):
        raise UnsupportedError("only what QuantizeLinear gives is dequantized on the chip")
    scale, zero_point = _parameters(node)
    zero = 0 if zero_point is None else int(zero_point.ravel()[0])
    if (float(scale), zero) != (x.scale, x.zero_point):
        raise UnsupportedError("another scale or zero point than that of QuantizeLinear")

    @by_element
    def clipped(inner: Emitter) -> Value:
        return inner.emit(elementwise.Clip, [inner.activation()], low=x.low, high=x.high)

    return clipped(Emitter(node.proto, (x.source,), node.result_shape, node.draft))


def _parameters(node: Emitter) -> tuple[np.floating[np.typing.NBitBase], Array | None]:
    """The scale and the zero point, of the whole tensor."""
    scale = node.constant(1)
    zero_point = node.constant(2) if node.has_input(2) else None
    if scale.size != 1 or (zero_point is not None and zero_point.size != 1):
        raise UnsupportedError("only one scale for the whole tensor is supported")
    number = scale.astype(np.float64).ravel()[0]
    if not (np.isfinite(number) and number > 0):
        raise UnsupportedError(f"a scale of {number:g} is not supported")
    return number, zero_point
