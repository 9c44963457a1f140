"""The levels of the IR behind `quantized`, and what the module itself carries there."""

from __future__ import annotations

from typing import Any

from epimc.ir.core.attributes import AttributeKind, at_least
from epimc.ir.core.attributes import integers as ints
from epimc.ir.core.levels import register_levels
from epimc.ir.core.module_attributes import register_attribute
from epimc.ir.core.op import Attribute
from epimc.ir.core.types import IrError

MAPPED, PLACED, SCHEDULED, ALLOCATED = "mapped", "placed", "scheduled", "allocated"
TILES, INPUT_ADDRESSES = "tiles", "input_addresses"

HOST_OUTPUTS = "host_outputs"
"""For each output of the module (result, type): of the host call, -1 where the chip computes it."""


def _pair(value: Any) -> tuple[int, str]:
    pair = tuple(value) if isinstance(value, (tuple, list)) else ()
    if len(pair) != 2 or type(pair[0]) is not int or not isinstance(pair[1], str):
        raise IrError("expected a number and a type")
    return pair[0], pair[1]


PAIRS: AttributeKind[tuple[tuple[int, str], ...]] = AttributeKind(
    "a list of pairs of a number and a type", lambda value: tuple(map(_pair, value))
)

ON_CROSSBARS = register_levels(
    {
        MAPPED: "Layers are arrays, bit slices and rounds; the border is the host's.",
        PLACED: "Every op has its tile, and every array its crossbar.",
        SCHEDULED: "Every row has its step in the program.",
        ALLOCATED: "Every row has its address: what a program is made from.",
    }
)

register_attribute(
    HOST_OUTPUTS,
    Attribute(PAIRS, optional=True, since=MAPPED),
    "for each output the result of a host call that it is, or -1, and its type",
)
register_attribute(TILES, Attribute(at_least(1), since=PLACED), "how many tiles the program takes")
register_attribute(
    INPUT_ADDRESSES,
    Attribute(ints(minimum=0), since=ALLOCATED),
    "off-chip address of each input",
    one_an_input=True,
)
