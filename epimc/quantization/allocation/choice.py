"""The choice of a width for each layer, exact: a multiple-choice knapsack as an integer program.

Of each layer one width is taken; what its weights lose and what it costs at each width are known.
Either the sum of losses is least while costs stay within limits, or the arrays are fewest while the
sum of losses does.  HiGHS (Huangfu and Hall, 2018) closes the gap between the choice and a bound of
all choices by branch and bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.support.diagnostics import error
from epimc.support.quiet import without_prints

Doubles = NDArray[np.float64]

# Losses are counted in parts of the largest bound on them times this: HiGHS stops where nothing
# more than 1e-6 can be gained.
FINEST = 1e-7

# A gap of less is what float64 sums differ in.
ROUNDING = 1e-12


@dataclass(frozen=True)
class Limit:
    """What a sum over all layers may be.

    Attributes:
        name: What is counted.
        each: For each layer what it adds at each of its widths.
        most: The largest sum.
    """

    name: str
    each: Sequence[Sequence[float]]
    most: float

    @property
    def least(self) -> float:
        """The smallest sum that there is."""
        return sum(min(amounts) for amounts in self.each)

    def above_least(self) -> tuple[Doubles, float]:
        """What each width adds to the smallest sum, in one row, and how much there may be of it.

        Numbers below 1 are made larger: HiGHS takes sums for equal that differ by 1e-6.
        """
        row = flat([[each - min(amounts) for each in amounts] for amounts in self.each])
        most = float(self.most - self.least)
        unit = most if 0 < most < 1 else 1.0
        return row / unit, most / unit


@dataclass(frozen=True)
class Choice:
    """What is chosen.

    Attributes:
        places: For each layer the place of its width among its widths.
        gap: How far the choice is from a bound of all choices, relative to it; 0: it is the best.
    """

    places: tuple[int, ...]
    gap: float


def chosen(aims: Sequence[Sequence[float]], limits: Sequence[Limit]) -> Choice:
    """The choice with the smallest sum of aims.

    Args:
        aims: For each layer what each of its widths adds, none negative.
        limits: On other sums.

    Raises:
        EpimcError: No choice stays within a limit: it names the smallest that is possible.
    """
    # It loads much; nothing else needs it.
    from scipy import optimize, sparse

    refuse_impossible(limits)
    if not aims:
        return Choice((), 0.0)
    counts = [len(amounts) for amounts in aims]
    owners = np.repeat(np.arange(len(counts)), counts)
    one_each = sparse.csr_array((np.ones(len(owners)), (owners, np.arange(len(owners)))))
    constraints = [optimize.LinearConstraint(one_each, 1, 1)]
    for limit in limits:
        row, most = limit.above_least()
        constraints.append(optimize.LinearConstraint(row[None], -np.inf, most))
    objective = flat(aims)
    unit = max(greedy_bound(aims) * FINEST, 1e-300)
    # HiGHS 1.12 prints lines of its own making, which no option turns off.
    with without_prints():
        result = optimize.milp(
            objective / unit,
            integrality=np.ones(len(objective), np.int64),
            bounds=optimize.Bounds(0, 1),
            constraints=constraints,
            options={"mip_rel_gap": 0.0},
        )
    if result.x is None:
        raise AssertionError(f"the integer program has no result: {result.message}")
    gap = float(result.mip_gap or 0.0)
    return Choice(places_of(result.x, counts), gap if gap > ROUNDING else 0.0)


def flat(amounts: Sequence[Sequence[float]]) -> Doubles:
    """All in one row."""
    return np.asarray([each for layer in amounts for each in layer], np.float64)


def greedy_bound(aims: Sequence[Sequence[float]]) -> float:
    """A sum that no choice exceeds."""
    return sum(max(amounts) for amounts in aims)


def places_of(x: NDArray[Any], counts: Sequence[int]) -> tuple[int, ...]:
    """For each layer the place that is 1."""
    ends = np.cumsum(counts)
    return tuple(int(np.argmax(x[end - n : end])) for end, n in zip(ends, counts, strict=True))


def refuse_impossible(limits: Sequence[Limit]) -> None:
    """Raise EpimcError where even the cheapest width of every layer is too much."""
    for limit in limits:
        if limit.least > limit.most:
            raise error(
                f"{limit.name} = {amount(limit.most)} is not possible: the smallest possible is "
                f"{amount(limit.least)}.",
                hint="Allow more, or lower bits in the range of --weight-bits.",
            )


def amount(number: float) -> str:
    """A number as users may give it back: no less than it is."""
    return str(int(number)) if float(number).is_integer() else repr(float(number))
