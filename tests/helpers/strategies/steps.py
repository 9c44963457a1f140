"""What a random network is made of: each step appends some nodes that read a value.

A step takes the name of a map [C, H, W] and gives that of its result, a map again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.helpers.strategies.growing_graph import (
    Draw,
    Geometry,
    GrowingGraph,
    Shape,
    geometry,
    same_size,
)
from tests.helpers.strategies.moves import MOVES, Step

MOST_CHANNELS = 12
CHANNELS = st.sampled_from([1, 2, 3, 4, 4, 5, 6, 6, 8, 10])
FIRST, LAST = [0, 3, 1, 2], [0, 2, 3, 1]
"""The orders of dims with the channels in front and behind."""


# --- convolutions ---------------------------------------------------------------------------------


def conv(
    draw: Draw, net: GrowingGraph, x: str, window: Geometry, channels: int, groups: int = 1
) -> str:
    """A convolution, perhaps with a bias and a batch normalization."""
    weights = net.normal(channels, net.shapes[x][0] // groups, *window.kernel)
    if draw(st.integers(0, 9)) == 0:
        weights[draw(st.integers(0, channels - 1))] = 0
    if draw(st.integers(0, 4)) == 0:
        # Channels as unlike as those of a depthwise layer that was trained.
        weights *= np.exp(2 * net.random.standard_normal((channels, 1, 1, 1)))
    inputs = [x, net.constant(weights)]
    if draw(st.booleans()):
        inputs.append(net.constant(net.normal(channels)))
    given = {**window.attributes, **({"group": groups} if groups > 1 else {})}
    y = net.node("Conv", inputs, (channels, *window.size), **given)
    return batch_norm(draw, net, y) if draw(st.booleans()) else y


def batch_norm(draw: Draw, net: GrowingGraph, x: str) -> str:
    """A batch normalization, of a value that perhaps nobody else reads: then it is folded."""
    channels = net.shapes[x][0]
    spread = net.random.uniform(0.5, 2, channels)
    numbers = (spread, net.normal(channels), net.normal(channels), spread[::-1])
    y = net.node("BatchNormalization", [x, *map(net.constant, numbers)], net.shapes[x])
    if draw(st.booleans()) and x not in net.inputs:
        del net.shapes[x]
    return y


def perhaps_relu(draw: Draw, net: GrowingGraph, x: str) -> str:
    """A relu behind it, or nothing."""
    return relu(draw, net, x) if draw(st.booleans()) else x


def any_conv(draw: Draw, net: GrowingGraph, x: str) -> str:
    """A convolution."""
    window = geometry(draw, net.shapes[x][1:])
    return perhaps_relu(draw, net, conv(draw, net, x, window, draw(CHANNELS)))


def grouped_conv(draw: Draw, net: GrowingGraph, x: str) -> str:
    """A convolution in groups, perhaps depthwise, perhaps with several outputs a group."""
    channels, *size = net.shapes[x]
    counts = [n for n in range(2, channels) if channels % n == 0] or [channels]
    groups = draw(st.sampled_from([*counts, *counts, channels]))
    result = groups * draw(st.integers(1, max(1, MOST_CHANNELS // groups)))
    window = geometry(draw, tuple(size))
    return perhaps_relu(draw, net, conv(draw, net, x, window, result, groups))


def separable_conv(draw: Draw, net: GrowingGraph, x: str) -> str:
    """A depthwise convolution and one of single pixels, as in MobileNet."""
    channels, *size = net.shapes[x]
    y = conv(draw, net, x, geometry(draw, tuple(size)), channels, channels)
    y = bounded(draw, net, y)
    return conv(draw, net, y, same_size(net.shapes[y][1:], 1), draw(CHANNELS))


def two_convs(draw: Draw, net: GrowingGraph, x: str) -> str:
    """The sum or difference of two convolutions of one value."""
    window, channels = geometry(draw, net.shapes[x][1:]), draw(st.integers(1, 6))
    both = [conv(draw, net, x, window, channels) for _ in range(2)]
    kind = draw(st.sampled_from(["Add", "Add", "Sub"]))
    return perhaps_relu(draw, net, net.node(kind, both, net.shapes[both[0]]))


def residual(draw: Draw, net: GrowingGraph, x: str) -> str:
    """The sum of a value with a convolution of it, of its size."""
    channels, *size = net.shapes[x]
    both = [x, conv(draw, net, x, same_size(tuple(size), 3), channels)]
    total = net.node("Add", draw(st.permutations(both)), net.shapes[x])
    return perhaps_relu(draw, net, total)


def long_skip(draw: Draw, net: GrowingGraph, x: str) -> str:
    """The sum of a value with what several convolutions make of it: its rows are kept for long."""
    channels, *size = net.shapes[x]
    y = x
    for _ in range(draw(st.integers(3, 5))):
        y = conv(draw, net, y, same_size(tuple(size), 3), channels)
        y = perhaps_relu(draw, net, y)
    return perhaps_relu(draw, net, net.node("Add", [y, x], net.shapes[x]))


# --- between convolutions -------------------------------------------------------------------------


def relu(draw: Draw, net: GrowingGraph, x: str) -> str:
    """A relu."""
    return net.node("Relu", [x], net.shapes[x])


def bounded(draw: Draw, net: GrowingGraph, x: str) -> str:
    """A clip with two bounds, or one, or none."""
    low, high = draw(st.sampled_from([(0.0, 6.0), (-0.5, 0.75), (None, 1.0), (-1.0, None)]))
    bounds = ["" if bound is None else net.constant(np.array(bound)) for bound in (low, high)]
    return net.node("Clip", [x, *bounds], net.shapes[x])


def function(draw: Draw, net: GrowingGraph, x: str) -> str:
    """A function of each element."""
    kind, attributes = draw(st.sampled_from(FUNCTIONS))
    if kind in ("HardSwish", "Mish", "Gelu") and net.opset < 20:
        kind, attributes = "Sigmoid", {}
    return net.node(kind, [x], net.shapes[x], **attributes)


FUNCTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("Abs", {}),
    ("Elu", {"alpha": 0.5}),
    ("Erf", {}),
    ("HardSigmoid", {"alpha": 0.3}),
    ("LeakyRelu", {"alpha": 0.25}),
    ("LeakyRelu", {}),
    ("Sigmoid", {}),
    ("Softplus", {}),
    ("Softsign", {}),
    ("Tanh", {}),
    ("ThresholdedRelu", {"alpha": 0.5}),
    ("HardSwish", {}),
    ("Mish", {}),
    ("Gelu", {}),
    ("Gelu", {"approximate": "tanh"}),
)


def prelu(draw: Draw, net: GrowingGraph, x: str) -> str:
    """A leaky relu with one slope, or one for each channel."""
    shape = draw(st.sampled_from([(1,), (net.shapes[x][0], 1, 1)]))
    return net.node("PRelu", [x, net.constant(net.random.uniform(-0.5, 0.9, shape))], net.shapes[x])


def with_constant(draw: Draw, net: GrowingGraph, x: str) -> str:
    """Arithmetic with a constant, one number or one for each channel, on either side."""
    shape = draw(st.sampled_from([(), (net.shapes[x][0], 1, 1), (1, net.shapes[x][0], 1, 1)]))
    constant = net.constant(net.random.uniform(0.25, 2, shape) * draw(st.sampled_from([1, -1])))
    kind = draw(st.sampled_from(["Add", "Sub", "Mul", "Div"]))
    operands = [x, constant] if kind == "Div" else draw(st.permutations([x, constant]))
    return net.node(kind, operands, net.shapes[x])


def with_another(draw: Draw, net: GrowingGraph, x: str) -> str:
    """Arithmetic with a value of the same shape, perhaps itself."""
    kind = draw(st.sampled_from(["Add", "Add", "Sub", "Mul", "Mul"]))
    other = draw(st.sampled_from(net.alike(x)))
    return perhaps_relu(draw, net, net.node(kind, [x, other], net.shapes[x]))


def gate(draw: Draw, net: GrowingGraph, x: str) -> str:
    """Each channel times a number computed from all of them, as squeeze-and-excitation does."""
    channels = net.shapes[x][0]
    y = net.node("GlobalAveragePool", [x], (channels, 1, 1))
    y = conv(draw, net, y, same_size((1, 1), 1), channels)
    y = net.node(draw(st.sampled_from(["Sigmoid", "HardSigmoid"])), [y], (channels, 1, 1))
    return net.node("Mul", draw(st.permutations([x, y])), net.shapes[x])


def concat(draw: Draw, net: GrowingGraph, x: str) -> str:
    """Channels of several values of one height and width, perhaps the same twice, perhaps zeros."""
    channels, *size = net.shapes[x]
    known = [n for n, shape in net.shapes.items() if len(shape) == 3 and [*shape[1:]] == size]
    branch = conv(draw, net, x, same_size(tuple(size), 1), draw(st.integers(1, 4)))
    others = draw(st.lists(st.sampled_from([branch, *known]), min_size=1, max_size=3))
    total = channels + sum(net.shapes[name][0] for name in others)
    parts = draw(st.permutations([x, *others]))
    if net.batch != "N" and draw(st.integers(0, 3)) == 0:
        zeros = np.zeros((int(net.batch), draw(st.integers(1, 2)), *size))
        parts, total = [*parts, net.constant(zeros)], total + zeros.shape[1]
    joined = net.node("Concat", parts, (total, *size), axis=draw(st.sampled_from([1, -3])))
    # Channels must not grow from step to step.
    shrunk = conv(draw, net, joined, same_size(tuple(size), 1), min(total, MOST_CHANNELS))
    return shrunk if total > MOST_CHANNELS else joined


def pad(draw: Draw, net: GrowingGraph, x: str) -> str:
    """Zeros around it."""
    widths = [draw(st.integers(0, 2)) for _ in range(6)]
    (before, top, left), (after, bottom, right) = widths[:3], widths[3:]
    channels, height, width = net.shapes[x]
    shape = channels + before + after, height + top + bottom, width + left + right
    if shape == net.shapes[x]:
        return x
    return net.node("Pad", [x, net.store(np.array([0, *widths[:3], 0, *widths[3:]]))], shape)


def max_pool(draw: Draw, net: GrowingGraph, x: str) -> str:
    """Maxima."""
    window = geometry(draw, net.shapes[x][1:])
    return net.node("MaxPool", [x], (net.shapes[x][0], *window.size), **window.attributes)


def average_pool(draw: Draw, net: GrowingGraph, x: str) -> str:
    """Means."""
    window = geometry(draw, net.shapes[x][1:], dilated=False)
    attributes: dict[str, Any] = {**window.attributes, "count_include_pad": 1}
    del attributes["dilations"]
    return net.node("AveragePool", [x], (net.shapes[x][0], *window.size), **attributes)


def global_pool(draw: Draw, net: GrowingGraph, x: str) -> str:
    """A mean or maximum over the whole map."""
    kind = draw(st.sampled_from(["GlobalAveragePool", "GlobalMaxPool"]))
    return net.node(kind, [x], (net.shapes[x][0], 1, 1))


def softmax(draw: Draw, net: GrowingGraph, x: str) -> str:
    """What runs on the host."""
    return net.node("Softmax", [x], net.shapes[x], axis=draw(st.integers(1, 3)))


# --- channels last --------------------------------------------------------------------------------


def turned(net: GrowingGraph, x: str, order: list[int]) -> str:
    """A transposition; `x` has the other order of dims."""
    shape = (1, *net.shapes[x])
    return net.node("Transpose", [x], tuple(shape[axis] for axis in order[1:]), perm=order)


def channels_last(draw: Draw, net: GrowingGraph, x: str) -> str:
    """As exports from TensorFlow are: all but convolutions and pools has the channels behind."""
    known = dict(net.shapes)
    y = turned(net, x, LAST)
    for _ in range(draw(st.integers(1, 3))):
        z = turned(net, y, FIRST)
        z = draw(st.sampled_from([any_conv, residual, max_pool, average_pool]))(draw, net, z)
        y = draw(st.sampled_from(BETWEEN_LAST))(draw, net, turned(net, z, LAST))
    result = turned(net, y, FIRST)
    # Only maps with the channels in front are left for the steps behind.
    net.shapes = {**known, result: net.shapes[result]}
    return result


def joined_rows(draw: Draw, net: GrowingGraph, x: str) -> str:
    """A value of rank 4 behind itself along dim 1: with the channels behind, these are rows."""
    height, *rest = net.shapes[x]
    return net.node("Concat", [x, x], (2 * height, *rest), axis=1)


BETWEEN_LAST: tuple[Step, ...] = (relu, bounded, function, with_another, pad, joined_rows)

# --- all steps ------------------------------------------------------------------------------------

STEPS: tuple[Step, ...] = (
    any_conv,
    any_conv,
    grouped_conv,
    grouped_conv,
    grouped_conv,
    separable_conv,
    two_convs,
    residual,
    long_skip,
    with_another,
    with_another,
    with_constant,
    gate,
    batch_norm,
    relu,
    bounded,
    function,
    prelu,
    prelu,
    concat,
    concat,
    pad,
    pad,
    max_pool,
    average_pool,
    channels_last,
    channels_last,
    channels_last,
    *MOVES,
)


def classifier(draw: Draw, net: GrowingGraph, x: str) -> str:
    """Flatten and one or two matmuls, perhaps behind a global pool; a vector."""
    if draw(st.booleans()):
        x = global_pool(draw, net, x)
    shape: Shape = net.shapes[x]
    size = int(np.prod(shape))
    x = net.node("Flatten", [x], (size,), axis=1)
    for _ in range(draw(st.integers(1, 2))):
        x = perhaps_relu(draw, net, matmul(draw, net, x, draw(st.integers(1, 12))))
    return x


def matmul(draw: Draw, net: GrowingGraph, x: str, classes: int) -> str:
    """A Gemm of either order, or a MatMul."""
    weights = net.normal(classes, net.shapes[x][0])
    transposed = draw(st.booleans())
    inputs = [x, net.constant(weights if transposed else weights.T)]
    if not transposed and draw(st.booleans()):
        return net.node("MatMul", inputs, (classes,))
    if draw(st.booleans()):
        inputs.append(net.constant(net.normal(classes)))
    return net.node("Gemm", inputs, (classes,), transB=int(transposed))
