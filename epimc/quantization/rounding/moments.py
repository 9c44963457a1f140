"""What is known of a layer's inputs and outputs over all samples, streamed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.ir.semantics.windows import Window, gather

Array = NDArray[Any]
Doubles = NDArray[np.float64]


def columns(x: Array, window: Window, groups: int) -> Array:
    """The windows of maps as columns [groups, K, samples * positions].

    Args:
        x: [samples, C, H, W].
        window: Slides over each map; what lies outside of it is 0.
        groups: Runs of channels.
    """
    height = window.output_size(x.shape[2], 0)
    patches = gather(x, window, 0, 0, height)
    return patches.transpose(1, 2, 3, 0, 4, 5).reshape(
        groups, patches.shape[1] * patches.shape[2] * patches.shape[3] // groups, -1
    )


def product(weights: Array, windows: Array, shape: tuple[int, ...]) -> Array:
    """Weights [groups, outputs, K] times columns, as maps [samples, Cout, H, W] of a shape."""
    flat = weights @ windows
    samples, channels, height, width = shape
    maps = flat.reshape(channels, samples, height, width).transpose(1, 0, 2, 3)
    return np.ascontiguousarray(maps)


@dataclass
class Moments:
    """Sums over positions of inputs x and outputs y, and of their products.

    Attributes:
        count: Positions.
        x: [groups, K].
        y: [groups, outputs].
        squares: Of x, [groups, K].
        squares_y: Of y, [groups, outputs].
        xx: [groups, K, K]; None where it is not asked for.
        yx: [groups, outputs, K]; None with it.
    """

    count: int
    x: Doubles
    y: Doubles
    squares: Doubles
    squares_y: Doubles
    xx: Doubles | None = None
    yx: Doubles | None = None

    @staticmethod
    def of(windows: Array, outputs: Array, *, products: bool) -> Moments:
        """Those of columns [groups, K, n] and outputs [groups, outputs, n], float32."""
        sums = Moments(
            windows.shape[2],
            windows.sum(axis=2, dtype=np.float64),
            outputs.sum(axis=2, dtype=np.float64),
            np.einsum("gkn,gkn->gk", windows, windows, dtype=np.float64),
            np.einsum("gon,gon->go", outputs, outputs, dtype=np.float64),
        )
        if products:
            turned = windows.transpose(0, 2, 1)
            sums.xx = (windows @ turned).astype(np.float64)
            sums.yx = (outputs @ turned).astype(np.float64)
        return sums

    def add(self, other: Moments) -> None:
        """Take in other positions."""
        self.count += other.count
        self.x += other.x
        self.y += other.y
        self.squares += other.squares
        self.squares_y += other.squares_y
        for own, others in ((self.xx, other.xx), (self.yx, other.yx)):
            if own is not None and others is not None:
                own += others

    @property
    def variance(self) -> Doubles:
        """Of the inputs, [groups, K]."""
        spread = self.squares / self.count - np.square(self.x / self.count)
        # Rounding may leave less than nothing of an input that never changes.
        return np.maximum(spread, 0.0)

    @property
    def power(self) -> float:
        """The variance of all outputs together."""
        return float((self.squares_y / self.count - np.square(self.y / self.count)).sum())

    @property
    def covariance(self) -> Doubles:
        """Of the inputs, [groups, K, K]."""
        assert self.xx is not None
        mean = self.x / self.count
        result: Doubles = self.xx / self.count
        result -= mean[:, :, None] * mean[:, None, :]
        return result

    @property
    def cross_covariance(self) -> Doubles:
        """Of outputs with inputs, [groups, outputs, K]."""
        assert self.yx is not None
        means = (self.y / self.count)[:, :, None] * (self.x / self.count)[:, None, :]
        result: Doubles = self.yx / self.count - means
        return result
