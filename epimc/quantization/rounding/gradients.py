"""Ops of reals with their gradients: what is learned through.

Each function takes an op and its operands, and gives the result and for each operand what takes
slopes of the result to slopes of the operand (a vector-Jacobian product).  The weights and the bias
of a layer are operands, too.  A table by trait: what it does not cover is not learned through.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.ir.core.dispatch import OpTable
from epimc.ir.core.op import Op, Value
from epimc.ir.core.traits import Adds, Clips
from epimc.ir.core.types import TensorType, as_map
from epimc.ir.epitome.epitomized import Epitomized
from epimc.ir.semantics.windows import Window
from epimc.quantization.rounding.moments import columns, product
from epimc.quantization.rounding.propagation import rounded

Array = NDArray[Any]
Pull = Callable[[Array], Array]
Parameters = Mapping[Value, tuple[Array, Array]]
"""Of layers, by their results: weights [groups, outputs, K] and bias [Cout], or their slopes."""

GRADIENTS: OpTable[[list[Array]], tuple[Array, list[Pull]]] = OpTable("gradient")


@GRADIENTS(Epitomized)
def layer(op: Epitomized, operands: list[Array]) -> tuple[Array, list[Pull]]:
    """Of x [samples, *shape], weights [groups, outputs, K] and a bias [Cout], float32."""
    x, weights, bias = operands
    maps = x.reshape(len(x), *as_map(op.x.type.shape))
    windows = columns(maps, op.window, op.groups)
    result = product(weights, windows, (len(x), *as_map(op.output.type.shape)))
    result += bias.reshape(1, -1, 1, 1)

    def by_output(slope: Array) -> Array:
        flat = slope.reshape(len(slope), bias.size, -1).transpose(1, 0, 2)
        return flat.reshape(*weights.shape[:2], -1)

    def of_x(slope: Array) -> Array:
        pulled = weights.transpose(0, 2, 1) @ by_output(slope)
        return spread(pulled, op.window, maps.shape).reshape(x.shape)

    def of_weights(slope: Array) -> Array:
        pulled: Array = by_output(slope) @ windows.transpose(0, 2, 1)
        return pulled

    def of_bias(slope: Array) -> Array:
        pulled: Array = by_output(slope).sum(axis=2).ravel()
        return pulled

    return result.reshape(len(x), *op.output.type.shape), [of_x, of_weights, of_bias]


@GRADIENTS(Clips)
def clip(op: Clips, operands: list[Array]) -> tuple[Array, list[Pull]]:
    """What is clipped does not change with the operand."""
    low, high = op.bounds
    (x,) = operands
    return np.clip(x, low, high), [lambda slope: slope * ((x > low) & (x < high))]


@GRADIENTS(Adds)
def add(op: Adds, operands: list[Array]) -> tuple[Array, list[Pull]]:
    """The slope goes on to both operands."""
    a, b = operands
    sign = np.float32(op.sign)
    return a + sign * b, [lambda slope: slope, lambda slope: sign * slope]


def rounding(values: Array, kind: TensorType) -> tuple[Array, Pull]:
    """Reals as an activation's type holds them: as if they were only clipped (straight-through)."""
    result = rounded(values, kind)
    near = np.abs(result - values) <= np.float32(kind.step)
    return result, lambda slope: slope * near


def spread(windows: Array, window: Window, shape: tuple[int, ...]) -> Array:
    """Adds windows up where they come from: the transpose of `columns`.

    Args:
        windows: [groups, K, samples * positions].
        window: Slides over each map.
        shape: Of the maps, [samples, C, H, W].
    """
    samples, channels, height, width = shape
    (kh, kw), (sy, sx), (dy, dx) = window.kernel, window.strides, window.dilations
    rows, cols = window.output_size(height, 0), window.output_size(width, 1)
    top, left, bottom, right = window.pads
    taps = windows.reshape(channels, kh, kw, samples, rows, cols)
    padded = np.zeros(
        (channels, samples, height + top + bottom, width + left + right), windows.dtype
    )
    for u in range(kh):
        for v in range(kw):
            y, x = slice(u * dy, u * dy + (rows - 1) * sy + 1, sy), v * dx
            padded[:, :, y, x : x + (cols - 1) * sx + 1 : sx] += taps[:, u, v]
    inner = padded[:, :, top : top + height, left : left + width]
    return np.ascontiguousarray(inner.transpose(1, 0, 2, 3))


@dataclass(frozen=True)
class Tape:
    """Ops that have run on some samples.

    Attributes:
        values: What they read and made.
        pulls: Each op, with what takes slopes of its result to slopes of its operands.
    """

    values: dict[Value, Array]
    pulls: list[tuple[Op, list[Pull]]]

    @staticmethod
    def of(
        ops: Sequence[Op],
        inputs: Mapping[Value, Array],
        parameters: Parameters,
        kinds: Mapping[Value, TensorType],
    ) -> Tape:
        """Run ops, each of which has a gradient.

        Args:
            ops: In order.
            inputs: What they read and do not make, float32.
            parameters: Of layers.
            kinds: The types of the values that are rounded to activations.
        """
        tape = Tape({**inputs}, [])
        for op in ops:
            operands = [tape.values[operand] for operand in op.operands]
            result, pulls = GRADIENTS.apply(op, [*operands, *parameters.get(op.output, ())])
            kind = kinds.get(op.output)
            if kind is not None:
                result, behind = rounding(result, kind)
                pulls = [chained(behind, pull) for pull in pulls]
            tape.values[op.output] = result
            tape.pulls.append((op, pulls))
        return tape

    def slopes(self, slope: Array) -> dict[Value, tuple[Array, Array]]:
        """Those by the parameters of all layers, from that by the last result."""
        made = {op.output for op, _ in self.pulls}
        slopes, result = {self.pulls[-1][0].output: slope}, {}
        for op, pulls in reversed(self.pulls):
            own = slopes.pop(op.output)
            for operand, pull in zip(op.operands, pulls, strict=False):
                # What nobody made has no parameters before it.
                if operand in made:
                    pulled = pull(own)
                    before = slopes.get(operand)
                    slopes[operand] = pulled if before is None else before + pulled
            if isinstance(op, Epitomized):
                _, of_weights, of_bias = pulls
                result[op.output] = of_weights(own), of_bias(own)
        return result


def chained(behind: Pull, pull: Pull) -> Pull:
    """One behind the other."""
    return lambda slope: pull(behind(slope))
