"""What numbers in a bundle's files may be: of sane size, so that none makes a reader allocate much.

Whether a program is right is for the checker to say.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, FailFast, Field

from epimc.support.limits import LARGEST_WINDOW

# The most bytes of a feature map, and elements of an input or output.
MAXIMUM_MAP_BYTES = 2**31

# The most bytes of a row: more than any buffer is made for.
MAXIMUM_ROW_BYTES = 2**26

# The most numbers that are made for all tables of a program, and stand in no file: weights that
# plans sample from epitomes, and where elements go.
MAXIMUM_MADE = 2**29

# The most rows of all feature maps together: the checker keeps account of each.
MAXIMUM_ROWS = 2**20

# The most rows that all instructions together read from rings, each output row for itself.
MAXIMUM_ROWS_READ = 2**22

# The most instructions that a program has, as it is written; the characters of its text, and of a
# line without its comment: the longest instruction names 255 rings.
MAXIMUM_INSTRUCTIONS = 2**17
MAXIMUM_TEXT = 2**24
MAXIMUM_LINE = 2**14

# The most instructions that all streams of a program may execute together, `loop` and `end` not
# counted; and the most that the checker walks, one by one, where no induction helps.
MAXIMUM_EXECUTED = 2**20
MAXIMUM_WALKED = 2**19

# The most that tiles may exchange: what any of them sends, signals or waits for, times the tiles.
MAXIMUM_EXCHANGES = 2**26

# The highest sum on a bit line: of so many word lines, an input slice and a cell at their highest.
LARGEST_SUM = 4096 * (2**8 - 1) * (2**4 - 1)

# The calibration samples whose sums set a calibrated range: each takes some passes through all
# arrays.
CALIBRATED_SAMPLES = 8

Index = Annotated[int, Field(ge=0, lt=2**16)]
Count = Annotated[int, Field(ge=1, lt=2**31)]
Offset = Annotated[int, Field(ge=0, lt=2**31)]
Signed = Annotated[int, Field(gt=-(2**31), lt=2**31)]
Extent = Annotated[int, Field(ge=1, le=4096)]
Padding = Annotated[int, Field(ge=0, le=LARGEST_WINDOW)]
Activation = Annotated[int, Field(ge=0, lt=2**16)]
Name = Annotated[str, Field(min_length=1, max_length=4096)]

# For lists of any length: a reader names the first wrong item alone, since a mistake takes a
# hundred times the memory of the item.
FIRST_MISTAKE = FailFast()

# For every dataclass that a file describes: no key but its own, no conversion of types.
STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
