"""The attributes of a module that passes write or read; it may carry any others."""

from __future__ import annotations

from typing import Any

from epimc.ir.core.attributes import TENSOR, at_least, rows_of
from epimc.ir.core.levels import CALIBRATED, NN
from epimc.ir.core.op import Attribute

CALIBRATION, ARRAY_ROWS = "calibration", "array_rows"

# These may be there or not, at every level: the chip, as the keys of its file, and the passes that
# made the module, in order.
TARGET, PASSES = "target", "passes"

MODULE_ATTRIBUTES: dict[str, Attribute[Any]] = {}
"""Those that belong to certain levels; a backend registers its own."""

MEANINGS: dict[str, str] = {}
"""One line of documentation each."""

ONE_AN_INPUT: set[str] = set()
"""Those that are lists with one element an input of the module."""


def register_attribute(
    key: str, attribute: Attribute[Any], meaning: str, *, one_an_input: bool = False
) -> None:
    """Have the verifier hold modules to an attribute of theirs.

    Args:
        key: Its name.
        attribute: Its kind, and where it is set.
        meaning: One line.
        one_an_input: Whether it is a list with one element an input of the module.

    Raises:
        ValueError: There is one of this name.
    """
    if key in MODULE_ATTRIBUTES:
        raise ValueError(f"module attribute '{key}' is registered twice")
    MODULE_ATTRIBUTES[key], MEANINGS[key] = attribute, meaning
    if one_an_input:
        ONE_AN_INPUT.add(key)


register_attribute(
    CALIBRATION,
    Attribute(rows_of(TENSOR), optional=True, until=CALIBRATED),
    "samples [samples, …] of each input, for ranges and for the rounding of weights",
)

register_attribute(
    ARRAY_ROWS,
    Attribute(at_least(1), optional=True, until=NN),
    "word lines of the target's arrays, to which policies align epitomes",
)
