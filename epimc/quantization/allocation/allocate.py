"""`allocate_bits`: the bits of each layer's weights, by what they cost and what they lose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from epimc.ir.core.levels import CALIBRATED
from epimc.ir.core.module import Builder, Module
from epimc.ir.core.op import Value
from epimc.ir.epitome.bit_prices import BIT_PRICES, LayerPrices, module_prices
from epimc.ir.epitome.epitomized import Epitomized
from epimc.ir.pipeline import Pass
from epimc.quantization.allocation.choice import ERROR, Choice, Limit, chosen, refuse_impossible
from epimc.quantization.allocation.options import AllocationOptions
from epimc.quantization.allocation.sensitivity import losses
from epimc.quantization.calibrate import calibration_samples, rounded
from epimc.quantization.rounding.options import GranularityOptions, RoundingOptions
from epimc.quantization.rounding.weights import bits_of
from epimc.support.diagnostics import counted, error

Amounts: TypeAlias = Sequence[Sequence[int]]
"""For each layer what it takes at each of its widths."""

BIT_CHOICE = "bit_choice"
"""The attribute of a module that says what was chosen."""


@dataclass(frozen=True)
class AllocateBits(RoundingOptions, GranularityOptions, AllocationOptions, Pass):
    """Have each layer state the bits of its weights: those with which outputs lose least.

    What each layer loses at each width is measured on the calibration samples, without labels; what
    it takes there, the attribute `bit_prices` says.  The choice is the best one under one budget.
    Layers that state their bits keep them.
    """

    name: ClassVar[str] = "allocate_bits"
    requires: ClassVar[str] = CALIBRATED
    ensures: ClassVar[str] = CALIBRATED

    def __post_init__(self) -> None:
        """More than one budget is refused, and no width."""
        super().__post_init__()
        if not self.weight_bits:
            raise ValueError("weight_bits names no width")
        budgets = (self.crossbars, self.reads, self.error)
        if sum(budget is not None for budget in budgets) > 1:
            raise ValueError("only one of crossbars, reads and error can be a budget")

    @property
    def widths(self) -> tuple[int, ...]:
        """All that layers may get which state none, in order."""
        ends = () if self.ends is None else (self.ends,)
        return tuple(sorted({*self.weight_bits, *ends}))

    def run(self, module: Module) -> Module:
        """Measure, choose, and state.

        Raises:
            EpimcError: There is no budget, or no choice stays within it.
        """
        # Before minutes go by.
        self.refuse_impossible(module)
        layers = layers_with_weights(module)
        prices = self.prices(module, layers)
        widths = {op.output: tuple(prices[op.output]) for op in layers}
        measured = losses(
            module, calibration_samples(module), widths, self, self.weight_granularity
        )
        # To so many bits that they do not depend on the last ones, which machines differ in.
        loss = [[rounded(measured[op.output][bits]) for bits in widths[op.output]] for op in layers]
        crossbars, reads = amounts_of(prices, layers)
        if self.error is not None:
            refuse_impossible(Limit(ERROR, loss, self.error), self.fixed(layers))
        choice = self.choice(loss, crossbars, reads)
        bits = {
            op.output: widths[op.output][k] for op, k in zip(layers, choice.places, strict=True)
        }
        result = stated(module, bits)
        result.attributes[BIT_CHOICE] = {
            "weight_bits": tuple(bits[op.output] for op in layers),
            "crossbars": total(crossbars, choice),
            "array_reads": total(reads, choice),
            "error": float(total(loss, choice)),
            "gap": choice.gap,
        }
        return result

    def refuse_impossible(self, module: Module) -> None:
        """Raise EpimcError where there is no budget, or no choice stays within it by prices alone.

        Args:
            module: At level `epi` or `calibrated`, with its prices.
        """
        if self.crossbars is self.reads is self.error is None:
            raise error(
                "There is no budget for the bits of weights.",
                hint="Set one: allocate_bits{crossbars=…}, {reads=…} or {error=…}.",
            )
        layers = layers_with_weights(module)
        for limit in self.limits(*amounts_of(self.prices(module, layers), layers)):
            refuse_impossible(limit, self.fixed(layers))

    def fixed(self, layers: Sequence[Epitomized]) -> Iterator[str]:
        """Which layers do not get their bits from the range, in words."""
        if stated := sum(op.weight_bits is not None for op in layers):
            yield f"Bits that layers state stay: of {stated} of {counted(len(layers), 'layer')}."
        if self.ends is not None:
            yield f"The first and the last layers get {self.ends} bits."

    def limits(self, crossbars: Amounts, reads: Amounts) -> list[Limit]:
        """The one budget that is no error; none: it is one."""
        budgets = ("crossbars", crossbars, self.crossbars), ("reads", reads, self.reads)
        return [Limit(name, each, most) for name, each, most in budgets if most is not None]

    def prices(
        self, module: Module, layers: Sequence[Epitomized]
    ) -> dict[Value, dict[int, tuple[int, int]]]:
        """For each layer the arrays and the reads at each width that it may have."""
        known, wanted = module_prices(module), self.wanted(module)
        return {op.output: priced(op.output.name, wanted[op.output], known) for op in layers}

    def wanted(self, module: Module) -> dict[Value, tuple[int, ...]]:
        """For each layer, by its result, the widths that it may have."""
        edges = outermost(module) if self.ends is not None else set()
        result: dict[Value, tuple[int, ...]] = {}
        for op in layers_with_weights(module):
            if op.weight_bits is not None:
                result[op.output] = (op.weight_bits,)
            elif op.output in edges and self.ends is not None:
                result[op.output] = (self.ends,)
            else:
                result[op.output] = self.weight_bits
        return result

    def choice(
        self,
        loss: Sequence[Sequence[float]],
        crossbars: Amounts,
        reads: Amounts,
    ) -> Choice:
        """The best choice."""
        for limit in self.limits(crossbars, reads):
            return chosen(loss, limit)
        assert self.error is not None
        limit = Limit(ERROR, loss, self.error)
        fewest = chosen(crossbars, limit)
        # Of the choices with the fewest arrays the one that loses least.
        least = chosen(loss, Limit("crossbars", crossbars, total(crossbars, fewest)))
        if limit.excess(least.places) > 0:
            # It is as good as the other one, but for what sums differ in.
            return fewest
        return Choice(least.places, max(fewest.gap, least.gap))


def layers_with_weights(module: Module) -> list[Epitomized]:
    """The layers that state bits, in order."""
    return [op for op in module.ops if isinstance(op, Epitomized)]


def possible_widths(
    module: Module, allocate: AllocateBits | None, default: int
) -> Iterator[tuple[Epitomized, int]]:
    """Every layer with each width that its weights may come to have.

    Args:
        module: At level `epi` or `calibrated`.
        allocate: What will choose; None: nothing.
        default: Of layers that state none, where nothing chooses.
    """
    wanted = {} if allocate is None else allocate.wanted(module)
    for op in layers_with_weights(module):
        for bits in wanted.get(op.output, (default,)):
            yield op, bits_of(op, bits, module.stored)


def amounts_of(
    prices: Mapping[Value, Mapping[int, tuple[int, int]]], layers: Sequence[Epitomized]
) -> tuple[Amounts, Amounts]:
    """For each layer the arrays at each of its widths, and the reads."""
    each = [prices[op.output].values() for op in layers]
    crossbars, reads = ([[price[k] for price in layer] for layer in each] for k in range(2))
    return crossbars, reads


def priced(
    name: str, widths: Sequence[int], known: Mapping[str, LayerPrices]
) -> dict[int, tuple[int, int]]:
    """Arrays and reads of a layer at each of some widths.

    Raises:
        EpimcError: They are not known.
    """
    prices = known.get(name)
    if prices is None:
        raise error(
            f"The prices of bits do not tell of layer '{name}'.",
            hint=f"Write attribute {BIT_PRICES} anew before calibrate: run price_bits.",
        )
    amounts = zip(prices.crossbars, prices.reads, strict=True)
    by_width = dict(zip(prices.weight_bits, amounts, strict=True))
    for bits in widths:
        if bits not in by_width:
            raise error(
                f"The prices of bits do not tell what layer '{name}' takes at {bits} bits.",
                hint=f"Write them anew before calibrate: run price_bits{{weight_bits=[…,{bits}]}}.",
            )
    return {bits: by_width[bits] for bits in widths}


def total(amounts: Sequence[Sequence[float]], choice: Choice) -> int | float:
    """The sum over all layers of what is chosen."""
    return sum(each[place] for each, place in zip(amounts, choice.places, strict=True))


def outermost(module: Module) -> set[Value]:
    """The results of the layers before which, or behind which, there is no other."""
    before: dict[Value, bool] = {value: False for _, value in module.inputs}
    first = set()
    for op in module.ops:
        is_behind = any(before[operand] for operand in op.operands)
        is_layer = isinstance(op, Epitomized)
        if is_layer and not is_behind:
            first.add(op.output)
        before[op.output] = is_behind or is_layer
    inner: set[Value] = set()
    last = set()
    for op in reversed(module.ops):
        is_layer = isinstance(op, Epitomized)
        if is_layer and op.output not in inner:
            last.add(op.output)
        if is_layer or op.output in inner:
            inner |= {*op.operands}
    return first | last


def stated(module: Module, bits: Mapping[Value, int]) -> Module:
    """The module with layers that state the bits of their weights."""
    builder = Builder(module)
    builder.inputs_of(module)
    for op in module.ops:
        if op.output in bits:
            builder.copy(op, weight_bits=bits[op.output])
        else:
            builder.copy(op)
    for old, new in builder.mapped.items():
        new.range = old.range
    builder.outputs_of(module)
    builder.module.attributes.pop(BIT_PRICES, None)
    return builder.finish()
