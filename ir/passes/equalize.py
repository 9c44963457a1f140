"""`equalize`: channels between two layers get weights of like sizes on both sides of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from epimc.ir.core.levels import NN
from epimc.ir.core.module import Array, Builder, Module, Op, Value
from epimc.ir.dialects import elementwise, moves, nn
from epimc.ir.pipeline import Pass

# A positive factor on a channel of their operand is the same factor on that of their result.
HOMOGENEOUS = (nn.Relu, nn.MaxPool, nn.AveragePool)
HOMOGENEOUS_FUNCTIONS = ("abs", "leaky_relu")

# A channel whose weights are that much smaller than the layer's largest is no typical one.
NEARLY_DEAD = 2.0**-10

# A factor and its inverse stay below this, so that weights stay far from the ends of float32.
LARGEST = 2.0**15

Weighted = nn.Conv | nn.Gemm


@dataclass(frozen=True)
class Equalize(Pass):
    """Cross-layer equalization (Nagel et al., arXiv 1906.04721, section 4.1).

    Where a layer alone feeds another through ops that pass a positive factor on, output channel c
    of the first is divided by s[c] and input channel c of the second multiplied by it, with
    s[c] = sqrt(r1[c] / r2[c]), r1 and r2 being the largest weights of the channel in both layers.
    One scale for all channels of the activations between them then serves each of them better.
    A channel that is nothing but its bias, as batch norms leave some, would grow far beyond all
    others: s[c] stays so large that no bias becomes larger than the layer's largest one.
    The float function changes by the rounding of the weights to float32 alone.
    """

    name: ClassVar[str] = "equalize"
    requires: ClassVar[str] = NN
    ensures: ClassVar[str] = NN

    def run(self, module: Module) -> Module:
        """Scale the weights and biases of all such pairs of layers."""
        scaled = equalized(module)
        builder = Builder(module)
        builder.inputs_of(module)
        for op in module.ops:
            held = scaled.get(op)
            if held is None:
                builder.copy(op)
                continue
            changes = {"weight": builder.store(f"{op.attributes['weight'].name}.equalized",
                                               held.weight, "f32")}  # fmt: skip
            if held.bias is not None:
                name = f"{op.attributes['bias'].name}.equalized"
                changes["bias"] = builder.store(name, held.bias, "f32")
            builder.copy(op, **changes)
        builder.outputs_of(module)
        return builder.finish()


def pairs(module: Module) -> list[tuple[Weighted, Weighted]]:
    """The layers that follow each other with nothing between them that a factor would change."""
    uses = module.uses()
    found: list[tuple[Weighted, Weighted]] = []
    for op in module.ops:
        if not isinstance(op, (nn.Conv, nn.Gemm)):
            continue
        reader = only_reader(uses, op.output)
        while reader and is_homogeneous(reader):
            reader = only_reader(uses, reader.output)
        if isinstance(reader, (nn.Conv, nn.Gemm)):
            found.append((op, reader))
    return found


def only_reader(uses: dict[Value, list[Op | None]], value: Value) -> Op | None:
    """The op that alone reads a value; None: there is none, or the value is an output."""
    readers = uses[value]
    return readers[0] if len(readers) == 1 else None


def is_homogeneous(op: Op) -> bool:
    """Whether an op keeps channels apart, in their order, and passes a positive factor on."""
    if isinstance(op, elementwise.Activation):
        return op.function in HOMOGENEOUS_FUNCTIONS
    if isinstance(op, moves.Pad):
        return op.channels == (0, 0)
    if isinstance(op, nn.Rearrange):
        rank = len(op.x.type.shape)
        return op.perm == tuple(range(rank)) and op.shape == (op.x.type.size,)
    return isinstance(op, HOMOGENEOUS)


@dataclass
class Held:
    """What a layer computes with, its own to change.

    Attributes:
        weight: float32 [Cout, Cin / groups, …].
        bias: float32 [Cout], or None.
        groups: Runs of output channels, each of which reads its own run of input channels.
    """

    weight: Array
    bias: Array | None
    groups: int

    @staticmethod
    def of(module: Module, op: Weighted) -> Held:
        """A copy of what the module holds for a layer."""
        bias = None if op.bias is None else module.tensor(op.bias).copy()
        groups = op.groups if isinstance(op, nn.Conv) else 1
        return Held(module.tensor(op.weight).copy(), bias, groups)

    @property
    def by_group(self) -> Array:
        """The weights as a view [groups, Cout / groups, Cin / groups, Kh * Kw]."""
        held = self.weight.shape[1]
        return self.weight.reshape(self.groups, len(self.weight) // self.groups, held, -1)

    def output_tops(self) -> Array:
        """The largest weight of each output channel, float64 [Cout]."""
        return largest(self.by_group, (2, 3))

    def biases(self) -> Array:
        """The magnitude of each output channel's bias, float64 [Cout]."""
        none = np.zeros(len(self.weight))
        return none if self.bias is None else np.abs(self.bias.astype(np.float64))

    def input_tops(self) -> Array:
        """The largest weight of each input channel, float64 [Cin]."""
        return largest(self.by_group, (1, 3))

    def divide_outputs(self, factors: Array) -> None:
        """Divide each output channel, weights and bias, by a factor."""
        self.weight /= factors.reshape(-1, *(1,) * (self.weight.ndim - 1))
        if self.bias is not None:
            self.bias /= factors

    def multiply_inputs(self, factors: Array) -> None:
        """Multiply the weights of each input channel by a factor."""
        weights = self.by_group
        weights *= factors.reshape(self.groups, 1, -1, 1)


