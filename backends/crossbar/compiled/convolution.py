"""Convolutions of whole maps, with the requantization that follows them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from epimc.backends.crossbar.compiled.depthwise import convolve_channels, layer_of
from epimc.backends.crossbar.compiled.forms import Form, best_form
from epimc.backends.crossbar.compiled.products import PLAN, convolve
from epimc.backends.crossbar.compiled.requantize import Rescaling, plain
from epimc.backends.crossbar.compiled.weights import digits_of, packed_weights
from epimc.ir.semantics.arrays import Array, Ints
from epimc.ir.semantics.convolution import accumulator_bounds
from epimc.ir.semantics.windows import Window

# Bytes of the panels that are packed at a time: they stay in the second cache beside the weights.
CHUNK = 2**18
# Words of so many bytes never exceed 32 bits: 255 * 128 for each.
LONGEST = (2**31 - 1) // (255 * 128)


class Convolution:
    """A convolution with constant weights, laid out for this processor.

    Maps are NHWC.  Calls change nothing here, so that threads may share it.

    Attributes:
        dtype: Of the accumulators: int32 where no sum can exceed it, else int64.
        shape: (Hout, Wout, Cout).
        plan: What kernels go by, one record.
        run: The kernel.
        layer: Its arrays.
        rest: What its sums lack of the constant, [Cout].
        has_rest: Whether they lack any.
        numbers: That are added to them where nothing is requantized.
    """

    def __init__(
        self,
        weights: Array,
        constant: Ints,
        window: Window,
        groups: int,
        dims: tuple[int, int, int],
        zero_point: int,
        bits: int,
        form: Form | None = None,
    ) -> None:
        """Pack the weights.

        Args:
            weights: Integers [Cout, Cin / groups, Kh, Kw].
            constant: int64 [Cout], what is added: the bias less what the zero point brings.
            window: Strides, pads and dilations.
            groups: Of channels.
            dims: (C, H, W) of the source.
            zero_point: Of the source, which lies outside of it too.
            bits: Of the source's activations, 1 to 16; beyond 8 they come as uint16.
            form: How to multiply; None for the fastest that runs here.
        """
        height, width = dims[1:]
        outputs = len(weights)
        self.shape = (window.output_size(height, 0), window.output_size(width, 1), outputs)
        sums = int(accumulator_bounds(weights, np.zeros_like(constant), bits).max(initial=0))
        most = int(accumulator_bounds(weights, constant, bits).max(initial=0))
        self.dtype = np.dtype(np.int32 if most < 2**31 else np.int64)
        # What 32 bits do not hold is added where there are more.
        starts = np.asarray(constant, np.int64) * (self.dtype == np.int32)
        self.rest = np.asarray(constant, np.int64) - starts
        self.numbers = plain(self.rest)
        plan = np.zeros(1, PLAN)
        place(plan[0], window, dims, zero_point, bits)
        chosen = form or best_form(outputs // groups, self.shape[0] * self.shape[1])
        segments = lay_out(plan[0], window, chosen, groups, self.shape)
        self.plan, self.run = plan, convolve
        self.layer: tuple[Array, ...]
        by_channel = 1 < groups == outputs == dims[0] and form is None
        if by_channel and bits <= 8 and sums < 2**31 and digits_of(weights) <= 2:
            self.run, self.layer = convolve_channels, layer_of(weights, starts, segments)
        else:
            self.layer = self.packed(weights, starts, segments, sums >= 2**31)
        self.has_rest = bool(self.rest.any())

    def packed(
        self, weights: Array, starts: Ints, segments: Ints, is_long: bool
    ) -> tuple[Array, ...]:
        """The arrays of the layer for products of tiles (`products.convolve`)."""
        plan = self.plan[0]
        passes = passes_of(plan, digits_of(weights), is_long)
        plan["wide"] = is_long or len(passes) > 1
        if plan["wide"]:
            starts, self.rest = np.zeros_like(starts), starts + self.rest
            self.numbers = plain(self.rest)
        # Kernels read what belongs to a block of outputs at once, whether all are there or not.
        padded = np.pad(starts, (0, int(plan["block"]))).astype(np.int32)
        return packed_weights(weights, self.plan, passes), padded, passes.ravel(), segments

    def accumulate(self, x: Array, out: Array) -> None:
        """Accumulators [n, Hout, Wout, Cout], of `dtype`, of x [n, H, W, C]."""
        self.run(as_bytes(x), self.layer, self.plan, (), self.numbers, out.reshape(-1, copy=False))

    def activations(
        self, x: Array, rescaling: Rescaling, terms: Sequence[Array], out: Array
    ) -> None:
        """Requantized accumulators.

        Args:
            x: [n, H, W, C], uint8 or uint16.
            rescaling: The requantization, of which this is the source number `rescaling.place`.
            terms: The others, NHWC of out's shape, in their order.
            out: [n, Hout, Wout, Cout], uint8 or uint16.
        """
        # Kernels for more are not worth making.
        if len(terms) <= 1 and all(term.dtype == np.uint8 for term in terms):
            others = tuple(term.reshape(-1) for term in terms)
            result = out.reshape(-1, copy=False)
            numbers = rescaling.numbers_for(self.rest) if self.has_rest else rescaling.numbers
            self.run(as_bytes(x), self.layer, self.plan, others, numbers, result)
            return
        sums = np.empty((1, *self.shape), self.dtype)
        for sample in range(len(x)):
            part = slice(sample, sample + 1)
            self.accumulate(x[part], sums)
            sources = [term[part] for term in terms]
            sources.insert(rescaling.place, sums)
            rescaling(sources, out[part])


def as_bytes(x: Array) -> Array:
    """Activations as bytes that kernels read, [n, H, W, bytes of a position]."""
    # A type of its own would have kernels made anew for what is only read.
    if not (x.flags.c_contiguous and x.flags.writeable):
        x = np.array(x, order="C")
    return x if x.dtype == np.uint8 else x.view(np.uint8)


def place(
    plan: Array, window: Window, dims: tuple[int, int, int], zero_point: int, bits: int
) -> None:
    """Enter where the source lies, its padding included."""
    _, height, width = dims
    top, left, bottom, right = window.pads
    plan["channels"], plan["height"], plan["width"] = dims
    plan["planes"], plan["zero_point"] = 1 if bits <= 8 else 2, zero_point
    plan["top"], plan["left"] = top, left
    plan["frame_height"], plan["frame_width"] = height + top + bottom, width + left + right
    plan["stride_y"], plan["stride_x"] = window.strides


def lay_out(
    plan: Array, window: Window, form: Form, groups: int, shape: tuple[int, int, int]
) -> Ints:
    """Enter the form of tiles and panels; where the segments of a window begin, in bytes."""
    plan["out_height"], plan["out_width"], plan["outputs"] = shape
    plan["groups"], plan["form"], plan["depth"] = groups, form.number, form.depth
    plan["positions"], plan["block"], plan["row"] = form.positions, form.outputs, form.row
    (kh, kw), (dy, dx) = window.kernel, window.dilations
    channels, line = int(plan["channels"]), int(plan["frame_width"] * plan["channels"])
    plane = int(plan["frame_height"]) * line
    # Positions beside each other, with all of their channels, are one segment.
    joined = dx == 1 and groups == 1
    bytes_ = kw * channels if joined else channels // groups
    columns = [0] if joined else [j * dx * channels for j in range(kw)]
    segments = [
        number * plane + i * dy * line + column
        for number in range(int(plan["planes"]))
        for i in range(kh)
        for column in columns
    ]
    plan["joined"] = joined
    plan["span"] = -(-bytes_ // form.depth)
    plan["words"] = len(segments) * plan["span"]
    plan["panels"] = max(1, CHUNK // (int(plan["words"]) * form.row * 4))
    plan["samples"] = max(1, int(plan["panels"]) * form.positions // (shape[0] * shape[1]))
    plan["blocks"] = -(-(shape[2] // groups) // form.outputs)
    # Four words are read at once, but none beyond the maps of others.
    is_even = bytes_ % (4 * form.depth) == 0
    plan["copied"] = any(window.pads) or plan["planes"] > 1 or not is_even
    return np.array(segments, np.int64)


def passes_of(plan: Array, digits: int, wide: bool) -> Ints:
    """The products that a convolution takes: by byte of activations, digit of weights, length.

    Returns:
        [passes, PASS].
    """
    planes = int(plan["planes"])
    words = int(plan["words"]) // planes
    longest = LONGEST // int(plan["depth"]) if wide else words
    outputs = int(plan["groups"] * plan["blocks"] * plan["block"])
    passes, at = [], 0
    for plane in range(planes):
        for digit in range(digits):
            for first in range(0, words, longest):
                count = min(longest, words - first)
                shift = 8 * (plane + digit)
                passes.append((plane * words + first, count, at, shift, digit, first))
                at += count * outputs
    plan["passes"] = len(passes)
    return np.array(passes, np.int64)
