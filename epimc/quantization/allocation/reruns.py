"""What comes behind a layer, computed once more when the layer gives something else.

The net of reals has run once; of its values those are kept that a rerun reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.ir.core.module import Module
from epimc.ir.core.op import Op, Value
from epimc.ir.core.traits import CallsHost
from epimc.ir.core.types import as_map
from epimc.ir.epitome.epitomized import Epitomized
from epimc.ir.interpreter import op_elements
from epimc.quantization.rounding.moments import columns, product
from epimc.quantization.rounding.propagation import Propagation

Array = NDArray[Any]


def ends_of(module: Module) -> list[Value]:
    """The values by which a net is judged: its outputs, or what the host makes them from."""
    outputs = [value for _, value in module.outputs if not value.type.is_host]
    if outputs:
        return list(dict.fromkeys(outputs))
    hosted = (op for op in module.ops if isinstance(op, CallsHost))
    operands = (value for op in hosted for value in op.operands if not value.type.is_host)
    return list(dict.fromkeys(operands))


@dataclass(frozen=True)
class Behind:
    """What depends on what.

    Attributes:
        ops: For each layer the ops behind it that lead to an end, in order.
        needed: Values of the net of reals that reruns read, and the ends.
    """

    ops: Mapping[Epitomized, Sequence[Op]]
    needed: frozenset[Value]

    @staticmethod
    def of(module: Module, ends: Sequence[Value]) -> Behind:
        """For all layers of a module."""
        leads = leading_to(module, ends)
        # The layers that each value depends on, one bit each.
        masks: dict[Value, int] = {value: 0 for _, value in module.inputs}
        layers: list[Epitomized] = []
        behind: dict[Epitomized, list[Op]] = {}
        needed = {*ends}
        for op in module.ops:
            union = 0
            for operand in op.operands:
                union |= masks[operand]
            masks[op.output] = union
            if op.output in leads:
                # An operand that some layer leaves as it is, while another one changes.
                needed |= {operand for operand in op.operands if masks[operand] != union}
                for layer in (layers[k] for k in bits_in(union)):
                    behind[layer].append(op)
            if isinstance(op, Epitomized):
                masks[op.output] |= 1 << len(layers)
                layers.append(op)
                behind[op] = []
                needed.add(op.x)
        return Behind(behind, frozenset(needed))

    def work(self, module: Module) -> dict[Epitomized, float]:
        """Seconds, roughly, that a sample takes from each layer on, that layer included."""
        each = {op: seconds(module, op) for op in module.ops}
        return {layer: each[layer] + sum(each[op] for op in ops) for layer, ops in self.ops.items()}


def leading_to(module: Module, ends: Sequence[Value]) -> set[Value]:
    """The values that some of the ends depend on, ends included."""
    leads = {*ends}
    for op in reversed(module.ops):
        if op.output in leads:
            leads |= {*op.operands}
    return leads


def bits_in(mask: int) -> list[int]:
    """The numbers of the bits that are set."""
    return [k for k in range(mask.bit_length()) if mask >> k & 1]


# What a core does in a second, roughly: products of matrices, and elements that are moved.
MACS_A_SECOND, ELEMENTS_A_SECOND = 6e10, 6e8


def seconds(module: Module, op: Op) -> float:
    """How long an op takes for a sample on one core, roughly."""
    moved = op_elements(module, op) / ELEMENTS_A_SECOND
    if not isinstance(op, Epitomized):
        return moved
    cout, fan_in, height, width = op.shape
    positions = op.output.type.size // op.output.type.shape[0]
    return moved + positions * cout * fan_in * height * width / MACS_A_SECOND


class Reruns:
    """Reruns of a net on some of the pieces of its samples.

    Attributes:
        behind: What depends on what.
        pieces: The numbers of the pieces.
        ends: By which the net is judged.
    """

    def __init__(self, nets: Propagation, behind: Behind, ends: Sequence[Value]) -> None:
        """Keep nothing yet."""
        self.nets, self.behind, self.ends = nets, behind, ends
        self.pieces: list[int] = []
        self.real: dict[Value, list[Any]] = {}
        self.weights: dict[Epitomized, Array] = {}

    def keep(self, value: Value) -> None:
        """Take a value of the net of reals, if a rerun reads it."""
        if value in self.behind.needed:
            parts = self.nets.values[value].real
            self.real[value] = [parts[piece] for piece in self.pieces]

    def error(self, layer: Epitomized, weights: Array, bias: Array) -> float:
        """What the ends change by where a layer has other weights, in parts of their variance.

        Args:
            layer: The layer.
            weights: [groups, outputs, K].
            bias: Added to what the convolution gives, [Cout].
        """
        sums = np.zeros(len(self.ends))
        for place, piece in enumerate(self.pieces):
            # What is too large for float32 makes an error that is not finite.
            with np.errstate(over="ignore", invalid="ignore"):
                first = convolved(layer, self.real[layer.x][place], weights, bias)
                changed = self.changed(layer, first, piece, place)
                for k, end in enumerate(self.ends):
                    if end in changed:
                        lost = np.subtract(changed[end], self.real[end][place], dtype=np.float64)
                        sums[k] += np.square(lost).sum()
        return float((sums / self.scales()).mean())

    def changed(self, layer: Epitomized, first: Array, piece: int, place: int) -> dict[Value, Any]:
        """The ends that change, of one piece."""
        values: dict[Value, Any] = {layer.output: first}
        kept = {*self.ends}
        for op in self.behind.ops[layer]:
            operands = [
                values[operand] if operand in values else self.real[operand][place]
                for operand in op.operands
            ]
            if isinstance(op, Epitomized):
                values[op.output] = convolved(op, operands[0], self.weights[op], self.bias(op))
            else:
                values[op.output] = self.nets.result(op, piece, operands)
            for operand in {*op.operands} - kept:
                if self.nets.last[operand] is op:
                    values.pop(operand, None)
        return values

    def bias(self, op: Epitomized) -> Array:
        """The bias of a layer, 0 where it has none."""
        if op.bias is None:
            return np.zeros(op.shape[0], np.float32)
        return np.asarray(self.nets.module.tensor(op.bias), np.float32)

    def scales(self) -> Array:
        """For each end the sum of squares that is an error of 1: its variance, in all elements."""
        totals = np.ones(len(self.ends))
        for k, end in enumerate(self.ends):
            parts = self.real[end]
            count = sum(part.size for part in parts)
            with np.errstate(over="ignore", invalid="ignore"):
                mean = sum(float(part.sum(dtype=np.float64)) for part in parts) / count
                centred = (np.subtract(part, mean, dtype=np.float64) for part in parts)
                totals[k] = sum(float(np.square(part).sum()) for part in centred) or 1.0
        return totals


def convolved(op: Epitomized, x: Any, weights: Array, bias: Array) -> Array:
    """A layer's result for samples of its operand, float32 [samples, *shape].

    Args:
        op: The layer.
        x: Samples of its operand.
        weights: float32 [groups, outputs, K].
        bias: float32 [Cout].
    """
    maps = x.reshape(len(x), *as_map(op.x.type.shape))
    result = product(
        weights,
        columns(maps, op.window, op.groups),
        (len(x), *as_map(op.output.type.shape)),
    )
    result += bias.reshape(1, -1, 1, 1)
    return result.reshape(len(x), *op.output.type.shape)
