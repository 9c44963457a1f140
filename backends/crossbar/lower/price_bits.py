"""`price_bits`: what each layer takes of the target at each width of its weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from epimc.backends.crossbar.lower import counting
from epimc.backends.crossbar.lower.counting import geometry_of, matrix_of
from epimc.backends.crossbar.lower.map import target_of
from epimc.backends.crossbar.lower.planning import reads_per_position
from epimc.backends.crossbar.target.schema import Target
from epimc.ir.core.levels import EPI
from epimc.ir.core.module import Builder, Module
from epimc.ir.core.types import as_map
from epimc.ir.epitome import plan
from epimc.ir.epitome.bit_prices import BIT_PRICES, LayerPrices, dump_prices
from epimc.ir.epitome.epitomized import Epitomized
from epimc.ir.pipeline import Pass
from epimc.ir.semantics.quantization import bits_with_zero
from epimc.support.options import Option


@dataclass(frozen=True)
class PriceBits(Pass):
    """Note the arrays and the array reads of each layer, in the module's attribute `bit_prices`.

    Attributes:
        weight_bits: The widths; of a layer that states its bits only these.
        activation_bits: Bits of the inputs of all layers.
    """

    weight_bits: Annotated[
        tuple[int, ...], Option("The widths of weights.", minimum=1, maximum=16)
    ] = (2, 3, 4, 5, 6, 7, 8)
    activation_bits: Annotated[int, Option("Bits of an activation.", minimum=1, maximum=16)] = 8

    name: ClassVar[str] = "price_bits"
    requires: ClassVar[str] = EPI
    ensures: ClassVar[str] = EPI

    def __post_init__(self) -> None:
        """No width is refused."""
        super().__post_init__()
        if not self.weight_bits:
            raise ValueError("weight_bits names no width")

    def run(self, module: Module) -> Module:
        """All layers, from their shapes alone."""
        target = target_of(module)
        builder = Builder(module)
        builder.inputs_of(module)
        prices = []
        for op in module.ops:
            builder.copy(op)
            if isinstance(op, Epitomized):
                widths = (op.weight_bits,) if op.weight_bits else self.weight_bits
                shape = module.tensors[op.epitome.name].type.shape
                prices.append(prices_of(op, shape, widths, self.activation_bits, target))
        builder.outputs_of(module)
        builder.module.attributes[BIT_PRICES] = dump_prices(prices)
        return builder.finish()


def prices_of(
    op: Epitomized,
    epitome: tuple[int, ...],
    widths: Sequence[int],
    activation_bits: int,
    target: Target,
) -> LayerPrices:
    """What a layer takes.

    Args:
        op: The layer.
        epitome: The shape of its epitome.
        widths: Bits of a weight.
        activation_bits: Of its inputs.
        target: The chip.
    """
    eo, ei, eh, ew = epitome
    geometry, converters = geometry_of(target.crossbar), target.converters
    matrix = matrix_of((eo, ei, eh, ew), op.groups)
    rounds = plan.rounds(op.plan, (eo, ei, eh, ew), op.window.kernel, op.groups)
    positions = math.prod(as_map(op.output.type.shape)[1:])
    slices = -(-activation_bits // converters.dac_bits)
    # What the layer has where it is to have one bit, which has no 0.
    zero = plan.needs_zero(op.plan, (eo, ei, eh, ew), op.window.kernel, op.groups)
    taken = [bits_with_zero(bits, zero) for bits in widths]
    reads = (
        reads_per_position(rounds, matrix, bits, geometry, converters.rows_per_read)
        for bits in taken
    )
    return LayerPrices(
        op.output.name,
        tuple(widths),
        tuple(counting.mapped(matrix, bits, geometry) for bits in taken),
        tuple(each * positions * slices for each in reads),
    )
