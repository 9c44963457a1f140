"""How much is added to a metric's diagonal: that with which most samples serve the others best.

Few samples say little of how inputs go together: then weights change little, or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from epimc.quantization.rounding.moments import Moments
from epimc.quantization.rounding.propagation import in_threads
from epimc.quantization.rounding.solver import ALONE, USUAL, Solver

Doubles = NDArray[np.float64]

# Shares of the mean variance.  Two are tried, then those beyond the better one, as long as each is
# better than the last.
FIRST = (USUAL, 0.1)
WEAKER, STRONGER = (0.001,), (1.0, 10.0)

# What is lost with the best, of what is lost with none, if weights are to change.
WORTH = 0.9

# Of layers of more inputs none is looked for, which would take as long as all the rest: the usual
# one serves many positions, and if there are fewer than inputs a strong one is tried alone.
LARGEST_SEARCH = 2048

# Outputs of each group that tell as much as all of them.
SEARCHED = 64


def damping_of(solver: Solver, kept: Moments, apart: Moments | None) -> float:
    """The share that the metric's diagonal gets, or ALONE.

    Args:
        solver: Of the layer's weights.
        kept: Of most of the samples.
        apart: Of the others; None where there are none.
    """
    if apart is None or not (kept.is_finite and apart.is_finite):
        return ALONE
    inputs, count = solver.weights.shape[2], solver.weights.shape[1]
    is_wide = inputs > LARGEST_SEARCH
    if is_wide and kept.count >= inputs:
        return USUAL
    if solver.is_separable and count > SEARCHED:
        chosen = np.linspace(0, count - 1, SEARCHED).astype(int).tolist()
        solver = solver.of_outputs(chosen)
        kept, apart = kept.of_outputs(chosen), apart.of_outputs(chosen)
    search = Search(solver, kept, apart)
    if is_wide:
        search.look_at(STRONGER[:1])
    else:
        search.look_at(FIRST)
        search.go_on()
    return search.best()


class Search:
    """What is lost on the samples kept apart, by the dampings that were tried."""

    def __init__(self, solver: Solver, kept: Moments, apart: Moments) -> None:
        self.solver, self.kept = solver, kept
        self.covariance, self.cross, self.power = (
            apart.covariance,
            apart.cross_covariance,
            apart.power,
        )
        self.lost: dict[float, float] = {}
        self.look_at([ALONE])

    def look_at(self, dampings: Iterable[float]) -> None:
        """Try some."""
        tried = [*dampings]
        self.lost.update(zip(tried, in_threads(self.loss, tried, self.solver.threads), strict=True))

    def go_on(self) -> None:
        """Try those beyond the better one of the first two."""
        weak, strong = (self.lost[damping] for damping in FIRST)
        least, beyond = (weak, WEAKER) if weak <= strong and weak < np.inf else (strong, STRONGER)
        for damping in beyond:
            self.look_at([damping])
            if not self.lost[damping] < least:
                return
            least = self.lost[damping]

    def best(self) -> float:
        """The one with which least is lost, if that is worth a change."""
        damping = min(self.lost, key=self.lost.__getitem__)
        return damping if self.lost[damping] < WORTH * self.lost[ALONE] else ALONE

    def loss(self, damping: float) -> float:
        """What is lost on the samples kept apart, of a rounding on the others."""
        try:
            problem = self.solver.problem(self.kept, damping)
        except np.linalg.LinAlgError:
            return np.inf
        steps, scales = self.solver.start(problem)
        weights = steps * scales[..., None]
        quadratic = ((weights @ self.covariance) * weights).sum()
        return float(quadratic - 2 * (weights * self.cross).sum() + self.power)
