"""Importers of the operators that make maps larger or smaller by moving their elements."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.frontend.core.emitter import Emitter
from epimc.frontend.core.moving import selected
from epimc.frontend.core.node import UnsupportedError
from epimc.frontend.core.operator import operator
from epimc.ir.core.op import Value
from epimc.ir.dialects import moves
from epimc.ir.semantics.layouts import Runs, runs_of
from epimc.support.limits import LARGEST_NUMBER

Floats = NDArray[np.float32]
HALF, ONE = np.float32(0.5), np.float32(1)

# The place in the source of an index of the result: (index, scale, size, size of the result).
COORDINATES: Mapping[str, Callable[[Floats, np.float32, int, int], Floats]] = {
    "asymmetric": lambda y, scale, size, result: y / scale,
    "half_pixel": lambda y, scale, size, result: (y + HALF) / scale - HALF,
    "pytorch_half_pixel": lambda y, scale, size, result: (
        (y + HALF) / scale - HALF if result > 1 else 0 * y
    ),
    "align_corners": lambda y, scale, size, result: (
        y * np.float32(size - 1) / np.float32(result - 1) if result > 1 else 0 * y
    ),
}
ROUNDINGS: Mapping[str, Callable[[Floats], Floats]] = {
    "round_prefer_floor": lambda place: np.ceil(place - HALF),
    "round_prefer_ceil": lambda place: np.floor(place + HALF),
    "floor": np.floor,
    "ceil": np.ceil,
}


@operator("Upsample", parameters=(1,))
@operator("Resize", since=10, parameters=(1, 2, 3))
def resize(node: Emitter) -> Value:
    """To the nearest element, by constant scales or sizes."""
    x, shape = node.activation(), node.result_shape
    mode = node.text("mode", "nearest")
    if mode != "nearest":
        raise UnsupportedError(f"mode = {mode} is not supported")
    if shape is None or shape[:1] != (node.batch,):
        raise UnsupportedError("a result whose shape is not constant is not supported")
    if node.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise UnsupportedError("keeping the aspect ratio is not supported")
    old = node.op_type == "Upsample" or node.opset < 11
    coordinates, rounding = ("asymmetric", "floor") if old else _modes(node)
    runs: list[Runs] = []
    scales, sizes = _scales(node, x, shape, 1 if old else 2)
    node.require_room(sizes)
    for size, result, scale in zip(x.type.shape, sizes, scales, strict=True):
        if result < 1:
            raise UnsupportedError("a result without elements is not supported")
        if old and result < size:
            raise UnsupportedError("making it smaller is supported from opset 11 on only")
        # In float32, as onnxruntime.
        y = np.arange(result, dtype=np.float32)
        places = ROUNDINGS[rounding](COORDINATES[coordinates](y, scale, size, result))
        numbers = np.clip(places, 0, size - 1).astype(int).tolist()
        runs.append(() if numbers == list(range(size)) else runs_of(numbers))
    return selected(node, x, runs)


def _modes(node: Emitter) -> tuple[str, str]:
    """How coordinates are transformed, and then rounded."""
    coordinates = node.text("coordinate_transformation_mode", "half_pixel")
    rounding = node.text("nearest_mode", "round_prefer_floor")
    if coordinates not in COORDINATES:
        raise UnsupportedError(f"coordinate_transformation_mode = {coordinates} is not supported")
    if rounding not in ROUNDINGS:
        raise UnsupportedError(f"nearest_mode = {rounding} is not supported")
    return coordinates, rounding


def _scales(
    node: Emitter, x: Value, shape: tuple[int, ...], index: int
) -> tuple[Floats, tuple[int, ...]]:
    """How much larger the result is along each dim of the sample, and its sizes.

    Where an input holds the scales, the sizes are products in float32, as onnxruntime has them;
    otherwise they are those of `shape`.
    """
    ratios: Floats = np.array([1.0, *np.divide(shape[1:], x.type.shape)], np.float32)
    factors = node.constant(index) if node.has_input(index) else np.empty(0)
    if not factors.size:
        return ratios[1:], shape[1:]
    # 4: there is no such input, the axes are an attribute.
    axes = node.axes(node.list_of("axes", 4) or range(len(shape)), len(shape))
    if factors.ndim != 1 or len(factors) != len(axes):
        raise UnsupportedError(f"scales of shape {list(factors.shape)} are not supported")
    ratios[list(axes)] = factors
    with np.errstate(over="ignore", invalid="ignore"):
        sizes = np.array(x.type.shape, np.float32) * ratios[1:]
    # Also where one is NaN.
    if not (np.abs(sizes) <= LARGEST_NUMBER).all():
        raise UnsupportedError(f"scales of {factors.tolist()} are not supported")
    return ratios[1:], tuple(sizes.astype(int).tolist())


@operator("SpaceToDepth")
def space_to_depth(node: Emitter) -> Value:
    """Every block's places become channels, in the mode DCR or CRD."""
    x, size = node.map(), node.integer("blocksize", 1)
    channels, height, width = x.type.shape
    mode = node.text("mode", "DCR")
    if size < 1 or height % size or width % size or mode not in ("DCR", "CRD"):
        raise UnsupportedError(
            f"mode = {mode} with blocks of {size} in [{height}, {width}] is not supported"
        )
    parts = [
        selected(
            node.part("part", top * size + left),
            x,
            [(), runs_of(range(top, height, size)), runs_of(range(left, width, size))],
        )
        for top in range(size)
        for left in range(size)
    ]
    if mode == "DCR":
        return node.emit(moves.Concat, parts)
    numbers = np.arange(channels * size**2).reshape(size**2, channels).T
    return _channels(node, node.part("blocks").emit(moves.Concat, parts), numbers.ravel())


@operator("DepthToSpace")
def depth_to_space(node: Emitter) -> Value:
    """Channels become the places of blocks, in the mode DCR or CRD.

    Side by side first, then interleaved.
    """
    x, size = node.map(), node.integer("blocksize", 1)
    channels, height, width = x.type.shape
    if size == 1:
        return x
    mode = node.text("mode", "DCR")
    if size < 1 or channels % size**2 or mode not in ("DCR", "CRD"):
        raise UnsupportedError(f"mode = {mode} with blocks of {size} is not supported")
    count = channels // size**2
    numbers = np.arange(channels).reshape((size**2, count) if mode == "DCR" else (count, size**2))
    of_place = numbers if mode == "DCR" else numbers.T
    rows: list[Value] = []
    for top in range(size):
        parts = [
            _channels(node.part("part", place), x, of_place[place])
            for place in range(top * size, (top + 1) * size)
        ]
        rows.append(node.part("row", top).emit(moves.Concat, parts, axis=2))
    below = node.part("rows").emit(moves.Concat, rows, axis=1)
    places = [
        (np.arange(length)[:, None] + length * np.arange(size)).ravel()
        for length in (height, width)
    ]
    return selected(node, below, [(), *(runs_of(order.tolist()) for order in places)])


def _channels(node: Emitter, x: Value, numbers: NDArray[np.integer[Any]]) -> Value:
    return selected(node, x, [runs_of(numbers.tolist()), (), ()])
