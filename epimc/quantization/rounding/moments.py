"""What is known of a layer's inputs and outputs over all samples, streamed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
    # What is too large for float32 becomes infinite, and is found to be where it matters.
    with np.errstate(over="ignore", invalid="ignore"):
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
        centre: About the mean of x, which products are taken from, [groups, K]: of large numbers
            that hardly differ sums in float32 would leave nothing.
        squares: Of x less the centre, [groups, K].
        squares_y: Of y, [groups, outputs].
        xx: Of x less the centre, [groups, K, K]; None where it is not asked for.
        yx: Of y with x less the centre, [groups, outputs, K]; None with it.
    """

    count: int
    x: Doubles
    y: Doubles
    centre: Doubles
    squares: Doubles
    squares_y: Doubles
    xx: Doubles | None = None
    yx: Doubles | None = None

    @staticmethod
    def of(windows: Array, outputs: Array, centre: Array, *, products: bool) -> Moments:
        """Those of columns [groups, K, n] and outputs [groups, outputs, n], float32.

        Args:
            windows: The columns.
            outputs: The outputs.
            centre: The same for all that is added up, [groups, K, 1].
            products: Whether inputs are looked at together.
        """
        # What is too large for float32 makes moments that are not finite, which are not used.
        with np.errstate(over="ignore", invalid="ignore"):
            centred = windows - centre
            xx = centred @ centred.transpose(0, 2, 1) if products else None
            if xx is None:
                squares = np.einsum("gkn,gkn->gk", centred, centred, dtype=np.float64)
            else:
                squares = np.diagonal(xx, axis1=1, axis2=2).astype(np.float64)
            sums = Moments(
                windows.shape[2],
                windows.sum(axis=2, dtype=np.float64),
                outputs.sum(axis=2, dtype=np.float64),
                centre[..., 0].astype(np.float64),
                squares,
                np.einsum("gon,gon->go", outputs, outputs, dtype=np.float64),
            )
            if xx is not None:
                sums.xx = xx.astype(np.float64)
                sums.yx = (outputs @ centred.transpose(0, 2, 1)).astype(np.float64)
        return sums

    def of_outputs(self, chosen: Sequence[int]) -> Moments:
        """Those of some outputs of each group."""
        y, squares_y = self.y[:, chosen], self.squares_y[:, chosen]
        yx = None if self.yx is None else self.yx[:, chosen]
        return replace(self, y=y, squares_y=squares_y, yx=yx)

    @property
    def is_finite(self) -> bool:
        """Whether all sums are numbers."""
        sums = (self.x, self.y, self.squares, self.squares_y, self.xx, self.yx)
        return all(each is None or bool(np.isfinite(each).all()) for each in sums)

    @property
    def offset(self) -> Doubles:
        """How far the mean of x lies from the centre, [groups, K]."""
        return self.x / self.count - self.centre

    def add(self, other: Moments) -> None:
        """Take in other positions."""
        self.count += other.count
        pairs = [(self.x, other.x), (self.y, other.y), (self.squares, other.squares)]
        pairs += [(self.squares_y, other.squares_y)]
        if self.xx is not None and other.xx is not None:
            pairs += [(self.xx, other.xx)]
        if self.yx is not None and other.yx is not None:
            pairs += [(self.yx, other.yx)]
        # As in `of`.
        with np.errstate(over="ignore", invalid="ignore"):
            for own, others in pairs:
                own += others

    @property
    def variance(self) -> Doubles:
        """Of the inputs, [groups, K]."""
        spread = self.squares / self.count - np.square(self.offset)
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
        result: Doubles = self.xx / self.count
        result -= self.offset[:, :, None] * self.offset[:, None, :]
        return result

    @property
    def cross_covariance(self) -> Doubles:
        """Of outputs with inputs, [groups, outputs, K]."""
        assert self.yx is not None
        means = (self.y / self.count)[:, :, None] * self.offset[:, None, :]
        result: Doubles = self.yx / self.count - means
        return result
