"""What is summed before it is rounded: terms with real steps, and offsets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

from epimc.ir.core.op import Array, Value
from epimc.ir.core.types import Location


@dataclass(frozen=True)
class Term:
    """One summand of a requantization: a value, and its real step for each channel, float64."""

    value: Value
    steps: Array
    bounds: Array

    def times(self, factor: Array | float) -> Term:
        """The term multiplied by a number, or by one a channel."""
        return replace(self, steps=self.steps * factor)


Trail: TypeAlias = "Location | tuple[Trail, ...]"
"""Locations one behind the other: joined when all are there, as a sum of thousands has many."""


@dataclass(frozen=True)
class Total:
    """What is requantized at once: terms, a real number a channel float64 [C], where it is from."""

    terms: list[Term]
    offset: Array
    trail: Trail

    @property
    def location(self) -> Location:
        """All that it is from."""
        locations: list[Location] = []
        pending = [self.trail]
        while pending:
            last = pending.pop()
            if isinstance(last, Location):
                locations.append(last)
            else:
                pending += reversed(last)
        return Location.joined(locations)

    def plus(self, other: Total, sign: int, location: Location) -> Total:
        """The sum of both, or their difference where the sign is -1."""
        terms = self.terms + [term.times(sign) for term in other.terms]
        offset = self.offset + sign * other.offset
        return Total(terms, offset, (self.trail, other.trail, location))

    def scaled(self, scale: Array, offset: Array, location: Location) -> Total:
        """The total times a number a channel plus another."""
        terms = [term.times(scale) for term in self.terms]
        return Total(terms, self.offset * scale + offset, (self.trail, location))
