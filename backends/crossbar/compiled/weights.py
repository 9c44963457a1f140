"""Weights, packed for the products of tiles."""

from __future__ import annotations

from typing import Any

import numpy as np

from epimc.backends.crossbar.compiled.jit import compiled, inlined
from epimc.backends.crossbar.compiled.products import DIGIT, SKIPPED, WEIGHTS, WORDS
from epimc.ir.semantics.arrays import Array, Ints


def digits_of(weights: Array) -> int:
    """How many signed digits of base 256, each in [-128, 127], the weights take."""
    low, high, count = int(weights.min(initial=0)), int(weights.max(initial=0)), 1
    while low < -128 or high > 127:
        # What is left of a weight when its lowest digit is taken off.
        low, high, count = (low + 128) >> 8, (high + 128) >> 8, count + 1
    return count


def packed_weights(weights: Array, plans: Array, passes: Ints) -> Array:
    """The digits of weights, as 32-bit words.

    Returns:
        For each pass [groups, blocks of outputs, words, outputs]; zero where a block has more
        outputs, or a segment more words, than there are.
    """
    plan, last = plans[0], passes[-1]
    outputs = int(plan["groups"] * plan["blocks"] * plan["block"])
    packed = np.zeros(int(last[WEIGHTS] + last[WORDS] * outputs), np.int32)
    # Bytes or 16-bit integers, in the order that they have in words.
    parts = packed.view(np.int8 if plan["depth"] == 4 else np.int16)
    pack(np.ascontiguousarray(weights, np.int32), plans, passes, parts)
    return packed


@inlined
def digit_of(weight: int, number: int) -> int:
    """A signed digit of base 256."""
    for _ in range(number):
        weight = (weight + 128) >> 8
    return ((weight + 128) & 255) - 128


@compiled
def pack(weights: Array, plans: Any, passes: Ints, parts: Array) -> None:
    """Write the digits of weights [Cout, Cin / groups, Kh, Kw] to where the passes read them."""
    plan = plans[0]
    outputs, channels, height, width = weights.shape
    per_group = outputs // plan.groups
    bits = 2 if plan.depth == 4 else 1
    for part in passes:
        words, digit = part[WORDS], part[DIGIT]
        for output in range(outputs):
            group, within = divmod(output, per_group)
            block, lane = divmod(within, plan.block)
            block += group * plan.blocks
            tile = part[WEIGHTS] + block * words * plan.block + lane
            for i in range(height):
                for j in range(width):
                    segment, before = (i, j * channels) if plan.joined else (i * width + j, 0)
                    first = segment * plan.span - part[SKIPPED]
                    for channel in range(channels):
                        place = before + channel
                        word = first + (place >> bits)
                        if 0 <= word < words:
                            at = ((tile + word * plan.block) << bits) + (place & (plan.depth - 1))
                            parts[at] = digit_of(weights[output, channel, i, j], digit)
