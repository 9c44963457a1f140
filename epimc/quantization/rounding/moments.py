"""What is known of a layer's inputs and outputs over all samples, streamed."""

from __future__ import annotations

from collections.abc import Iterable
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
        xx: [groups, K, K].
        yx: [groups, outputs, K].
    """

    count: int
    x: Doubles
    y: Doubles
    xx: Doubles
    yx: Doubles

    @staticmethod
    def of(windows: Array, outputs: Array) -> Moments:
        """Those of columns [groups, K, n] and outputs [groups, outputs, n], float32."""
        turned = windows.transpose(0, 2, 1)
        return Moments(
            windows.shape[2],
            windows.sum(axis=2, dtype=np.float64),
            outputs.sum(axis=2, dtype=np.float64),
            (windows @ turned).astype(np.float64),
            (outputs @ turned).astype(np.float64),
        )

    def plus(self, other: Moments) -> Moments:
        """Those of both."""
        return Moments(
            self.count + other.count,
            self.x + other.x,
            self.y + other.y,
            self.xx + other.xx,
            self.yx + other.yx,
        )

    @staticmethod
    def total(parts: Iterable[Moments]) -> Moments:
        """All together, added in order; the first takes the sum."""
        iterator = iter(parts)
        total = next(iterator)
        for part in iterator:
            total.count += part.count
            total.x += part.x
            total.y += part.y
            total.xx += part.xx
            total.yx += part.yx
        return total

    @property
    def covariance(self) -> Doubles:
        """Of the inputs, [groups, K, K]."""
        mean = self.x / self.count
        result: Doubles = self.xx / self.count - mean[:, :, None] * mean[:, None, :]
        return result

    @property
    def cross_covariance(self) -> Doubles:
        """Of outputs with inputs, [groups, outputs, K]."""
        result: Doubles = (
            self.yx / self.count
            - (self.y / self.count)[:, :, None] * (self.x / self.count)[:, None, :]
        )
        return result
