"""Parts of a concatenation that are far smaller than others, made larger where that costs nothing.

What is concatenated has one scale, that of its largest part: of one a hundred times smaller than
that, 8 bits leave two or three levels.  Where a layer makes the small part, and only layers read
the concatenation, that part is multiplied by a power of two, in the weights and the bias of the
layer that makes it, and divided by it in the weights that read it.  No float changes but its
exponent: the network computes the same to the last bit.

The factor is that of cross-layer equalization (Nagel et al., arXiv 1906.04721), for a part in the
place of a channel: sqrt(range / range of the part * weights of the part / weights), so that neither
the activations nor the weights that read them become the worse ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from epimc.ir.core.module import Module
from epimc.ir.core.op import Array, Op, Value
from epimc.ir.core.traits import Joins, Moves
from epimc.ir.epitome.plan import identity
from epimc.quantization.calibration.ranges import Range

# A part this many times smaller than the largest is balanced; others have levels enough.
SMALL = 8.0

# Weights stay far from the ends of float32.
LARGEST_EXPONENT = 24

EPITOME, BIAS = "epitome", "bias"


@dataclass(frozen=True)
class Balance:
    """What changes, by the results of the layers and by values; all factors are powers of two.

    Attributes:
        outputs: By which the weights and the bias of a layer are multiplied.
        inputs: By which the weights of each input channel are, float32 [Cin].
        ranges: Of the values that change.
    """

    outputs: dict[Value, float] = field(default_factory=dict)
    inputs: dict[Value, Array] = field(default_factory=dict)
    ranges: dict[Value, Range] = field(default_factory=dict)

    def changes(self, op: Op, module: Module) -> dict[str, Array]:
        """The new contents of a layer's tensors by attribute; none for one that stays."""
        factor, inputs = self.outputs.get(op.output, 1.0), self.inputs.get(op.output)
        if factor == 1.0 and inputs is None:
            return {}
        epitome = module.tensor(op.attributes[EPITOME]) * np.float32(factor)
        if inputs is not None:
            epitome = epitome * inputs.reshape(1, -1, 1, 1)
        changed = {EPITOME: epitome}
        bias = op.attributes.get(BIAS)
        if bias is not None and factor != 1.0:
            changed[BIAS] = module.tensor(bias) * np.float32(factor)
        return changed


@dataclass(frozen=True)
class Part:
    """An operand of a concatenation.

    Attributes:
        size: Of its range, 0 among it.
        path: The values from the layer that makes it on, itself last; none: it cannot be scaled.
        first: Its first channel.
        last: The one behind its last.
    """

    size: float
    path: tuple[Value, ...]
    first: int
    last: int


def balanced(module: Module, ranges: Mapping[Value, Range]) -> Balance:
    """What makes small parts of concatenations larger.

    Args:
        module: At level `epi`.
        ranges: Of its values.
    """
    balance, uses, producers = Balance(), module.uses(), module.producers()
    for op in module.ops:
        if not isinstance(op, Joins) or op.attributes.get("axis", 0) != 0:
            continue
        readers = layers_behind(op.output, uses)
        known = {**ranges, **balance.ranges}
        if readers and op.output in known:
            parts = parts_of(op, known, uses, producers)
            balance_parts(op, parts, readers, module, balance, known)
    return balance


def layers_behind(value: Value, uses: Mapping[Value, list[Op | None]]) -> list[Op]:
    """The layers that read a value, maybe moved; none where anything else reads it."""
    layers, pending = [], [value]
    while pending:
        for reader in uses[pending.pop()]:
            if reader is not None and scales_inputs(reader):
                layers.append(reader)
            elif isinstance(reader, Moves) and reader.is_homogeneous:
                pending.append(reader.output)
            else:
                return []
    return layers


