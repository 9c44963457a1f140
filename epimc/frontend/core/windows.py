"""Sliding windows: their geometry, from ONNX attributes, and the ops that slide them.

Maps of one spatial axis, [C, L], are maps of one row: [C, 1, L].
"""

from __future__ import annotations

from typing import Any

from epimc.frontend.core.bindings import Padded
from epimc.frontend.core.emitter import Emitter
from epimc.frontend.core.moving import reshaped
from epimc.frontend.core.node import Node, UnsupportedError
from epimc.ir.core.op import Op, Value
from epimc.ir.core.types import as_map
from epimc.ir.semantics.windows import Sides, Window

Map = tuple[int, int, int]
"""[C, H, W]."""


def spatial(node: Node) -> Value:
    """The first input, as something that windows slide over: [C, L] or [C, H, W].

    Raises:
        UnsupportedError: It is anything else.
    """
    value = node.inputs[0]
    if not isinstance(value, Value) or len(value.type.shape) not in (2, 3):
        raise UnsupportedError("only maps [N, C, L] and [N, C, H, W] are supported")
    return value


def spatial_maxima(node: Emitter) -> tuple[Emitter, Value, Sides]:
    """As `spatial`, of a map that may have something less than all numbers around it.

    Returns:
        The node, what it slides over, and how much is around the rows and columns of that.
    """
    x = node.inputs[0]
    if not isinstance(x, Padded):
        return node, spatial(node), (0, 0, 0, 0)
    return node.standing_for(x.location + node.location), x.source, x.around


def slide(node: Emitter, kind: type[Op], x: Value, window: Window, **attributes: Any) -> Value:
    """Append an op that slides a window over x; its result has as many axes as x.

    Args:
        node: For which.
        kind: Of the op.
        x: As `spatial` gives it.
        window: Over x as a map; the op gets its strides, pads and dilations.
        attributes: The op's others.
    """
    shape = x.type.shape
    flat = len(shape) == 2
    source = reshaped(node.part("as_map"), x, as_map(shape))
    result = (node.part("map") if flat else node).emit(
        kind,
        [source],
        strides=window.strides,
        pads=window.pads,
        dilations=window.dilations,
        **attributes,
    )
    channels, height, width = as_map(result.type.shape)
    return reshaped(node, result, (channels, width) if flat else (channels, height, width))


def window_of(node: Node, shape: Map, kernel: tuple[int, ...]) -> Window:
    """The window of a convolution or pool over a feature map, automatic padding resolved.

    Args:
        node: Whose attributes say it.
        shape: Of the map.
        kernel: One number for each spatial axis, (width,) or (height, width), as all attributes.

    Raises:
        UnsupportedError: An attribute has a wrong length or a negative value.
    """
    axes = len(kernel)
    strides = step_of(node, "strides", axes)
    dilations = step_of(node, "dilations", axes)
    if min(kernel) < 1:
        raise UnsupportedError(f"a kernel of {list(kernel)} is not supported")
    window = Window(on_map(kernel, 1), strides, (0, 0, 0, 0), dilations)
    return Window(window.kernel, strides, _pads(node, shape, window, axes), dilations)


def on_map(numbers: tuple[int, ...], least: int) -> tuple[int, int]:
    """(vertical, horizontal) of an attribute; of one number the vertical one is the least."""
    *vertical, horizontal = numbers
    return (vertical[0] if vertical else least), horizontal


def step_of(node: Node, key: str, axes: int) -> tuple[int, int]:
    """The strides or dilations, (vertical, horizontal), of a window over so many spatial axes.

    Raises:
        UnsupportedError: There is another number of them, or one is below 1.
    """
    numbers = node.integers(key, (1,) * axes)
    if min(numbers) < 1:
        raise UnsupportedError(f"{key} = {list(numbers)} is not supported")
    return on_map(numbers, 1)


def stated_pads(node: Node, axes: int) -> Sides:
    """The attribute `pads`, which may be negative, for so many spatial axes.

    Raises:
        UnsupportedError: It has another number of them.
    """
    pads = node.integers("pads", (0,) * 2 * axes)
    return (*on_map(pads[:axes], 0), *on_map(pads[axes:], 0))


def _pads(node: Node, shape: Map, window: Window, axes: int) -> Sides:
    mode = node.text("auto_pad", "NOTSET")
    if mode == "NOTSET":
        pads = stated_pads(node, axes)
        if min(pads) < 0:
            raise UnsupportedError(f"pads = {list(pads)} is not supported")
        return pads
    if mode == "VALID":
        return 0, 0, 0, 0
    if mode not in ("SAME_UPPER", "SAME_LOWER"):
        raise UnsupportedError(f"auto_pad = {mode} is not supported")
    # onnxruntime refuses such a convolution and pools otherwise than ONNX says.
    if window.dilations != (1, 1):
        raise UnsupportedError(f"auto_pad = {mode} with dilations is not supported")
    totals = [_same(shape, window, axis) for axis in (0, 1)]
    # onnxruntime fails on such a pool.
    if min(totals) < 0 and node.op_type != "Conv":
        raise UnsupportedError(f"auto_pad = {mode} with such large strides is not supported")
    return divided((max(totals[0], 0), max(totals[1], 0)), more_behind=mode == "SAME_UPPER")


def divided(totals: tuple[int, int], *, more_behind: bool) -> Sides:
    """Padding of (vertical, horizontal) in all, half of it on each side.

    Args:
        totals: Of two sides together.
        more_behind: Whether of an odd number the side behind gets more.
    """
    vertical, horizontal = totals
    less, more = (vertical // 2, horizontal // 2), (-(-vertical // 2), -(-horizontal // 2))
    return (*less, *more) if more_behind else (*more, *less)


def _same(shape: Map, window: Window, axis: int) -> int:
    """The padding with which the output has ceil(size / stride) rows or columns."""
    size, stride = shape[1 + axis], window.strides[axis]
    outputs = -(-size // stride)
    return (outputs - 1) * stride + window.extent(axis) - size


def _remainders(shape: Map, window: Window) -> tuple[int, int]:
    """Rows and columns of the padded map after the last window: where ceil_mode matters."""
    vertical, horizontal = (
        (size + window.pads[axis] + window.pads[axis + 2] - window.extent(axis))
        % window.strides[axis]
        for axis, size in enumerate(shape[1:])
    )
    return vertical, horizontal


def rounded_up(shape: Map, window: Window) -> Window:
    """A window with more padding at the end, which gives the output size of ceil_mode = 1.

    A last window that would begin behind the image is dropped, as ONNX wants it.
    """
    rest = _remainders(shape, window)
    pads = list(window.pads)
    for axis, size in enumerate(shape[1:]):
        more = (window.strides[axis] - rest[axis]) % window.strides[axis]
        begin = window.output_size(size, axis) * window.strides[axis]
        if more and begin < size + window.pads[axis]:
            pads[axis + 2] += more
    top, left, bottom, right = pads
    return Window(window.kernel, window.strides, (top, left, bottom, right), window.dilations)
