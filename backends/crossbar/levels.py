"""The levels of the IR behind `quantized`, and what the module itself carries there."""

from __future__ import annotations

from epimc.ir.core.attributes import at_least
from epimc.ir.core.attributes import integers as ints
from epimc.ir.core.levels import register_levels
from epimc.ir.core.module_attributes import register_attribute
from epimc.ir.core.op import Attribute

MAPPED, PLACED, SCHEDULED, ALLOCATED = "mapped", "placed", "scheduled", "allocated"
TILES, INPUT_ADDRESSES = "tiles", "input_addresses"

ON_CROSSBARS = register_levels(
    {
        MAPPED: "Layers are arrays, bit slices and rounds; the border is the host's.",
        PLACED: "Every op has its tile, and every array its crossbar.",
        SCHEDULED: "Every row has its step in the program.",
        ALLOCATED: "Every row has its address: what a program is made from.",
    }
)

register_attribute(TILES, Attribute(at_least(1), since=PLACED), "how many tiles the program takes")
register_attribute(
    INPUT_ADDRESSES,
    Attribute(ints(minimum=0), since=ALLOCATED),
    "off-chip address of each input",
    one_an_input=True,
)
