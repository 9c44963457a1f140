"""Convolutions as products of packed panels and packed weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from epimc.backends.crossbar.compiled import forms, tiles, vectors
from epimc.backends.crossbar.compiled.jit import compiled, inlined
from epimc.backends.crossbar.compiled.packing import framed, located, packed
from epimc.backends.crossbar.compiled.requantize import rescaled
from epimc.ir.semantics.arrays import Array

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
            *("samples", "panels", "blocks", "passes", "copied", "wide"),
        )
    ]
)
# What a pass multiplies: its words, from where in a panel, with the weights from where; by how much
# to shift the sums; the digit of the weights, and where its words begin in a plane.
PASS = 6
FIRST, WORDS, WEIGHTS, SHIFT, DIGIT, SKIPPED = range(PASS)

portable, pairs_128, pairs_256, pairs_512, bytes_256, bytes_512, narrow_512, short_512 = (
    tiles.tile_product(form) for form in forms.FORMS
)
pointers, keep = vectors.pointers(), vectors.keeping()


@inlined
def product(
    form: int, panel: Any, p: int, weights: Any, w: int, count: int, start: Any, s: int, sums: Any
) -> None:
    """The product of a tile in one of the forms."""
    if form == 7:
        short_512(panel, p, weights, w, count, start, s, sums)
    elif form == 6:
        narrow_512(panel, p, weights, w, count, start, s, sums)
    elif form == 5:
        bytes_512(panel, p, weights, w, count, start, s, sums)
    elif form == 4:
        bytes_256(panel, p, weights, w, count, start, s, sums)
    elif form == 3:
        pairs_512(panel, p, weights, w, count, start, s, sums)
    elif form == 2:
        pairs_256(panel, p, weights, w, count, start, s, sums)
    elif form == 1:
        pairs_128(panel, p, weights, w, count, start, s, sums)
    else:
        portable(panel, p, weights, w, count, start, s, sums)


@inlined
def summed(
    layer: Any, plan: Any, panel: Any, at: int, block: int, output: int, sums: Any, totals: Any
) -> None:
    """The sums of a tile: `sums` of one pass, or in 64 bits, of all passes, `totals`."""
    weights, starts, passes, _ = layer
    size = plan.positions * plan.block
    if plan.wide:
        for place in range(size):
            totals[place] = 0
    for number in range(plan.passes):
        part = number * PASS
        words, shift = passes[part + WORDS], passes[part + SHIFT]
        first = passes[part + WEIGHTS] + block * words * plan.block
        row = at + passes[part + FIRST] * plan.row
        product(plan.form, panel, row, weights, first, words, starts, output, sums)
        if plan.wide:
            for place in range(size):
                totals[place] += np.int64(sums[place]) << shift


@inlined
def written(
    sums: Any, at: int, count: int, terms: Any, place: int, numbers: Any, channel: int, out: Any
) -> None:
    """Sums of some outputs at one position, requantized, or with the bases added alone."""
    if numbers[4]:
        rescaled(sums, at, count, terms, place, numbers, channel, out)
    else:
        for number in range(count):
            out[place + number] = sums[at + number] + numbers[1][channel + number]


@inlined
def tile(
    layer: Any,
    plan: Any,
    panel: Any,
    at: int,
    block: int,
    first: int,
    count: int,
    scratch: Any,
    terms: Any,
    numbers: Any,
    out: Any,
) -> None:
    """A tile: `count` positions from `first` on, of a block of outputs, counted over groups."""
    sums, totals = scratch
    group, number = divmod(block, plan.blocks)
    per_group = plan.outputs // plan.groups
    output = group * per_group + number * plan.block
    used = min(plan.block, per_group - number * plan.block)
    summed(layer, plan, panel, at, block, output, sums, totals)
    for position in range(count):
        place, row = (first + position) * plan.outputs + output, position * plan.block
        if plan.wide:
            written(totals, row, used, terms, place, numbers, output, out)
        else:
            written(sums, row, used, terms, place, numbers, output, out)


@inlined
def chunk(
    source: Any,
    first: int,
    count: int,
    before: int,
    layer: Any,
    plan: Any,
    scratch: Any,
    terms: Any,
    numbers: Any,
    out: Any,
) -> None:
    """So many positions as are packed at a time.

    Args:
        source: The map of some samples.
        first: The first position, counted over those samples.
        count: All positions of those samples.
        before: Positions of the samples before them.
        layer: Pointers to the arrays of a layer.
        plan: Of the layer.
        scratch: Pointers to memory for sums, their totals, places and panels.
        terms: Pointers to what a requantization adds.
        numbers: Of the requantization.
        out: The result.
    """
    sums, totals, places, panel = scratch
    panels = min(plan.panels, (count - first + plan.positions - 1) // plan.positions)
    size = plan.words * plan.row
    located(places, panels, first, count, plan)
    for group in range(plan.groups):
        offset = group * (plan.channels // plan.groups)
        for number in range(panels):
            at = number * plan.row
            packed(source, places, at, layer[3], offset, plan, panel, number * size)
        # Weights go by once, while the panels stay in a cache.
        for block in range(group * plan.blocks, (group + 1) * plan.blocks):
            for number in range(panels):
                begin = first + number * plan.positions
                tile(
                    layer,
                    plan,
                    panel,
                    number * size,
                    block,
                    before + begin,
                    min(plan.positions, count - begin),
                    (sums, totals),
                    terms,
                    numbers,
                    out,
                )


@compiled
def convolve(x: Array, layer: Any, plans: Any, terms: Any, numbers: Any, out: Array) -> None:
    """A convolution of maps.

    Args:
        x: Maps as bytes, [n, H, W, bytes of a position].
        layer: Weights, what sums of 32 bits start from, passes, segments.
        plans: The plan.
        terms: What a requantization adds, flat arrays of out's size.
        numbers: Of the requantization (`Rescaling`); without limits there is none.
        out: [n * Hout * Wout * Cout], flat.
    """
    plan = plans[0]
    samples, area = len(x), plan.out_height * plan.out_width
    together = min(plan.samples, samples) if plan.copied else samples
    frame = plan.frame_height * plan.frame_width * plan.channels * plan.planes
    panels = min(plan.panels, (together * area + plan.positions - 1) // plan.positions)
    size = plan.positions * plan.block
    # Words are read in fours, of which the last may reach beyond the map, and a panel.
    frames = np.empty(together * frame + 16 if plan.copied else 0, np.uint8)
    scratch = (
        np.empty(size, np.int32),
        np.empty(size if plan.wide else 0, np.int64),
        np.empty(panels * plan.row, np.int64),
        np.empty((panels * plan.words + 3) * plan.row, np.int32),
    )
    arrays = (x, frames, out)
    source, copy, result = pointers(arrays)
    memory, constants, others = pointers(scratch), pointers(layer), pointers(terms)
    scales = (*pointers(numbers), len(numbers[3]) > 0)
    for sample in range(0, samples, together):
        here = min(together, samples - sample)
        if plan.copied:
            for number in range(here):
                framed(source, sample + number, plan, copy, number * frame)
        maps = copy if plan.copied else source
        count = here * area
        for first in range(0, count, plan.panels * plan.positions):
            chunk(
                maps,
                first,
                count,
                sample * area,
                constants,
                plan,
                memory,
                others,
                scales,
                result,
            )
    keep((arrays, scratch, layer, terms, numbers))
