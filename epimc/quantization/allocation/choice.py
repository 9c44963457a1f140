"""The choice of a width for each layer, exact: a multiple-choice knapsack as an integer program.

Of each layer one width is taken; what its weights lose and what it costs at each width are known.
Either the sum of losses is least while costs stay within limits, or the arrays are fewest while the
sum of losses does.  HiGHS (Huangfu and Hall, 2018) closes the gap between the choice and a bound of
all choices by branch and bound.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.support.diagnostics import error
from epimc.support.quiet import without_prints

Doubles = NDArray[np.float64]

# Losses are counted in parts of the largest bound on them times this: HiGHS stops where nothing
# more than 1e-6 can be gained.
FINEST = 1e-7

# What HiGHS takes for nothing in a sum near 1.
TOLERANCE = 1e-6

# A gap of less is what float64 sums differ in.
ROUNDING = 1e-12


# What a limit on losses is called: all others are on what layers take.
ERROR = "error"


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
    def least(self) -> Fraction:
        """The smallest sum that there is, exactly."""
        return exact_sum(min(amounts) for amounts in self.each)

    def excess(self, places: Sequence[int]) -> Fraction:
        """By how much the sum of what is chosen exceeds the largest one, exactly."""
        chosen_ones = (each[place] for each, place in zip(self.each, places, strict=True))
        return exact_sum(chosen_ones) - Fraction(self.most)

    def above_least(self, tightened: Fraction) -> tuple[Doubles, float, NDArray[np.bool_]]:
        """What each width adds to the smallest sum, in one row, and how much there may be of it.

        Numbers below 1 are made larger: HiGHS takes sums for equal that differ by 1e-6.

        Args:
            tightened: What the sum must be below the largest one by.

        Returns:
            The row, how much there may be, and which widths can be chosen: of one that alone adds
            more the row says 0.
        """
        room = max(Fraction(self.most) - tightened - self.least, Fraction(0))
        unit = room if 0 < room < 1 else Fraction(1)
        added = [Fraction(each) - Fraction(min(own)) for own in self.each for each in own]
        possible = np.asarray([each <= room for each in added])
        row = [float(each / unit) if each <= room else 0.0 for each in added]
        return np.asarray(row, np.float64), float(room / unit), possible


@dataclass(frozen=True)
class Choice:
    """What is chosen.

    Attributes:
        places: For each layer the place of its width among its widths.
        gap: How far the choice is from a bound of all choices, relative to it; 0: it is the best.
    """

    places: tuple[int, ...]
    gap: float


def chosen(aims: Sequence[Sequence[float]], limit: Limit) -> Choice:
    """The choice with the smallest sum of aims.

    HiGHS takes sums that exceed a limit by parts in a million for sums within it.  So what it
    chooses is added up exactly, and where that is too much it chooses once more below a limit that
    is smaller: the gap is then that to the bound of the first time, which still holds.

    Args:
        aims: For each layer what each of its widths adds, none negative.
        limit: On another sum.

    Raises:
        EpimcError: No choice stays within the limit: it names the smallest sum that is possible.
    """
    refuse_impossible(limit)
    if not aims:
        return Choice((), 0.0)
    tightened = Fraction(0)
    first = solution = solved(aims, limit, tightened)
    while (excess := limit.excess(solution.places)) > 0:
        # Ever smaller: in the end the cheapest width of each layer is all that is left.
        room = Fraction(limit.most) - limit.least
        tightened = max(2 * tightened, excess, room * Fraction(TOLERANCE))
        solution = solved(aims, limit, tightened)
    if solution is first:
        return Choice(first.places, without_rounding(first.gap))
    total = math.fsum(each[place] for each, place in zip(aims, solution.places, strict=True))
    gap = (total - first.bound) / abs(total) if total else 0.0
    return Choice(solution.places, without_rounding(gap))


@dataclass(frozen=True)
class Solution:
    """What HiGHS chooses.

    Attributes:
        places: As in `Choice`.
        gap: The same, as HiGHS says.
        bound: No choice within the limit has a smaller sum of aims.
    """

    places: tuple[int, ...]
    gap: float
    bound: float


def solved(aims: Sequence[Sequence[float]], limit: Limit, tightened: Fraction) -> Solution:
    """The choice as HiGHS makes it, for which a limit is one of floating point.

    Args:
        aims: As in `chosen`.
        limit: The same.
        tightened: What the sum must be below the limit by, as far as there is such a sum.

    Raises:
        EpimcError: HiGHS gave up.
    """
    # It loads much; nothing else needs it.
    from scipy import optimize, sparse

    counts = [len(amounts) for amounts in aims]
    owners = np.repeat(np.arange(len(counts)), counts)
    one_each = sparse.csr_array((np.ones(len(owners)), (owners, np.arange(len(owners)))))
    row, most, possible = limit.above_least(tightened)
    objective = flat(aims)
    unit = max(greedy_bound(aims) * FINEST, 1e-300)
    # HiGHS 1.12 prints lines of its own making, which no option turns off.
    with without_prints():
        result = optimize.milp(
            objective / unit,
            integrality=np.ones(len(objective), np.int64),
            # A width that alone is too much is none, whatever HiGHS takes for equal.
            bounds=optimize.Bounds(0, possible.astype(np.float64)),
            constraints=[
                optimize.LinearConstraint(one_each, 1, 1),
                optimize.LinearConstraint(row[None], -np.inf, most),
            ],
            options={"mip_rel_gap": 0.0},
        )
    if result.x is None or result.mip_gap is None:
        raise error(
            f"The choice of bits came to no end: {' '.join(result.message.split()).rstrip('.')}.",
            hint="Narrow the range of --weight-bits, or give layers their bits in a file "
            "(--epitome FILE).",
        )
    places = places_of(result.x, counts)
    return Solution(places, float(result.mip_gap), float(result.mip_dual_bound) * unit)


def without_rounding(gap: float) -> float:
    """A gap, 0 where it is no more than sums differ in."""
    return gap if gap > ROUNDING else 0.0


def exact_sum(amounts: Iterable[float]) -> Fraction:
    """The sum of integers or floats, without any rounding."""
    return sum((Fraction(each) for each in amounts), Fraction(0))


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


def refuse_impossible(limit: Limit, notes: Iterable[str] = ()) -> None:
    """Raise EpimcError where even the cheapest width of every layer is too much.

    Args:
        limit: What there may be.
        notes: What the error tells of the widths.
    """
    least = limit.least
    if least > Fraction(limit.most):
        # Weights of fewer bits take less, and lose more.
        other = "higher" if limit.name == ERROR else "lower"
        raise error(
            f"{limit.name} = {amount(Fraction(limit.most))} is not possible: the smallest possible "
            f"is {amount(least)}.",
            notes=notes,
            hint=f"Allow more, or {other} bits in the range of --weight-bits.",
        )


def amount(number: Fraction) -> str:
    """A number as users may give it back: no less than it is."""
    if number.denominator == 1:
        return str(int(number))
    nearest = float(number)
    return repr(nearest if Fraction(nearest) >= number else math.nextafter(nearest, math.inf))
