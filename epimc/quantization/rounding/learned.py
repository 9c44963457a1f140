"""Learned rounding: integers by gradient, on examples of a layer's inputs and what it must give.

In the spirit of AdaRound (Nagel et al., arXiv 2004.10568): what counts is the result behind the
clipping that follows, which no second moment knows.  Real weights are kept beside the integers;
the gradient at the integers moves them (a straight-through estimate, Adam), and they are rounded
again.  Integers are taken only where they lose less on examples that were kept apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.quantization.rounding.problem import Grid

Array = NDArray[Any]
Doubles = NDArray[np.float64]

# Examples of all samples together; of each step; and after how many steps integers are looked at.
EXAMPLES, BATCH, STEPS, LOOK = 2**14, 1024, 300, 20

# Integers are taken that lose less than so much of what the last ones did: less is chance.
LEAST_GAIN = 0.99

# The largest step of a weight, in units of its integers; it falls to 0 along a cosine.
RATE = 0.02

# Adam's means of slopes and of their squares.
FIRST, SECOND = 0.9, 0.99

SEED = 0


@dataclass(frozen=True)
class Examples:
    """Inputs of a layer, and what it is to give, float32.

    Attributes:
        x: [groups, K, n].
        y: [groups, outputs, n].
    """

    x: Array
    y: Array

    @staticmethod
    def of(parts: Iterable[tuple[Array, Array]], bias: Array) -> Examples:
        """Those of all parts, the results with the layer's bias."""
        xs, ys = zip(*parts, strict=True)
        y = np.concatenate(ys, axis=2)
        return Examples(np.concatenate(xs, axis=2), y + bias.reshape(*y.shape[:2], 1))

    def some(self, chosen: Any) -> Examples:
        """Those of these numbers."""
        return Examples(self.x[:, :, chosen], self.y[:, :, chosen])


@dataclass(frozen=True)
class Loss:
    """What a layer loses behind its clipping, its bias keeping the means of channels.

    Attributes:
        scales: Of the integers, float32 [groups, outputs, 1].
        bounds: The least and the largest result that counts.
        x: Means of inputs, [groups, K, 1].
        y: Means of results, [groups, outputs, 1].
    """

    scales: Array
    bounds: tuple[float, float]
    x: Array
    y: Array

    def difference(self, steps: Array, examples: Examples) -> Array:
        """What comes out less what should, [groups, outputs, n]."""
        low, high = self.bounds
        lost: Array = np.clip(self.result(steps, examples), low, high)
        lost -= np.clip(examples.y, low, high)
        return lost

    def result(self, steps: Array, examples: Examples) -> Array:
        """What comes out, before it is clipped."""
        weights = steps * self.scales
        result: Array = weights @ examples.x + (self.y - weights @ self.x)
        return result

    def slope(self, steps: Array, examples: Examples) -> Array:
        """Of the mean square by each integer, half of it."""
        (low, high), result = self.bounds, self.result(steps, examples)
        lost = np.clip(result, low, high) - np.clip(examples.y, low, high)
        # What is clipped does not change with the weights.
        lost *= (result > low) & (result < high)
        centred = examples.x - self.x
        slope: Array = (lost @ centred.transpose(0, 2, 1)) * self.scales / examples.x.shape[2]
        return slope

    def of(self, steps: Array, examples: Examples) -> float:
        """The mean square."""
        return float(np.square(self.difference(steps, examples)).mean(dtype=np.float64))


def learned(
    grid: Grid,
    steps: Doubles,
    scales: Doubles,
    own: Examples,
    apart: Examples,
    bounds: tuple[float, float],
) -> Doubles:
    """Integers that lose less behind a clipping, or the same.

    Args:
        grid: The integers that there are.
        steps: Those to begin with, [groups, outputs, K].
        scales: Theirs, [groups, outputs].
        own: Examples to learn from.
        apart: Those of other samples, at least one.
        bounds: Of the clipping.
    """
    means = (each.mean(axis=2, keepdims=True) for each in (own.x, own.y))
    loss = Loss(scales[..., None].astype(np.float32), bounds, *means)
    best = steps.astype(np.float32)
    least = loss.of(best, apart)
    for integers in descent(grid, best, own, loss):
        lost = loss.of(integers, apart)
        if lost < LEAST_GAIN * least:
            best, least = integers, lost
    return best.astype(np.float64)


def descent(grid: Grid, start: Array, examples: Examples, loss: Loss) -> Iterable[Array]:
    """The integers after every few steps of the gradient."""
    random, weights = np.random.default_rng(SEED), start.copy()
    first, second = np.zeros_like(weights), np.zeros_like(weights)
    reach = grid.limit + 0.49
    for step in range(1, STEPS + 1):
        batch = examples.some(random.integers(0, examples.x.shape[2], BATCH))
        slope = loss.slope(grid.nearest(weights).astype(np.float32), batch)
        first += (1 - FIRST) * (slope - first)
        second += (1 - SECOND) * (np.square(slope) - second)
        size = np.sqrt(second / (1 - SECOND**step)) + np.float32(1e-12)
        rate = RATE * (1 + np.cos(np.pi * step / STEPS)) / 2
        weights -= np.float32(rate / (1 - FIRST**step)) * first / size
        np.clip(weights, -reach, reach, out=weights)
        if step % LOOK == 0:
            yield grid.nearest(weights).astype(np.float32)
