"""Random networks: chains of steps, with branches, several inputs and several outputs."""

from __future__ import annotations

import numpy as np
import onnx
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.helpers.strategies.growing_graph import Draw, GrowingGraph, same_size
from tests.helpers.strategies.steps import (
    CHANNELS,
    LAST,
    MOST_CHANNELS,
    STEPS,
    any_conv,
    classifier,
    conv,
    relu,
    softmax,
    turned,
)

MOST_ELEMENTS = 3000
"""Of a map: behind a larger one a convolution with strides comes next."""


@st.composite
def networks(draw: Draw) -> tuple[onnx.ModelProto, dict[str, NDArray[np.float32]]]:
    """A model, and samples for its inputs."""
    batches: list[int | str] = ["N", "N", 1, 3]
    net = GrowingGraph(
        np.random.default_rng(draw(st.integers(0, 2**32 - 1))),
        draw(st.sampled_from(batches)),
        draw(st.sampled_from([13, 20])),
    )
    shapes = st.tuples(CHANNELS, st.integers(2, 12), st.integers(2, 10))
    x, outputs = net.input(draw(shapes)), []
    kind = draw(st.sampled_from(["one", "one", "alike", "apart"]))
    if kind == "alike":
        x = merged(draw, net, x, net.input(net.shapes[x]))
    elif kind == "apart":
        outputs.append(any_conv(draw, net, net.input(draw(shapes))))
    for step in draw(st.lists(st.sampled_from(STEPS), min_size=3, max_size=6)):
        x = smaller(draw, net, step(draw, net, x))
    if x in net.inputs:
        x = relu(draw, net, x)
    outputs = list(dict.fromkeys([*ends(draw, net, x), *outputs]))
    return net.model(outputs), net.samples(draw(st.integers(2, 5)))


def merged(draw: Draw, net: GrowingGraph, x: str, other: str) -> str:
    """The sum, product or difference of two inputs, one of them behind a convolution."""
    channels, *size = net.shapes[other]
    y = conv(draw, net, other, same_size(tuple(size), 1), channels)
    return net.node(draw(st.sampled_from(["Add", "Sub", "Mul"])), [x, y], net.shapes[x])


def smaller(draw: Draw, net: GrowingGraph, x: str) -> str:
    """A map of at most MOST_ELEMENTS and not many channels."""
    channels = net.shapes[x][0]
    if np.prod(net.shapes[x]) <= MOST_ELEMENTS and channels <= 2 * MOST_CHANNELS:
        return x
    size = [-(-n // 2) for n in net.shapes[x][1:]]
    shape = (channels, size[0], size[1])
    pooled = net.node(
        "MaxPool",
        [x],
        shape,
        kernel_shape=[2, 2],
        strides=[2, 2],
        pads=[0, 0, net.shapes[x][1] % 2, net.shapes[x][2] % 2],
    )
    return conv(draw, net, pooled, same_size(shape[1:], 1), draw(st.integers(1, 6)))


def ends(draw: Draw, net: GrowingGraph, x: str) -> list[str]:
    """What ends in x, and perhaps some of the values before it."""
    before = [name for name in net.shapes if name not in (*net.inputs, x)]
    if draw(st.integers(0, 4)) == 4:
        x = softmax(draw, net, x)
    end = draw(st.sampled_from(["map", "map", "classifier", "classifier", "channels last"]))
    if end == "classifier":
        x = classifier(draw, net, x)
    elif end == "channels last":
        x = turned(net, x, LAST)
    if not before or draw(st.booleans()):
        return [x]
    return [x, *draw(st.lists(st.sampled_from(before), max_size=2, unique=True))]
