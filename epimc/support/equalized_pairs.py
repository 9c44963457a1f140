"""How many pairs of layers were equalized, as results have it."""

from __future__ import annotations

from dataclasses import dataclass

from epimc.support.diagnostics import counted


@dataclass(frozen=True)
class EqualizedPairs:
    """What was chosen by measured losses.

    Attributes:
        equalized: Pairs of layers of which less is lost with equalization.
        pairs: All pairs that could be equalized.
    """

    equalized: int
    pairs: int

    def __str__(self) -> str:
        return f"equalized: {self.equalized} of {counted(self.pairs, 'pair')} of layers"
