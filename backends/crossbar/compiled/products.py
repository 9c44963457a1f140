"""Convolutions as products of packed panels and packed weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from epimc.backends.crossbar.compiled import forms, vectors
from epimc.backends.crossbar.compiled.jit import compiled, inlined
from epimc.backends.crossbar.compiled.packing import framed, located, packed
from epimc.backends.crossbar.compiled.requantize import rescaled
from epimc.ir.semantics.arrays import Array, Ints

PLAN = np.dtype(
    [
        (name, np.int64)
        for name in (
            # Of the source, in bytes, and with its padding.
            *("height", "width", "channels", "planes", "zero_point"),
            *("top", "left", "frame_height", "frame_width"),
            # Of the windows and the result.
            *("out_height", "out_width", "stride_y", "stride_x", "outputs", "groups"),
            # Of the form, and of a panel in words.
            *("form", "positions", "block", "row", "depth", "words", "span", "joined"),
            # How much is done at a time, and what of it needs other kernels.
            *("samples", "panels", "copied", "wide"),
        )
    ]
)
# Where its words begin in a panel, in the weights and in a plane; by how much to shift the sums.
PASS = np.dtype(
    [(name, np.int64) for name in ("first", "words", "weights", "shift", "skipped", "digit")]
)

pairs_256, pairs_512, bytes_256, bytes_512, narrow_512 = (
    vectors.tile_product(form) for form in forms.FORMS[1:]
)


@inlined
def portable(
    panel: Array, p: int, weights: Array, w: int, count: int, start: Array, s: int, sums: Array
) -> None:
    """The product of a tile (`vectors.tile_product`) in plain loops."""
    sixteen = np.int32(16)
    for position in range(4):
        for output in range(16):
            sums[position * 16 + output] = start[s + output]
    for word in range(count):
        for position in range(4):
            pair = panel[p + word * 4 + position]
            low, high = np.int32(pair & 0xFFFF), np.int32(pair >> sixteen)
            for output in range(16):
                weight = weights[w + word * 16 + output]
                first = np.int32(np.int32(weight << sixteen) >> sixteen)
                products = np.int32(low * first) + np.int32(high * np.int32(weight >> sixteen))
                sums[position * 16 + output] += np.int32(products)


@inlined
def product(
    form: int,
    panel: Array,
    p: int,
    weights: Array,
    w: int,
    count: int,
    start: Array,
    s: int,
    sums: Array,
) -> None:
    """The product of a tile in one of the forms."""
    if form == 5:
        narrow_512(panel, p, weights, w, count, start, s, sums)
    elif form == 4:
        bytes_512(panel, p, weights, w, count, start, s, sums)
    elif form == 3:
        bytes_256(panel, p, weights, w, count, start, s, sums)
    elif form == 2:
        pairs_512(panel, p, weights, w, count, start, s, sums)
    elif form == 1:
        pairs_256(panel, p, weights, w, count, start, s, sums)
    else:
        portable(panel, p, weights, w, count, start, s, sums)


@inlined
def summed(
    layer: Any, panel: Array, at: int, block: int, output: int, sums: Array, totals: Ints
) -> None:
    """The sums of a tile over all passes of a layer, in 64 bits, as `totals`."""
    weights, starts, constant, passes, plan = layer[0], layer[1], layer[2], layer[3], layer[5][0]
    size = plan.positions * plan.block
    for place in range(size):
        totals[place] = constant[output + place % plan.block]
    for part in passes:
        first = part.weights + block * part.words * plan.block
        row = at + part.first * plan.row
        product(plan.form, panel, row, weights, first, part.words, starts, output, sums)
        for place in range(size):
            totals[place] += np.int64(sums[place]) << part.shift


@inlined
def written(
    sums: Any, at: int, count: int, terms: Any, place: int, numbers: Any, channel: int, out: Array
) -> None:
    """Sums of some outputs at one position, requantized where there are numbers for it."""
    if len(numbers[3]) > 0:
        rescaled(sums, at, count, terms, place, numbers, channel, out)
    else:
        for number in range(count):
            out[place + number] = sums[at + number]


@inlined
def tile(
    layer: Any,
    panel: Array,
    at: int,
    group: int,
    block: int,
    first: int,
    count: int,
    scratch: Any,
    terms: Any,
    numbers: Any,
    out: Array,
) -> None:
    """A tile: `count` positions from `first` on, of one block of outputs of a group."""
    weights, starts, plan = layer[0], layer[1], layer[5][0]
    sums, totals = scratch
    per_group = plan.outputs // plan.groups
    blocks = (per_group + plan.block - 1) // plan.block
    output = group * per_group + block * plan.block
    used = min(plan.block, per_group - block * plan.block)
    number = group * blocks + block
    if plan.wide:
        summed(layer, panel, at, number, output, sums, totals)
    else:
        size = plan.words * plan.block
        product(plan.form, panel, at, weights, number * size, plan.words, starts, output, sums)
    for position in range(count):
        place, row = (first + position) * plan.outputs + output, position * plan.block
        if plan.wide:
            written(totals, row, used, terms, place, numbers, output, out)
        else:
            written(sums, row, used, terms, place, numbers, output, out)


@compiled
def convolve(x: Array, layer: Any, terms: Any, numbers: Any, out: Array) -> None:
    """A convolution of maps.

    Args:
        x: Maps as bytes, [n, H, W, bytes of a position].
        layer: The arrays of `Packed`.
        terms: What a requantization adds, flat arrays of out's size.
        numbers: Of the requantization (`Rescaling.numbers`), of no elements for none.
        out: [n * Hout * Wout * Cout], flat.
    """
    segments, plan = layer[4], layer[5][0]
    samples, area = len(x), plan.out_height * plan.out_width
    together = min(plan.samples, samples) if plan.copied else samples
    frame = plan.frame_height * plan.frame_width * plan.channels * plan.planes
    most = min(plan.panels, (together * area + plan.positions - 1) // plan.positions)
    # Parts of a window are read in words, the last of which may reach beyond the map.
    source = np.empty(together * frame + 4 if plan.copied else 0, np.uint8)
    places = np.empty(most * plan.row, np.int64)
    panel = np.empty(most * plan.words * plan.row, np.int32)
    size = plan.positions * plan.block
    scratch = (np.empty(size, np.int32), np.empty(size if plan.wide else 0, np.int64))
    inputs = plan.channels // plan.groups
    blocks = (plan.outputs // plan.groups + plan.block - 1) // plan.block
    for sample in range(0, samples, together):
        here = min(together, samples - sample)
        if plan.copied:
            for number in range(here):
                framed(x, sample + number, plan, source, number * frame)
        else:
            source = x.reshape(-1)
        count = here * area
        for first in range(0, count, most * plan.positions):
            panels = min(most, (count - first + plan.positions - 1) // plan.positions)
            located(places, first, count, plan)
            for group in range(plan.groups):
                for number in range(panels):
                    at = number * plan.words * plan.row
                    packed(
                        source, places, number * plan.row, segments, group * inputs, plan, panel, at
                    )
                for block in range(blocks):
                    for number in range(panels):
                        begin = first + number * plan.positions
                        tile(
                            layer,
                            panel,
                            number * plan.words * plan.row,
                            group,
                            block,
                            sample * area + begin,
                            min(plan.positions, count - begin),
                            scratch,
                            terms,
                            numbers,
                            out,
                        )
