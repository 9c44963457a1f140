"""What each layer takes of a chip at each width of its weights: an attribute of modules.

    attribute bit_prices = [{name = "y", weight_bits = [2, 3], crossbars = [1, 2], reads = [9, 18]}]

A backend's pass writes it, and the pass that chooses widths reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, ValidationError, model_validator

from epimc.ir.core.attributes import Plain
from epimc.ir.core.module import Module
from epimc.support.diagnostics import error, mistaken
from epimc.support.mistakes import explained, sentences
from epimc.support.toml_files import TomlTable, words

BIT_PRICES = "bit_prices"


@dataclass(frozen=True)
class LayerPrices:
    """What one layer takes.

    Attributes:
        name: Of its result.
        weight_bits: The widths.
        crossbars: Arrays that it takes at each of them.
        reads: Arrays that are read for a sample, at each of them.
    """

    name: str
    weight_bits: tuple[int, ...]
    crossbars: tuple[int, ...]
    reads: tuple[int, ...]

    def dump(self) -> dict[str, Plain]:
        """As plain data."""
        return {
            "name": self.name,
            "weight_bits": self.weight_bits,
            "crossbars": self.crossbars,
            "reads": self.reads,
        }


Counts = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(strict=False)]
COUNTS = "a list of integers, each at least 0"


class PriceTable(TomlTable):
    """An entry of the attribute."""

    name: str = words("a name in quotes", "that of the layer's value")
    weight_bits: Counts = words(COUNTS, "the widths", inner=["an integer, at least 0"])
    crossbars: Counts = words(COUNTS, "arrays at each width", inner=["an integer, at least 0"])
    reads: Counts = words(COUNTS, "array reads at each width", inner=["an integer, at least 0"])

    @model_validator(mode="after")
    def as_many(self) -> PriceTable:
        """Refuse lists of different lengths, and none."""
        counts = {len(self.weight_bits), len(self.crossbars), len(self.reads)}
        if len(counts) > 1 or counts == {0}:
            raise explained("expected 'weight_bits', 'crossbars' and 'reads' of one length")
        return self


class PricesTable(TomlTable):
    """The attribute."""

    bit_prices: Annotated[tuple[PriceTable, ...], Field(strict=False)]


def dump_prices(prices: Sequence[LayerPrices]) -> tuple[Plain, ...]:
    """As the attribute has them."""
    return tuple(each.dump() for each in prices)


def module_prices(module: Module) -> Mapping[str, LayerPrices]:
    """What the attribute of a module says, by the names of layers.

    Raises:
        EpimcError: There is none, or it is wrong.
    """
    attribute = module.attributes.get(BIT_PRICES)
    if attribute is None:
        raise error(
            f"Module '{module.name}' does not tell what its layers take at each width.",
            hint="Run the backend's pass that writes it before calibrate, as price_bits.",
        )
    try:
        tables = PricesTable.model_validate({BIT_PRICES: attribute}).bit_prices
    except ValidationError as caught:
        raise mistaken("The prices of bits have", sentences(caught, PricesTable)) from None
    prices = (LayerPrices(x.name, x.weight_bits, x.crossbars, x.reads) for x in tables)
    return {each.name: each for each in prices}
