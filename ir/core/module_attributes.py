"""The attributes of a module that passes write or read; it may carry any others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from epimc.ir.core.attributes import TENSOR, at_least, rows_of
from epimc.ir.core.attributes import integers as ints
from epimc.ir.core.levels import ALLOCATED, EPI, PLACED
from epimc.ir.core.module import Attribute

CALIBRATION, TILES, INPUT_ADDRESSES = "calibration", "tiles", "input_addresses"

# These may be there or not, at every level: the chip, as the keys of its file, and the passes that
# made the module, in order.
TARGET, PASSES = "target", "passes"

MODULE_ATTRIBUTES: Mapping[str, Attribute[Any]] = {
    CALIBRATION: Attribute(rows_of(TENSOR), optional=True, until=EPI),
    TILES: Attribute(at_least(1), since=PLACED),
    INPUT_ADDRESSES: Attribute(ints(minimum=0), since=ALLOCATED),
}
"""Those that belong to certain levels."""

MEANINGS: Mapping[str, str] = {
    CALIBRATION: "samples [samples, …] of each input, which `calibrate` turns into ranges",
    TILES: "how many tiles the program takes",
    INPUT_ADDRESSES: "off-chip address of each input",
}
"""One line of documentation each."""
