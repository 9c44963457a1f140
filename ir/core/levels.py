"""The levels of the IR: what is true of a module, from the imported network to addresses.

Ops and attributes name the levels at which they are legal (`core.py`), passes those that they
take and give (`pipeline.py`); the verifier holds a module to its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

NN, EPI, CALIBRATED, QUANTIZED = "nn", "epi", "calibrated", "quantized"
MAPPED, PLACED, SCHEDULED, ALLOCATED = "mapped", "placed", "scheduled", "allocated"

LEVELS: Mapping[str, str] = {
    NN: "The network as imported, in floats.",
    EPI: "Convolutions and constant matmuls are epitomes, in floats.",
    CALIBRATED: "Every value has its range on the calibration samples.",
    QUANTIZED: "Everything is integers; reals are left at inputs and outputs alone.",
    MAPPED: "Layers are arrays, bit slices and rounds; the border is the host's.",
    PLACED: "Every op has its tile, and every array its crossbar.",
    SCHEDULED: "Every row has its step in the program.",
    ALLOCATED: "Every row has its address: what a program is made from.",
}
"""What is true at each level, in the order in which passes go through them."""


def from_level(first: str) -> frozenset[str]:
    """A level and all behind it."""
    order = list(LEVELS)
    return frozenset(order[order.index(first) :])


def up_to(last: str) -> frozenset[str]:
    """A level and all before it."""
    order = list(LEVELS)
    return frozenset(order[: order.index(last) + 1])


FLOATS = up_to(CALIBRATED)
ON_CROSSBARS = from_level(MAPPED)


def in_order(levels: Iterable[str]) -> list[str]:
    """Levels as the passes go through them."""
    return [level for level in LEVELS if level in levels]
