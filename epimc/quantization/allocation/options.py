"""Mixed precision as users ask for it: `mixed:2..8,crossbars=N`; read without numpy.

mixed:LOW..HIGH,crossbars=N        the least loss with at most N arrays
mixed:LOW..HIGH,reads=N            … with at most N array reads a sample
mixed:LOW..HIGH,error=X            the fewest arrays with at most this loss
…,ends=B                           first and last layers have B bits
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated, Any

from epimc.quantization.options import LEAST_WEIGHT_BITS, MOST_WEIGHT_BITS, NumberOptions
from epimc.support.diagnostics import did_you_mean
from epimc.support.options import Option

MIXED = "mixed:"
FORM = "mixed:2..8,crossbars=N"
# One bit has no 0: whether a layer gets by with it only its rounding tells.
LEAST_MIXED = 2

BUDGETS = ("crossbars", "reads", "error")
KEYS = (*BUDGETS, "ends")

RANGE = re.compile(r"([0-9]{1,3})\.\.([0-9]{1,3})", re.ASCII)
COUNT = re.compile(r"[0-9]{1,18}", re.ASCII)
NUMBER = re.compile(r"[0-9]{0,18}\.?[0-9]{1,18}(?:e-?[0-9]{1,3})?", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class AllocationOptions:
    """Which widths layers may have, and what all of them together may take or lose.

    Attributes:
        weight_bits: The widths.
        crossbars: The most arrays.
        reads: The most array reads of a sample.
        error: The most that outputs may lose, in parts of their variance.
        ends: Bits of the layers that no layer comes before, or after; None: as all others.
    """

    weight_bits: Annotated[
        tuple[int, ...],
        Option("The widths.", minimum=LEAST_MIXED, maximum=MOST_WEIGHT_BITS),
    ] = (2, 3, 4, 5, 6, 7, 8)
    crossbars: Annotated[int | None, Option("The most arrays.", minimum=0)] = None
    reads: Annotated[int | None, Option("The most array reads of a sample.", minimum=0)] = None
    error: Annotated[
        float | None, Option("The most that outputs lose, in parts of their variance.", minimum=0)
    ] = None
    ends: Annotated[
        int | None,
        Option(
            "Bits of the first and last layers.",
            minimum=LEAST_WEIGHT_BITS,
            maximum=MOST_WEIGHT_BITS,
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class BitOptions(NumberOptions):
    """What numbers are on the chip, and how weights get their bits.

    Attributes:
        weight_bits: Bits of a weight, 1 to 16; or what they are chosen by, layer by layer, as text.
    """

    weight_bits: Annotated[
        int | str,
        Option(
            f"Bits of a weight, {LEAST_WEIGHT_BITS}..{MOST_WEIGHT_BITS}; mixed: of each layer.",
            minimum=LEAST_WEIGHT_BITS,
            maximum=MOST_WEIGHT_BITS,
            metavar=f"N|{FORM}",
        ),
    ] = 8


def is_mixed(weight_bits: int | str) -> bool:
    """Whether the bits of weights are to be chosen layer by layer."""
    return isinstance(weight_bits, str)


def mixed_bits(text: str) -> AllocationOptions:
    """What a text asks for.

    Raises:
        ValueError: It is wrong: a clause says how.
    """
    if not text.startswith(MIXED):
        raise ValueError(f"'{text}' is neither a number nor like {FORM}")
    bits, *settings = text.removeprefix(MIXED).split(",")
    values: dict[str, Any] = {"weight_bits": widths_of(bits)}
    for setting in settings:
        key, _, value = setting.partition("=")
        if key not in KEYS:
            # Sentences of others, which this one goes on with.
            hint = did_you_mean(key, KEYS).rstrip(".?")
            raise ValueError(f"'{key}' is no part of {FORM}: {hint[:1].lower()}{hint[1:]}")
        if key in values:
            raise ValueError(f"'{key}' stands twice in '{text}'")
        values[key] = amount_of(key, value)
    budgets = [key for key in BUDGETS if key in values]
    if not budgets:
        raise ValueError(f"'{text}' needs one of crossbars=N, reads=N and error=X")
    if len(budgets) > 1:
        raise ValueError(f"'{text}' has {' and '.join(budgets)}: only one can be a budget")
    return AllocationOptions(**values)


def widths_of(text: str) -> tuple[int, ...]:
    """The widths of a range."""
    match = RANGE.fullmatch(text)
    limits = f"{LEAST_MIXED}..{MOST_WEIGHT_BITS}"
    if not match:
        raise ValueError(f"'{text}' is no range of bits, such as 2..8")
    low, high = int(match[1]), int(match[2])
    if not LEAST_MIXED <= low <= high <= MOST_WEIGHT_BITS:
        raise ValueError(f"'{text}' is no range of bits within {limits}")
    return tuple(range(low, high + 1))


def amount_of(key: str, text: str) -> int | float:
    """The value of a setting."""
    if key == "error":
        if not NUMBER.fullmatch(text) or not 0 < float(text) < math.inf:
            raise ValueError(f"error = '{text}' is no finite number above 0, such as 0.01")
        return float(text)
    if not COUNT.fullmatch(text):
        raise ValueError(f"{key} = '{text}' is no integer of at least 0 and at most 18 digits")
    if key == "ends" and not LEAST_WEIGHT_BITS <= int(text) <= MOST_WEIGHT_BITS:
        raise ValueError(f"ends = {text} is not in {LEAST_WEIGHT_BITS}..{MOST_WEIGHT_BITS}")
    return int(text)
