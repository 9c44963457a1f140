"""Convolutions whose channels have filters of their own, side by side in vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.extending import intrinsic

from epimc.backends.crossbar.compiled import vectors
from epimc.backends.crossbar.compiled.jit import compiled
from epimc.backends.crossbar.compiled.packing import framed
from epimc.backends.crossbar.compiled.products import written
from epimc.backends.crossbar.compiled.vectors import BYTE, LONG, SHORT, WORD, load, store, types
from epimc.ir.semantics.arrays import Array, Ints

# Positions and channels that are computed at a time: their sums stay in registers.
POSITIONS, CHANNELS = 4, 16


def window_products() -> vectors.Kernel:
    """The sums of neighbouring positions and channels over the elements of their windows.

    Returns:
        For `(source, at, step, offsets, count, weights, width, channel, starts, sums)`: position p
        reads bytes of `source` from at + p * step + offsets[k] on, for each k below `count`, times
        the 16-bit `weights` from k * width + channel on; `starts`, from `channel` on, is added.
        Sums are [POSITIONS, CHANNELS].
    """
    byte, short, word = (ir.VectorType(kind, CHANNELS) for kind in (BYTE, SHORT, WORD))

    def code(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        source, at, pace, offsets, count, weights, width, channel, starts, sums = arguments

        def step(place: Any, old: list[Any]) -> list[Any]:
            row = builder.add(builder.mul(place, width), channel)
            # Known to have 16 bits, so that the product is one instruction.
            weight = builder.sext(load(builder, builder.gep(weights, [row]), short), word)
            offset = load(builder, builder.gep(offsets, [place]), LONG)
            element = builder.gep(source, [builder.add(at, offset)])
            results = []
            for position, value in enumerate(old):
                address = builder.gep(element, [builder.mul(pace, LONG(position))])
                inputs = builder.zext(load(builder, address, byte), word)
                results.append(builder.add(value, builder.mul(inputs, weight)))
            return results

        start = load(builder, builder.gep(starts, [channel]), word)
        results = vectors.loop(builder, count, [start] * POSITIONS, step)
        for number, result in enumerate(results):
            store(builder, builder.gep(sums, [LONG(number * CHANNELS)]), result)
        return context.get_dummy_value()

    def block(
        _: Any,
        source: Any,
        at: Any,
        step: Any,
        offsets: Any,
        count: Any,
        weights: Any,
        width: Any,
        channel: Any,
        starts: Any,
        sums: Any,
    ) -> Any:
        place = types.intp
        arguments = (source, place, place, offsets, place, weights, place, place, starts, sums)
        return types.void(*arguments), code

    made: vectors.Kernel = intrinsic(block)
    return made


products = window_products()
pointers, keep = vectors.pointers(), vectors.keeping()


def layer_of(weights: Array, starts: Ints, offsets: Ints) -> tuple[Array, Array, Ints]:
    """The arrays of a layer: weights, int16 [Kh * Kw, C and more] flattened; starts; offsets.

    Args:
        weights: [C, 1, Kh, Kw], of at most 16 bits.
        starts: [C], what the sums start from, of at most 32 bits.
        offsets: Where each element of a window lies, from its begin on, in bytes.
    """
    channels = len(weights)
    spare = -channels % CHANNELS
    rows = np.pad(weights.reshape(channels, -1).T, ((0, 0), (0, spare))).astype(np.int16)
    return rows.ravel(), np.pad(starts, (0, spare)).astype(np.int32), offsets


@compiled
def convolve_channels(
    x: Array, layer: Any, plans: Any, terms: Any, numbers: Any, out: Array
) -> None:
    """A convolution of maps, channel by channel; arguments as `products.convolve`.

    Args:
        x: Maps of bytes, [n, H, W, C].
        layer: Of `layer_of`.
        plans: The plan.
        terms: What a requantization adds, flat arrays of out's size.
        numbers: Of the requantization (`Rescaling`); without limits there is none.
        out: [n * Hout * Wout * C], flat.
    """
    plan = plans[0]
    channels, area = plan.channels, plan.out_height * plan.out_width
    pace, line = plan.stride_x * channels, plan.frame_width * channels
    # The last position and channels may have others beside them, beyond the map.
    frame = np.empty(plan.frame_height * line + POSITIONS * pace + CHANNELS, np.uint8)
    memory = np.empty(POSITIONS * CHANNELS, np.int32)
    arrays = (x, frame, memory, out)
    source, copy, sums, result = pointers(arrays)
    weights, starts, offsets = pointers(layer)
    count, width = len(layer[2]), len(layer[1])
    others, scales = pointers(terms), (*pointers(numbers), len(numbers[3]) > 0)
    for sample in range(len(x)):
        framed(source, sample, plan, copy, 0)
        for y in range(plan.out_height):
            for column in range(0, plan.out_width, POSITIONS):
                at = y * plan.stride_y * line + column * pace
                first = sample * area + y * plan.out_width + column
                positions = min(POSITIONS, plan.out_width - column)
                for channel in range(0, channels, CHANNELS):
                    products(
                        copy,
                        at + channel,
                        pace,
                        offsets,
                        count,
                        weights,
                        width,
                        channel,
                        starts,
                        sums,
                    )
                    used = min(CHANNELS, channels - channel)
                    for position in range(positions):
                        place = (first + position) * channels + channel
                        row = position * CHANNELS
                        written(sums, row, used, others, place, scales, channel, result)
    keep((arrays, layer, terms, numbers))
