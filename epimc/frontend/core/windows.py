"""The geometry of sliding windows, from ONNX attributes."""

from __future__ import annotations

from epimc.frontend.core.node import Node, UnsupportedError
from epimc.ir.core.op import Value
from epimc.ir.semantics.windows import Window

Pads = tuple[int, int, int, int]


def window_of(node: Node, x: Value, kernel: tuple[int, int]) -> Window:
    """The window of a convolution or pool over a feature map, automatic padding resolved.

    Raises:
        UnsupportedError: An attribute has a wrong length or a negative value.
    """
    strides = _pair(node, "strides")
    dilations = _pair(node, "dilations")
    if min(kernel) < 1:
        raise UnsupportedError(f"a kernel of {list(kernel)} is not supported")
    window = Window(kernel, strides, (0, 0, 0, 0), dilations)
    return Window(kernel, strides, _pads(node, x, window), dilations)


def _pair(node: Node, key: str) -> tuple[int, int]:
    vertical, horizontal = node.integers(key, (1, 1))
    if min(vertical, horizontal) < 1:
        raise UnsupportedError(f"{key} = {[vertical, horizontal]} is not supported")
    return vertical, horizontal


def _pads(node: Node, x: Value, window: Window) -> Pads:
    mode = node.text("auto_pad", "NOTSET")
    if mode == "NOTSET":
        top, left, bottom, right = node.integers("pads", (0, 0, 0, 0))
        if min(top, left, bottom, right) < 0:
            raise UnsupportedError(f"pads = {[top, left, bottom, right]} is not supported")
        return top, left, bottom, right
    if mode == "VALID":
        return 0, 0, 0, 0
    if mode not in ("SAME_UPPER", "SAME_LOWER"):
        raise UnsupportedError(f"auto_pad = {mode} is not supported")
    # onnxruntime refuses such a convolution and pools otherwise than ONNX says.
    if window.dilations != (1, 1):
        raise UnsupportedError(f"auto_pad = {mode} with dilations is not supported")
    totals = [_same(x, window, axis) for axis in (0, 1)]
    # onnxruntime fails on such a pool.
    if min(totals) < 0 and node.op_type != "Conv":
        raise UnsupportedError(f"auto_pad = {mode} with such large strides is not supported")
    vertical, horizontal = (max(total, 0) for total in totals)
    less, more = (vertical // 2, horizontal // 2), (-(-vertical // 2), -(-horizontal // 2))
    return (*less, *more) if mode == "SAME_UPPER" else (*more, *less)


def _same(x: Value, window: Window, axis: int) -> int:
    """The padding with which the output has ceil(size / stride) rows or columns."""
    size, stride = x.type.shape[1 + axis], window.strides[axis]
    outputs = -(-size // stride)
    return (outputs - 1) * stride + window.extent(axis) - size


def remainders(x: Value, window: Window) -> tuple[int, int]:
    """Rows and columns of the padded map after the last window: where ceil_mode matters."""
    vertical, horizontal = (
        (size + window.pads[axis] + window.pads[axis + 2] - window.extent(axis))
        % window.strides[axis]
        for axis, size in enumerate(x.type.shape[1:])
    )
    return vertical, horizontal


def rounded_up(x: Value, window: Window) -> Window:
    """A window with more padding at the end, which gives the output size of ceil_mode = 1.

    A last window that would begin behind the image is dropped, as ONNX wants it.
    """
    rest = remainders(x, window)
    pads = list(window.pads)
    for axis, size in enumerate(x.type.shape[1:]):
        more = (window.strides[axis] - rest[axis]) % window.strides[axis]
        begin = window.output_size(size, axis) * window.strides[axis]
        if more and begin < size + window.pads[axis]:
            pads[axis + 2] += more
    top, left, bottom, right = pads
    return Window(window.kernel, window.strides, (top, left, bottom, right), window.dilations)
