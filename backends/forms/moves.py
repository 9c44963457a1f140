"""Activations to activations: maxima, look-ups, and what only moves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from epimc.backends.forms.claims import (
    FLOAT,
    INT64,
    PORT,
    Activation,
    Array,
    Claim,
    Constant,
    Dims,
    Node,
    Tensor,
    cast_of,
    channelwise,
    constant,
    element_of,
    window_attributes,
    zero_point_of,
)
from epimc.ir.semantics import windows
from epimc.ir.semantics.layouts import Runs, indices


def maximum(value: str, source: Activation, window: windows.Window) -> Iterator[Claim]:
    """MaxPool, which onnxruntime computes on uint8 and on float32; its padding never wins."""
    attributes = window_attributes(window)
    if not source.is_wide:
        yield Node(Tensor(value), "MaxPool", (Tensor(source.name),), attributes)
        return
    # float32 holds every integer of 16 bits.
    floats, maxima = Tensor(value, "f32"), Tensor(value, "maxima")
    yield Node(floats, "Cast", (Tensor(source.name),), {"to": FLOAT})
    yield Node(maxima, "MaxPool", (floats,), attributes)
    yield Node(Tensor(value), "Cast", (maxima,), cast_of(source.bits))


def look_up(value: str, source: str, rows: Array, bits: int) -> Iterator[Claim]:
    """Gather over the whole table, the rows of which lie one behind the other.

    Args:
        value: The result.
        source: The indices.
        rows: [1, n] or, a row a channel, [C, n].
        bits: Of the result.
    """
    index, values = Tensor(value, "index"), Tensor(value, "values")
    yield Node(index, "Cast", (Tensor(source),), {"to": INT64})
    if len(rows) > 1:
        starts, moved = Tensor(value, "starts"), Tensor(value, "moved")
        yield Constant(starts, channelwise(np.arange(len(rows)) * rows.shape[1]))
        yield Node(moved, "Add", (index, starts))
        # Each channel has its own row of the table.
        index = moved
    yield Constant(values, rows.ravel(), element_of(bits))
    yield Node(Tensor(value), "Gather", (values, index), {"axis": 0})


def concatenation(value: str, sources: Sequence[str], axis: int) -> Iterator[Claim]:
    """Concat along channels (0), rows (1) or columns (2)."""
    yield Node(Tensor(value), "Concat", tuple(map(Tensor, sources)), {"axis": axis + 1})


def selection(value: str, source: str, runs: Sequence[Runs]) -> Iterator[Claim]:
    """Gather along every dim of the map where there is something to choose."""
    chosen, taken = [(axis, some) for axis, some in enumerate(runs) if some], Tensor(source)
    for axis, some in chosen:
        last = axis == chosen[-1][0]
        numbers, result = Tensor(value, "chosen", axis), Tensor(value, "taken", axis)
        yield Constant(numbers, indices(some))
        yield Node(
            Tensor(value) if last else result, "Gather", (taken, numbers), {"axis": axis + 1}
        )
        taken = result


def fixed(value: str, port: str, values: Array, bits: int) -> Iterator[Claim]:
    """The same map for as many samples as an input has.

    Args:
        value: The result.
        port: Any input; empty where the graph runs one sample at a time.
        values: [C, H, W].
        bits: Of the result.
    """
    element = element_of(bits)
    if not port:
        only = Tensor(value, "values")
        yield Constant(only, values[None], element)
        yield Node(Tensor(value), "Identity", (only,))
        return
    shape, samples, sizes = (Tensor(value, role) for role in ("input_shape", "samples", "sizes"))
    first, end, dims, content = (Tensor(value, role) for role in ("first", "end", "dims", "values"))
    yield Node(shape, "Shape", (Tensor(port, PORT),))
    yield constant(first, [0])
    yield constant(end, [1])
    # The number of samples is known only when the graph runs.
    yield Node(samples, "Slice", (shape, first, end))
    yield constant(dims, values.shape)
    yield Node(sizes, "Concat", (samples, dims), {"axis": 0})
    yield Constant(content, values[None], element)
    yield Node(Tensor(value), "Expand", (content, sizes))


def padding(
    value: str, source: Activation, channels: tuple[int, int], pads: windows.Sides
) -> Iterator[Claim]:
    """Pad with the zero point, which onnxruntime does not do on uint16."""
    (before, after), (top, left, bottom, right) = channels, pads
    widths = Tensor(value, "pads")
    yield constant(widths, [0, before, top, left, 0, after, bottom, right])
    if not source.is_wide:
        inputs = Tensor(source.name), widths, zero_point_of(source.name)
        yield Node(Tensor(value), "Pad", inputs, {"mode": "constant"})
        return
    wide, zero, padded = (Tensor(value, role) for role in ("x_i64", "x_zero_point", "padded"))
    yield Node(wide, "Cast", (Tensor(source.name),), {"to": INT64})
    yield constant(zero, source.zero_point)
    yield Node(padded, "Pad", (wide, widths, zero), {"mode": "constant"})
    yield Node(Tensor(value), "Cast", (padded,), cast_of(source.bits))


def rearrangement(value: str, source: str, perm: Sequence[int], dims: Dims) -> Iterator[Claim]:
    """Transpose over the dims of the map, then cut anew."""
    moved, shape = Tensor(value, "permuted"), Tensor(value, "shape")
    axes = [0, *(axis + 1 for axis in perm)]
    yield Node(moved, "Transpose", (Tensor(source),), {"perm": axes})
    yield constant(shape, [-1, *dims])
    yield Node(Tensor(value), "Reshape", (moved, shape))
