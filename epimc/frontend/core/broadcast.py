"""How constants and activations of different shapes meet in an operator of each element."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.frontend.core.emitter import Emitter
from epimc.frontend.core.moving import rearranged, selected
from epimc.frontend.core.node import UnsupportedError
from epimc.ir.core.op import Op, Value
from epimc.ir.dialects import moves
from epimc.ir.semantics.layouts import Runs

Wide = NDArray[np.float64]
Shape = tuple[int, ...]


def of_sample(constant: NDArray[Any], shape: Shape, batch: int) -> Wide:
    """A constant that is broadcast over an activation, for one sample: of its rank.

    Args:
        constant: As the model has it.
        shape: Of one sample of the activation.
        batch: What ONNX shapes have on axis 0.

    Raises:
        UnsupportedError: It does not fit, or differs from sample to sample.
    """
    full = (batch, *shape)
    # ONNX aligns shapes at their last dims, and repeats what is missing before.
    sizes = (1,) * (len(full) - constant.ndim) + constant.shape
    fits = len(sizes) == len(full) and sizes[0] in (1, batch)
    fits = fits and all(1 in (s, f) or s == f for s, f in zip(sizes[1:], shape, strict=True))
    if not fits:
        raise UnsupportedError(
            f"a constant of shape {list(constant.shape)} on an activation of shape {list(full)} "
            "is not supported"
        )
    values = constant.reshape(sizes).astype(np.float64)
    if not (values == values[:1]).all():
        raise UnsupportedError("a constant that differs from sample to sample is not supported")
    first: Wide = values[0]
    return first


def reduced(values: Wide, shape: Shape) -> Wide:
    """The same values with size 1 along every dim of a shape along which they are equal.

    A dim that they have and the shape has not stays: there the result is larger than the shape.
    """
    for axis, size in enumerate(shape):
        first = values.take([0], axis)
        if values.shape[axis] <= size and (values == first).all():
            values = first
    return values


def per_channel(constant: NDArray[Any], shape: Shape, batch: int) -> Wide:
    """The values [C] by which a constant acts on an activation [C, …] when it is broadcast.

    Raises:
        UnsupportedError: It makes the result larger, or differs within a channel.
    """
    values = reduced(of_sample(constant, shape, batch), shape)
    if any(s > f for s, f in zip(values.shape, shape, strict=True)):
        raise UnsupportedError(
            f"a constant of shape {list(constant.shape)} on an activation of shape "
            f"{[batch, *shape]} is not supported"
        )
    if values.size > len(values):
        raise UnsupportedError("a constant that differs within a channel is not supported")
    return np.array(np.broadcast_to(values.ravel(), shape[:1]))


def channel_axis(values: Wide, shape: Shape) -> int | None:
    """The dim of the sample along which a reduced constant differs, 0 for none.

    None where it differs along several, or makes the result larger.
    """
    axes = [axis for axis, size in enumerate(values.shape) if size > 1]
    if len(axes) > 1 or any(s > f for s, f in zip(values.shape, shape, strict=True)):
        return None
    return axes[0] if axes else 0


def _turned(node: Emitter, x: Value, axis: int) -> Value:
    """The value with a dim first that is its channels from here on; x itself for dim 0."""
    if axis == 0:
        return x
    order = axis, *(other for other in range(len(x.type.shape)) if other != axis)
    shape = tuple(x.type.shape[k] for k in order)
    return rearranged(node.part("turned"), x, order, shape)


def _turned_back(node: Emitter, x: Value, axis: int) -> Value:
    """The inverse of `_turned`, under the name of the node's result."""
    if axis == 0:
        return x
    order = tuple(0 if k == axis else k + (k < axis) for k in range(len(x.type.shape)))
    shape = tuple(x.type.shape[k] for k in order)
    return rearranged(node, x, order, shape)


def along_channels(
    node: Emitter, x: Value, axis: int, kind: type[Op], /, **attributes: Any
) -> Value:
    """An op with a number for each channel, done along any dim of x: turned, done, turned back."""
    first = _turned(node, x, axis)
    result = (node.part("turned") if axis else node).emit(kind, [first], **attributes)
    return _turned_back(node, result, axis)


def constant_value(node: Emitter, values: Wide, of: int) -> Value:
    """The constant input of a number as a value: of the shape of one sample."""
    return node.part("constant").emit(moves.Constant, [], value=node.store(values, of=of))


def expanded(node: Emitter, x: Value, shape: Shape) -> Value:
    """The value repeated along dims of size 1, up to a shape; x itself where it has that.

    Raises:
        UnsupportedError: It cannot be broadcast so.
    """
    own = x.type.shape
    if own == shape:
        return x
    if len(own) != len(shape) or any(s not in (1, f) for s, f in zip(own, shape, strict=True)):
        raise UnsupportedError(f"broadcasting {list(own)} to {list(shape)} is not supported")
    runs: list[Runs] = [
        () if size == wanted else ((0, wanted, 0),) for size, wanted in zip(own, shape, strict=True)
    ]
    return selected(node, x, runs)


def common_shape(values: list[Value]) -> Shape:
    """The shape to which values are broadcast.

    Raises:
        UnsupportedError: They have different ranks, or sizes that do not fit.
    """
    shapes = [value.type.shape for value in values]
    try:
        common = np.broadcast_shapes(*shapes)
    except ValueError:
        common = ()
    if any(len(shape) != len(common) for shape in shapes):
        shown = " and ".join(str(list(shape)) for shape in shapes)
        raise UnsupportedError(f"activations of shapes {shown} are not supported")
    return common
