"""Convolutions drawn at random, and what they amount to by definition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from epimc.backends.crossbar.compiled.convolution import Convolution
from epimc.backends.crossbar.compiled.forms import Form
from epimc.ir.semantics import convolution
from epimc.ir.semantics.arrays import Array, Ints
from epimc.ir.semantics.windows import Window


@dataclass(frozen=True, eq=False)
class Layer:
    """A convolution and maps for it.

    Attributes:
        weights: [Cout, Cin / groups, Kh, Kw].
        bias: [Cout].
        window: Strides, pads and dilations.
        groups: Of channels.
        zero_point: Of the maps.
        bits: Of the maps' activations.
        x: Maps [n, H, W, C].
    """

    weights: Ints
    bias: Ints
    window: Window
    groups: int
    zero_point: int
    bits: int
    x: Array

    def kernel(self, form: Form | None = None) -> Convolution:
        """The compiled convolution."""
        rows = self.weights.reshape(len(self.weights), -1)
        constant = self.bias - self.zero_point * rows.sum(axis=1)
        _, height, width, channels = self.x.shape
        return Convolution(
            self.weights,
            constant,
            self.window,
            self.groups,
            (channels, height, width),
            self.zero_point,
            self.bits,
            form,
        )

    def accumulators(self) -> Ints:
        """What the definition says, [n, Hout, Wout, Cout]."""
        sums = convolution.convolve(
            nchw(self.x), self.weights, self.bias, self.window, self.zero_point, self.bits
        )
        return sums.transpose(0, 2, 3, 1)


def nchw(x: Array) -> Ints:
    """Maps NHWC as the definitions have them."""
    return x.transpose(0, 3, 1, 2).astype(np.int64)


@st.composite
def windows(draw: st.DrawFn, height: int, width: int) -> Window:
    """Windows that fit in a map, pads included, and are not of pads alone."""
    sides = [draw(axes(size)) for size in (height, width)]
    (kh, dy, top, bottom), (kw, dx, left, right) = sides
    strides = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    return Window((kh, kw), strides, (top, left, bottom, right), (dy, dx))


@st.composite
def axes(draw: st.DrawFn, size: int) -> tuple[int, int, int, int]:
    """Along one axis: the kernel, its dilation, and the pads before and behind."""
    kernel = draw(st.integers(1, min(4, size)))
    dilation = draw(st.integers(1, max(1, min(3, (size - 1) // max(1, kernel - 1)))))
    pads = st.integers(0, (kernel - 1) * dilation)
    return kernel, dilation, draw(pads), draw(pads)


@st.composite
def layers(
    draw: st.DrawFn,
    bits: int | None = None,
    weight_bits: int | None = None,
    by_channel: bool = False,
) -> Layer:
    """Small convolutions of any kind; extreme weights and activations are likely."""
    bits = bits or draw(st.integers(1, 16))
    # As wide as 63 bits of accumulators allow it.
    weight_bits = weight_bits or draw(st.integers(1, 28))
    groups = draw(st.integers(2, 40) if by_channel else st.sampled_from([1, 1, 1, 2, 3]))
    inputs = 1 if by_channel else draw(st.integers(1, 9))
    outputs = 1 if by_channel else draw(st.integers(1, 40 // groups))
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    window = draw(windows(height, width))
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    top = 2 ** (weight_bits - 1)
    shape = (outputs * groups, inputs, *window.kernel)
    weights = spread(random, -top, top - 1, shape)
    # With the first many sums fit in 32 bits, but not with the bias.
    largest = 2 ** draw(st.sampled_from([38, 20, 20]))
    x = spread(random, 0, 2**bits - 1, (draw(st.integers(1, 3)), height, width, inputs * groups))
    return Layer(
        weights=weights,
        bias=random.integers(-largest, largest, len(weights)),
        window=window,
        groups=groups,
        zero_point=draw(st.integers(0, 2**bits - 1)),
        bits=bits,
        x=x.astype(np.uint8 if bits <= 8 else np.uint16),
    )


def spread(random: np.random.Generator, low: int, high: int, shape: tuple[int, ...]) -> Ints:
    """Integers in [low, high], of which a part, of random size, are at the ends."""
    values = random.integers(low, high + 1, shape)
    ends = random.choice(np.array([low, high]), shape)
    chosen: Ints = np.where(random.random(shape) < random.random(), ends, values)
    return chosen


def large_layer() -> Layer:
    """Of more positions than are packed at a time."""
    random = np.random.default_rng(1)
    return Layer(
        weights=random.integers(-128, 128, (40, 64, 3, 3)),
        bias=random.integers(-999, 999, 40),
        window=Window((3, 3), (2, 1), (1, 1, 1, 1)),
        groups=1,
        zero_point=9,
        bits=8,
        x=random.integers(0, 256, (9, 23, 21, 64)).astype(np.uint8),
    )
