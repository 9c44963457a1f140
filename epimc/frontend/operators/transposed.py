"""The importer of transposed convolutions: ordinary convolutions, one for each phase of the result.

Of a stride s, the elements of the result at places q * s + r, r being their phase, are computed
from a part of the kernel of their own, and from no zeros between the elements of the map: along
each axis

    y[q * s + r] = sum over k with (r + p - k * d) % s == 0 of w[k] * x[q + (r + p - k * d) // s]

where p is the padding before the result and d the dilation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from epimc.frontend.core.emitter import Emitter
from epimc.frontend.core.moving import rearranged, reshaped, selected
from epimc.frontend.core.node import Node, UnsupportedError
from epimc.frontend.core.operator import operator
from epimc.frontend.core.windows import Map, divided, on_map, spatial, stated_pads, step_of
from epimc.ir.core.attributes import Ref
from epimc.ir.core.op import Value
from epimc.ir.core.types import as_map
from epimc.ir.dialects import moves, nn
from epimc.ir.semantics.layouts import Runs, runs_of

# Each phase is a layer of its own.
MOST_PHASES = 256


@dataclass(frozen=True)
class Taps:
    """What one phase takes of the kernel and of the map, along one axis.

    Attributes:
        kernel: The places in the kernel, in the order in which they meet the map; none of them
            where nothing of the map reaches the phase.
        inside: The elements of the map that are read, [begin, end).
        pads: How many more are read, as zeros, before and behind those.
        dilation: Between two that one element of the result reads.
    """

    kernel: range
    inside: tuple[int, int]
    pads: tuple[int, int]
    dilation: int


@dataclass(frozen=True)
class Axis:
    """One axis of a transposed convolution.

    Attributes:
        size: Of the map.
        kernel: Places of the kernel.
        stride: Between what two neighbours of the map add to.
        dilation: Between what two neighbours of the kernel add to.
        cut: Elements that the result lacks at its beginning: the padding.
        result: Size of the result.
    """

    size: int
    kernel: int
    stride: int
    dilation: int
    cut: int
    result: int

    @property
    def phases(self) -> int:
        """How many phases the result has."""
        return min(self.stride, self.result)

    @property
    def places(self) -> int:
        """How many elements each phase has; the last of some may lie behind the result."""
        return -(-self.result // self.stride)

    def taps(self, phase: int) -> Taps:
        """What a phase takes."""
        first = phase + self.cut
        reached = (first - np.arange(self.kernel) * self.dilation) % self.stride == 0
        kernel = np.flatnonzero(reached).tolist()
        common = math.gcd(self.stride, self.dilation)
        nothing = Taps(range(0), (0, 0), (0, 0), 1)
        if not kernel:
            return nothing
        # Places of the map, for element 0 of the phase: the last place of the kernel meets the
        # first of the map.
        low, high = ((first - k * self.dilation) // self.stride for k in (kernel[-1], kernel[0]))
        end = self.places + high
        begin_inside, end_inside = max(low, 0), min(end, self.size)
        if begin_inside >= end_inside:
            return nothing
        pads = begin_inside - low, end - end_inside
        places = range(kernel[-1], -1, -self.stride // common)
        return Taps(places, (begin_inside, end_inside), pads, self.dilation // common)

    def interleaved(self) -> list[int]:
        """Where the elements of the result lie when its phases lie one behind the other."""
        numbers = np.arange(self.phases * self.places).reshape(self.phases, self.places).T
        return [int(number) for number in numbers.ravel()[: self.result]]


@operator("ConvTranspose", parameters=(1, 2))
def conv_transpose(node: Emitter) -> Value:
    """1-D and 2-D, constant weights, any number of groups, depthwise too.

    Each phase of the strides is a convolution of its own; nothing is multiplied by the zeros
    between the elements of a dilated map.
    """
    x, weights = spatial(node), node.weights(1)
    shape = as_map(x.type.shape)
    if weights.ndim != len(x.type.shape) + 1:
        raise UnsupportedError(f"weights of shape {list(weights.shape)} are not supported")
    kernel = weights.shape[2:]
    if node.integers("kernel_shape", kernel) != kernel:
        raise UnsupportedError(f"kernel_shape is not that of the weights, {list(kernel)}")
    groups = node.integer("group", 1)
    turned = _turned(weights.reshape(*weights.shape[:2], *on_map(kernel, 1)), groups, shape[0])
    if node.has_input(2) and node.weights(2).shape != turned.shape[:1]:
        raise UnsupportedError(f"the bias must hold {len(turned)} values")
    axes = _axes(node, shape, kernel)
    count = axes[0].phases * axes[1].phases
    if count > MOST_PHASES:
        raise UnsupportedError(f"{count} phases (products of strides) are not supported")
    node.require_room((len(turned), axes[0].result, axes[1].result))
    transposed = _Transposed(node, turned, groups, axes)
    return transposed.over(x)


def _turned(weights: NDArray[np.float32], groups: int, channels: int) -> NDArray[np.float32]:
    """Weights [Cin, Cout / groups, Kh, Kw] as a convolution has them, [Cout, Cin / groups, …]."""
    cin, outputs, *kernel = weights.shape
    if groups < 1 or cin % groups or cin != channels:
        raise UnsupportedError(
            f"weights of shape {list(weights.shape)} in {groups} groups do not fit {channels} "
            "channels"
        )
    grouped = weights.reshape(groups, cin // groups, outputs, *kernel).swapaxes(1, 2)
    return grouped.reshape(groups * outputs, cin // groups, *kernel)


def _axes(node: Node, shape: Map, kernel: tuple[int, ...]) -> tuple[Axis, Axis]:
    """Both axes, their padding resolved."""
    count = len(kernel)
    strides, dilations = (step_of(node, key, count) for key in ("strides", "dilations"))
    extra = on_map(node.integers("output_padding", (0,) * count), 0)
    sizes = on_map(kernel, 1)
    full = [
        (shape[1 + k] - 1) * strides[k] + extra[k] + (sizes[k] - 1) * dilations[k] + 1
        for k in (0, 1)
    ]
    results, cuts = _results(node, shape, strides, (full[0], full[1]), count)
    if min(results) < 1:
        raise UnsupportedError("a result without elements is not supported")
    vertical, horizontal = (
        Axis(shape[1 + k], sizes[k], strides[k], dilations[k], cuts[k], results[k]) for k in (0, 1)
    )
    return vertical, horizontal


def _results(
    node: Node, shape: Map, strides: tuple[int, int], full: tuple[int, int], count: int
) -> tuple[tuple[int, int], tuple[int, int]]:
    """The sizes of the result, and what is cut off at its beginning.

    Args:
        node: Whose attributes say it.
        shape: Of the map.
        strides: Of both axes.
        full: The sizes of the result without padding.
        count: Of the spatial axes in ONNX.
    """
    mode = node.text("auto_pad", "NOTSET")
    if mode not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise UnsupportedError(f"auto_pad = {mode} is not supported")
    # No result has a size of 0: it stands for no statement.
    stated = on_map(node.integers("output_shape", (0,) * count), 1)
    is_stated = stated[1] > 0
    if is_stated:
        wanted = stated
    elif mode.startswith("SAME"):
        wanted = shape[1] * strides[0], shape[2] * strides[1]
    else:
        pads = (0, 0, 0, 0) if mode == "VALID" else stated_pads(node, count)
        top, left, bottom, right = pads
        return (full[0] - top - bottom, full[1] - left - right), (top, left)
    totals = max(full[0] - wanted[0], 0), max(full[1] - wanted[1], 0)
    top, left, *_ = divided(totals, more_behind=mode == "SAME_UPPER")
    sizes = full[0] - totals[0], full[1] - totals[1]
    return (stated if is_stated else sizes), (top, left)


@dataclass(frozen=True)
class _Transposed:
    """One transposed convolution.

    Attributes:
        node: For which.
        weights: As a convolution has them, [Cout, Cin / groups, Kh, Kw].
        groups: Runs of output channels, each of which reads its own run of input channels.
        axes: The vertical and the horizontal one.
    """

    node: Emitter
    weights: NDArray[np.float32]
    groups: int
    axes: tuple[Axis, Axis]

    def over(self, x: Value) -> Value:
        """The result for [C, L] or [C, H, W], with as many axes."""
        node, (vertical, horizontal) = self.node, self.axes
        flat = len(x.type.shape) == 2
        bias = node.store(node.weights(2), of=2) if node.has_input(2) else None
        x = reshaped(node.part("as_map"), x, as_map(x.type.shape))
        shape = len(self.weights), vertical.result, horizontal.result
        wanted = (shape[0], shape[2]) if flat else shape
        if vertical.phases * horizontal.phases == 1:
            result = self._phase(node.part("map") if flat else node, x, bias, (0, 0))
            return reshaped(node, result, wanted)
        phases = [
            self._phase(node.part("phase", k * horizontal.phases + m), x, bias, (k, m))
            for k in range(vertical.phases)
            for m in range(horizontal.phases)
        ]
        return self._interleaved(phases, wanted)

    def _phase(self, node: Emitter, x: Value, bias: Ref | None, phase: tuple[int, int]) -> Value:
        """[Cout, places, places] of one phase."""
        rows, columns = (axis.taps(number) for axis, number in zip(self.axes, phase, strict=True))
        if not (rows.kernel and columns.kernel):
            return self._nothing(node)
        cuts: list[Runs] = [
            () if taps.inside == (0, size) else runs_of(range(*taps.inside))
            for taps, size in zip((rows, columns), x.type.shape[1:], strict=True)
        ]
        part = self.weights[:, :, list(rows.kernel)][:, :, :, list(columns.kernel)]
        return node.emit(
            nn.Conv,
            [selected(node.part("cut"), x, [(), *cuts])],
            weight=node.store(part, of=1, role="" if node is self.node else node.suffix[1:]),
            bias=bias,
            pads=(rows.pads[0], columns.pads[0], rows.pads[1], columns.pads[1]),
            dilations=(rows.dilation, columns.dilation),
            groups=self.groups,
        )

    def _nothing(self, node: Emitter) -> Value:
        """A phase that nothing of the map reaches: the bias alone."""
        bias = node.weights(2) if node.has_input(2) else np.zeros(len(self.weights), np.float32)
        shape = len(bias), self.axes[0].places, self.axes[1].places
        values = np.broadcast_to(bias[:, None, None], shape)
        return node.emit(moves.Constant, [], value=node.store(values, role=node.suffix[1:]))

    def _interleaved(self, phases: list[Value], wanted: tuple[int, ...]) -> Value:
        """The result of its phases: these side by side, then each element where it belongs."""
        node, (vertical, horizontal) = self.node, self.axes
        channels, tall, wide = len(self.weights), vertical.phases, horizontal.phases
        if vertical.result == 1:
            # One row: each phase is a row, and rows become columns.
            rows = node.part("phases").emit(moves.Concat, phases, axis=1)
            length = wide * horizontal.places
            shape = (*wanted[:-1], length)
            if length == wanted[-1]:
                return rearranged(node, rows, (0, 2, 1), shape)
            row = rearranged(node.part("row"), rows, (0, 2, 1), shape)
            return selected(node, row, [*((),) * (len(shape) - 1), leading(wanted[-1])])
        beside = node.part("phases").emit(moves.Concat, phases, axis=2)
        # A row holds its phases one behind the other: they become rows below each other.
        below = (channels, tall * vertical.places, wide * horizontal.places)
        needs_select = wide > 1 or below != wanted
        x = reshaped(node.part("rows") if needs_select else node, beside, below)
        kept = leading(vertical.result) if vertical.result < below[1] else ()
        columns = horizontal.interleaved()
        in_order = columns == list(range(below[2]))
        return selected(node, x, [(), kept, () if in_order else runs_of(columns)])


def leading(count: int) -> Runs:
    """The first indices, so many, as one run."""
    return ((0, count, min(count - 1, 1)),)
