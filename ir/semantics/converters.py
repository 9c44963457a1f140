"""Converters: what an ADC makes of the sum on a bit line."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np

from epimc.ir.semantics.arrays import Ints


@dataclass(frozen=True)
class Converter:
    """An ADC that reads unsigned sums, from 0 on.

    Attributes:
        bits: Its codes are 0 to 2^bits - 1.
        step: What one code stands for; a sum is rounded to the nearest step, and in the middle
            between two to that with the even code, so that rounding adds nothing on average.
    """

    bits: int
    step: int = 1

    @property
    def top(self) -> int:
        """The highest code."""
        return (1 << self.bits) - 1

    @property
    def limit(self) -> int:
        """The highest sum that is not clipped."""
        return (self.top + 1) * self.step - self.step // 2 - 1

    def read(self, sums: Ints) -> Ints:
        """What is read in the place of sums, none below 0: a multiple of the step."""
        codes, rest = np.divmod(sums + self.step // 2, self.step)
        if self.step % 2 == 0:
            codes -= (rest == 0) & (codes % 2 == 1)
        read: Ints = np.minimum(codes, self.top) * self.step
        return read

    def worst_error(self, highest: int) -> int:
        """The largest difference between a sum and what is read, of sums from 0 to `highest`."""
        return int(self.worst_errors(np.array(highest)))

    def worst_errors(self, highest: Ints) -> Ints:
        """The same of each of some highest sums."""
        # The half below a step lies farthest from it; beyond the highest code the error grows.
        rounding = np.minimum(highest, self.step // 2)
        errors: Ints = np.maximum(rounding, highest - self.top * self.step)
        return errors

    def is_lossless(self, highest: int) -> bool:
        """Whether all sums from 0 to `highest` are read as they are."""
        return self.worst_error(highest) == 0


def smallest_step(bits: int, highest: int) -> int:
    """The smallest step with which an ADC of so many bits does not clip a sum."""
    # The limit grows with the step, and one as large as the sum holds it in code 1.
    steps = range(1, max(highest, 1) + 1)
    return steps[bisect_left(steps, highest, key=lambda step: Converter(bits, step).limit)]