def largest(values: Array, axes: tuple[int, int]) -> Array:
    """The largest absolute value over two axes, float64, flat; makes no copy of the values."""
    tops: Array = np.maximum(values.max(axis=axes), -values.min(axis=axes))
    return tops.astype(np.float64).reshape(-1)


def equalized(module: Module) -> dict[Op, Held]:
    """The layers of all pairs, scaled."""
    held: dict[Op, Held] = {}
    for first, second in pairs(module):
        for op in (first, second):
            held.setdefault(op, Held.of(module, op))
        tops = held[first].output_tops()
        inputs = held[second].input_tops()
        # After a flatten a channel of the first layer is a run of inputs of the second.
        run = len(inputs) // len(tops)
        factors = balance(tops, inputs.reshape(len(tops), run).max(axis=1))
        factors = restrained(factors, tops, held[first].biases())
        held[first].divide_outputs(factors)
        held[second].multiply_inputs(np.repeat(factors, run))
    return held


def balance(r1: Array, r2: Array) -> Array:
    """sqrt(r1 / r2) within [1 / LARGEST, LARGEST], float32; 1 where either is 0 or not finite."""
    real = (r1 > 0) & (r2 > 0) & np.isfinite(r1) & np.isfinite(r2)
    ratios = np.divide(r1, r2, out=np.ones(len(r1)), where=real)
    factors: Array = np.clip(np.sqrt(ratios), 1 / LARGEST, LARGEST).astype(np.float32)
    return factors


def restrained(factors: Array, tops: Array, biases: Array) -> Array:
    """Factors so raised that no bias grows beyond the largest one; float32.

    That is beside the typical channel, whose factor counts as 1: if it is common to all channels,
    it changes nothing.

    Args:
        factors: float32 [Cout].
        tops: The largest weight of each channel, float64 [Cout].
        biases: The magnitude of each channel's bias, float64 [Cout].
    """
    if not biases.any() or not np.isfinite(biases).all():
        return factors
    typical = float(np.median(factors[tops >= tops.max() * NEARLY_DEAD]))
    raised: Array = np.maximum(factors, typical * (biases / biases.max())).astype(np.float32)
    return raised
