"""Steps that move elements, or compute with arrays: what newer networks have between layers.

A step that would do nothing gives x itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.helpers.strategies.growing_graph import Draw, GrowingGraph, geometry

Step = Callable[[Draw, GrowingGraph, str], str]


def uneven_mean(draw: Draw, net: GrowingGraph, x: str) -> str:
    """Means that do not count the padding, or whose last windows are cut off."""
    window = geometry(draw, net.shapes[x][1:], dilated=False)
    attributes: dict[str, Any] = {**window.attributes, "count_include_pad": 0}
    del attributes["dilations"]
    size = window.size
    counts = [
        full_count(length, window.kernel[k], window.strides[k], window.pads[k::2])
        for k, length in enumerate(net.shapes[x][1:])
    ]
    if 0 not in counts and draw(st.booleans()):
        attributes["ceil_mode"] = 1
        size = (counts[0], counts[1])
    return net.node("AveragePool", [x], (net.shapes[x][0], *size), **attributes)


def full_count(length: int, kernel: int, stride: int, pads: tuple[int, ...]) -> int:
    """How many windows there are along a dim where the last may be cut off.

    0 where that one would begin in the padding: onnx's shape inference counts it before opset 22,
    onnxruntime does not.
    """
    count = -(-(length + sum(pads) - kernel) // stride) + 1
    return count if (count - 1) * stride < length + pads[0] else 0


def mean_of_lines(draw: Draw, net: GrowingGraph, x: str) -> str:
    """The mean over rows, or over columns."""
    axis = draw(st.sampled_from([2, 3]))
    shape = list(net.shapes[x])
    shape[axis - 1] = 1
    if net.opset < 18:
        return net.node("ReduceMean", [x], tuple(shape), axes=[axis], keepdims=1)
    return net.node("ReduceMean", [x, net.store(np.array([axis]))], tuple(shape), keepdims=1)


def sliced(draw: Draw, net: GrowingGraph, x: str) -> str:
    """Every or every other one of some channels, rows and columns."""
    starts, ends, steps, shape = [], [], [], []
    for size in net.shapes[x]:
        start = draw(st.integers(0, size - 1))
        end = draw(st.integers(start + 1, size))
        step = draw(st.integers(1, 2))
        starts.append(start)
        ends.append(end if end < size else 2**31)
        steps.append(step)
        shape.append(-(-(end - start) // step))
    if tuple(shape) == net.shapes[x]:
        return x
    stored = [net.store(np.array(numbers)) for numbers in (starts, ends, [1, 2, 3], steps)]
    return net.node("Slice", [x, *stored], tuple(shape))


def split(draw: Draw, net: GrowingGraph, x: str) -> str:
    """Cut in two along a dim; the parts come again in the other order, or as their sum."""
    shape = net.shapes[x]
    axes = [axis for axis, size in enumerate(shape) if size > 1]
    if not axes:
        return x
    axis = draw(st.sampled_from(axes))
    first = draw(st.integers(1, shape[axis] - 1))
    parts = []
    for start, end in ((0, first), (first, shape[axis])):
        stored = [net.store(np.array([number])) for number in (start, end, axis + 1)]
        part = (*shape[:axis], end - start, *shape[axis + 1 :])
        parts.append(net.node("Slice", [x, *stored], part))
    if net.shapes[parts[0]] == net.shapes[parts[1]] and draw(st.booleans()):
        return net.node("Add", parts, net.shapes[parts[0]])
    return net.node("Concat", parts[::-1], shape, axis=axis + 1)


def shuffled(draw: Draw, net: GrowingGraph, x: str) -> str:
    """Channels in another order, by way of five dims, as ShuffleNet has it."""
    channels, *size = net.shapes[x]
    groups = draw(st.sampled_from([n for n in range(2, channels) if channels % n == 0] or [1]))
    if groups == 1:
        return x
    known = dict(net.shapes)
    y = reshaped(net, x, (groups, channels // groups, *size))
    swapped = (channels // groups, groups, *size)
    y = net.node("Transpose", [y], swapped, perm=[0, 2, 1, 3, 4])
    result = reshaped(net, y, (channels, *size))
    # The values of five dims are not for the steps behind.
    net.shapes = {**known, result: net.shapes[result]}
    return result


def reshaped(net: GrowingGraph, x: str, shape: tuple[int, ...]) -> str:
    """Cut anew, the samples as they are."""
    return net.node("Reshape", [x, net.store(np.array([0, *shape]))], shape)


def enlarged(draw: Draw, net: GrowingGraph, x: str) -> str:
    """Each pixel several times, as necks of detectors have it."""
    channels, height, width = net.shapes[x]
    down, across = draw(st.sampled_from([(1, 2), (2, 1), (2, 2)]))
    scales = net.constant(np.array([1, 1, down, across]))
    return net.node(
        "Resize",
        [x, "", scales],
        (channels, height * down, width * across),
        mode="nearest",
        nearest_mode="floor",
        coordinate_transformation_mode="asymmetric",
    )


def padded_otherwise(draw: Draw, net: GrowingGraph, x: str) -> str:
    """A border of numbers other than 0: a constant, or what lies at the border."""
    mode = draw(st.sampled_from(["constant", "edge", "reflect"]))
    widths = [0, 0, 0]
    ends = [0, 0, 0]
    for axis, size in enumerate(net.shapes[x]):
        most = 2 if mode != "reflect" else min(2, size - 1)
        widths[axis], ends[axis] = draw(st.integers(0, most)), draw(st.integers(0, most))
    shape = tuple(a + b + c for a, b, c in zip(net.shapes[x], widths, ends, strict=True))
    if shape == net.shapes[x]:
        return x
    inputs = [x, net.store(np.array([0, *widths, 0, *ends]))]
    if mode == "constant":
        inputs.append(net.constant(np.array(draw(st.sampled_from([-1.0, 0.5])))))
    return net.node("Pad", inputs, shape, mode=mode)


def with_array(draw: Draw, net: GrowingGraph, x: str) -> str:
    """Arithmetic with a constant that varies along rows, columns or all."""
    channels, height, width = net.shapes[x]
    shapes = [(height, width), (channels, height, width), (1, height, 1), (width,)]
    constant = net.constant(net.random.uniform(0.25, 2, draw(st.sampled_from(shapes))))
    kind = draw(st.sampled_from(["Add", "Sub", "Mul"]))
    return net.node(kind, draw(st.permutations([x, constant])), net.shapes[x])


def largest_of(draw: Draw, net: GrowingGraph, x: str) -> str:
    """The larger, or the smaller, of two values of one shape."""
    kind = draw(st.sampled_from(["Max", "Min"]))
    return net.node(kind, [x, draw(st.sampled_from(net.alike(x)))], net.shapes[x])


MOVES: tuple[Step, ...] = (
    uneven_mean,
    uneven_mean,
    mean_of_lines,
    sliced,
    split,
    shuffled,
    enlarged,
    enlarged,
    padded_otherwise,
    with_array,
    with_array,
    largest_of,
)