def scales_inputs(op: Op) -> bool:
    """Whether an op is a layer each input channel of which has weights of its own."""
    stated = op.attributes
    if EPITOME not in stated or stated["groups"] != 1:
        return False
    return bool(stated["plan"] == identity(tuple(stated["shape"])))


def parts_of(
    op: Op,
    ranges: Mapping[Value, Range],
    uses: Mapping[Value, list[Op | None]],
    producers: Mapping[Value, Op],
) -> list[Part]:
    """The operands of a concatenation of channels."""
    parts, first = [], 0
    for operand in op.operands:
        last = first + operand.type.shape[0]
        low, high = ranges[operand]
        size = max(high, 0.0) - min(low, 0.0)
        parts.append(Part(size, path_to(operand, uses, producers), first, last))
        first = last
    return parts


def path_to(
    value: Value, uses: Mapping[Value, list[Op | None]], producers: Mapping[Value, Op]
) -> tuple[Value, ...]:
    """The values from a layer to this one that a factor of the layer would scale, and only them."""
    path = [value]
    while len(uses[path[0]]) == 1:
        producer = producers.get(path[0])
        if producer is None:
            break
        if EPITOME in producer.attributes:
            return tuple(path)
        if not producer.is_homogeneous or len(producer.operands) != 1:
            break
        path.insert(0, producer.operands[0])
    return ()


def balance_parts(
    op: Op,
    parts: list[Part],
    readers: list[Op],
    module: Module,
    balance: Balance,
    ranges: Mapping[Value, Range],
) -> None:
    """Note the factors of the small parts of one concatenation, and the new ranges."""
    most = max(parts, key=lambda part: part.size)
    low, high = ranges[op.output]
    for part in parts:
        if not part.path or not 0.0 < part.size * SMALL <= most.size:
            continue
        weights = [largest_weight(reader, part, op, module, balance) for reader in readers]
        others = [largest_weight(reader, most, op, module, balance) for reader in readers]
        factor = factor_of(most.size / part.size, max(weights), max(others))
        if factor == 1.0:
            continue
        source = part.path[0]
        balance.outputs[source] = balance.outputs.get(source, 1.0) * factor
        for value in part.path:
            balance.ranges[value] = ranges[value][0] * factor, ranges[value][1] * factor
        for reader in readers:
            kept = balance.inputs.setdefault(reader.output, np.ones(inputs_of(reader), np.float32))
            kept[channels(reader, part, op)] /= np.float32(factor)
        ends = balance.ranges[part.path[-1]]
        low, high = min(low, ends[0]), max(high, ends[1])
    if (low, high) != ranges[op.output]:
        balance.ranges[op.output] = low, high


def largest_weight(reader: Op, part: Part, join: Op, module: Module, balance: Balance) -> float:
    """The largest weight with which a layer reads a part."""
    epitome = module.tensor(reader.attributes[EPITOME])[:, channels(reader, part, join)]
    factor = balance.outputs.get(reader.output, 1.0)
    return float(np.abs(epitome).max(initial=0.0)) * factor


def channels(reader: Op, part: Part, join: Op) -> slice:
    """The input channels of a layer that a part of a concatenation is."""
    # After a flatten a channel is a run of them.
    run = inputs_of(reader) // join.output.type.shape[0]
    return slice(part.first * run, part.last * run)


def inputs_of(layer: Op) -> int:
    """The input channels of a layer."""
    return int(layer.attributes["shape"][1])


def factor_of(ratio: float, weights: float, others: float) -> float:
    """The power of two for a part.

    Args:
        ratio: How many times smaller it is than the largest part.
        weights: The largest weight that reads it.
        others: The largest weight that reads the largest part.
    """
    if not weights or not others or not math.isfinite(ratio):
        return 1.0
    exponent = round(0.5 * (math.log2(ratio) + math.log2(weights) - math.log2(others)))
    # No part becomes the largest.
    return 2.0 ** max(0, min(exponent, math.floor(math.log2(ratio)), LARGEST_EXPONENT))
