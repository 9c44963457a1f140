"""Requantizations drawn at random, and what they amount to by definition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from epimc.backends.crossbar.compiled.requantize import Rescaling
from epimc.ir.semantics.arrays import Array, Ints
from epimc.ir.semantics.requantization import requantization, requantize
from tests.backends.crossbar.compiled.layers import nchw


@dataclass(frozen=True, eq=False)
class Drawn:
    """A requantization, and the numbers that it is made of."""

    rescaling: Rescaling
    multipliers: Ints
    shifts: Ints
    offsets: Ints
    zero_points: Sequence[int]
    zero_point: int
    low: int
    high: int

    def expected(self, terms: Sequence[Array]) -> Ints:
        """What the definition says of terms, NHWC."""
        sources = [nchw(term) - zero for term, zero in zip(terms, self.zero_points, strict=True)]
        limits = (self.zero_point, self.low, self.high)
        result = requantize(sources, self.multipliers, self.shifts, *limits, self.offsets)
        return result.transpose(0, 2, 3, 1)


def drawn_terms(kinds: Sequence[str], shape: tuple[int, ...]) -> tuple[list[Array], list[int]]:
    """Terms of some types, and the largest magnitude of each."""
    random = np.random.default_rng(len(kinds))
    bounds = [min(np.iinfo(kind).max, 2**36) for kind in kinds]
    terms = []
    for most, kind in zip(bounds, kinds, strict=True):
        low = -most if kind.startswith("i") else 0
        terms.append(random.integers(low, most, shape, endpoint=True).astype(kind))
    return terms, bounds


@st.composite
def rescalings(draw: st.DrawFn, bounds: Sequence[int], channels: int, place: int) -> Drawn:
    """A requantization of terms with these bounds, of which large ones are accumulators."""
    bits = draw(st.integers(1, 16))
    high = 2**bits - 1
    numbers = []
    for _ in range(channels):
        scales = [
            draw(st.integers(-50, 50))
            / 50
            * high
            / max(1, bound)
            * (not term or draw(st.booleans()))
            for term, bound in enumerate(bounds)
        ]
        scales[0] = scales[0] or high / bounds[0]
        numbers.append(requantization(scales, list(bounds), draw(st.floats(-9, 9))))
    multipliers = np.array([number[0] for number in numbers]).T
    shifts, offsets = (np.array([number[n] for number in numbers]) for n in (1, 2))
    zero_points = [0 if bound > 2**16 else draw(st.integers(0, bound)) for bound in bounds]
    zero = draw(st.integers(0, high))
    low = draw(st.sampled_from([0, zero]))
    kind = np.dtype(np.uint8 if bits <= 8 else np.uint16)
    rescaling = Rescaling(multipliers, shifts, offsets, zero_points, zero, low, high, kind, place)
    return Drawn(rescaling, multipliers, shifts, offsets, zero_points, zero, low, high)
