"""What a layer loses by integers, computed at the positions that were drawn of its operand."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from epimc.ir.core.op import Array, Value
from epimc.ir.core.types import TensorType
from epimc.quantization.activations import activation_type
from epimc.quantization.calibration.histograms import Histogram
from epimc.quantization.calibration.options import MINMAX
from epimc.quantization.calibration.ranges import Choice, Range, chosen_range
from epimc.quantization.equalization.inputs import Inputs
from epimc.quantization.equalization.options import EqualizeOptions
from epimc.quantization.rounding.problem import Grid, Problem
from epimc.quantization.rounding.propagation import rounded
from epimc.quantization.rounding.ranges import scales_of
from epimc.quantization.rounding.solver import USUAL

Doubles = NDArray[np.float64]


def lost_by_layer(inputs: Inputs, weights: Array, options: EqualizeOptions) -> Doubles:
    """The squared error of a layer's result at each position, over all outputs, [positions].

    Args:
        inputs: What the layer reads.
        weights: float32 [groups, outputs, K].
        options: What the numbers have.
    """
    low, high = ends(inputs, options)
    with np.errstate(over="ignore", invalid="ignore"):
        if not np.isfinite(np.float32(high) - np.float32(low)):
            return np.full(len(inputs.samples), np.inf)
        kind = kind_of((low, high), options)
        x, read = inputs.windows, rounded(inputs.windows, kind)
        lost = product(nearest(inputs, weights, options), read) - product(weights, x)
        result: Doubles = np.square(lost, dtype=np.float64).sum(axis=(0, 1))
    return result


def lost_by_weights(
    inputs: Inputs, weights: Array, factors: Array, options: EqualizeOptions
) -> Doubles:
    """The squared error of each output channel by its weights alone, [positions, Cout].

    Args:
        inputs: What the layer reads.
        weights: float32 [groups, outputs, K].
        factors: What outputs are divided by before weights are rounded, float32 [Cout].
        options: What the numbers have.
    """
    each = factors.reshape(*weights.shape[:2], 1)
    lost = nearest(inputs, weights / each, options) * each - weights
    errors = np.square(product(lost, inputs.windows), dtype=np.float64)
    result: Doubles = errors.reshape(len(factors), -1).T
    return result


def product(weights: Array, windows: Array) -> Array:
    """Weights [groups, outputs, K] times windows [groups, positions, K]."""
    result: Array = weights @ windows.transpose(0, 2, 1)
    return result


def ends(inputs: Inputs, options: EqualizeOptions) -> Range:
    """The range of what a layer reads, as `calibrate` chooses it."""
    if options.observer == MINMAX or not np.isfinite(inputs.windows).all():
        return float(inputs.low.min()), float(inputs.high.max())
    histogram = Histogram()
    histogram.add(inputs.windows)
    choice = Choice(options.percentile, options.activation_bits)
    return chosen_range(options.observer, histogram, choice)


def kind_of(own: Range, options: EqualizeOptions) -> TensorType:
    """The type of activations of a range."""
    value = Value("operand", TensorType((1,), "f32"), own)
    return activation_type(value, options.activation_bits, kind=options.activations)


def nearest(inputs: Inputs, weights: Array, options: EqualizeOptions) -> Array:
    """Weights as the nearest integers times their scales, in ranges that lose least, float32."""
    variance = inputs.windows.var(axis=1, dtype=np.float64)
    mean = variance.mean(axis=1, keepdims=True)
    # Inputs that never change say nothing: then all weights count alike.
    importance = variance + USUAL * np.where(mean > 0, mean, 1.0)
    outputs = weights.shape[0] * weights.shape[1]
    is_column = options.weight_granularity == "column"
    shared = np.arange(outputs) if is_column else np.zeros(outputs, np.intp)
    grid = Grid(options.weight_bits)
    problem = Problem(weights.astype(np.float64), importance, None, grid, shared)
    scales = scales_of(problem, "mse")
    return np.asarray(problem.nearest(scales) * scales[..., None], np.float32)
