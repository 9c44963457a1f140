"""Channels between two layers, and what makes their weights of like sizes on both sides of them.

Cross-layer equalization (Nagel et al., arXiv 1906.04721, section 4.1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from epimc.ir.core.module import Module
from epimc.ir.core.op import Array, Op, Value
from epimc.ir.core.traits import Weighted

# A channel whose weights, of both layers together, are that much smaller than those of the largest
# is no typical one.
NEARLY_DEAD = 2.0**-10

# A factor and its inverse stay below this, so that weights stay far from the ends of float32.
LARGEST = 2.0**15

Pair = tuple[Weighted, Weighted]
"""Two layers, the first of which alone feeds the second."""


def pairs(module: Module) -> list[Pair]:
    """The layers that follow each other with nothing between them that a factor would change."""
    uses = module.uses()
    followed: list[Pair] = []
    for op in module.ops:
        if not isinstance(op, Weighted):
            continue
        reader = only_reader(uses, op.output)
        # Such an op passes on a positive factor, be it a relu, a pool or a flatten.
        while reader and reader.is_homogeneous:
            reader = only_reader(uses, reader.output)
        if isinstance(reader, Weighted):
            followed.append((op, reader))
    return followed


def only_reader(uses: dict[Value, list[Op | None]], value: Value) -> Op | None:
    """The op that alone reads a value; None: there is none, or the value is an output."""
    readers = uses[value]
    return readers[0] if len(readers) == 1 else None


@dataclass
class Scaled:
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
    def of(module: Module, op: Weighted) -> Scaled:
        """A copy of what a layer computes with in the module."""
        bias = None if op.bias is None else module.tensor(op.bias).copy()
        return Scaled(module.tensor(op.weight).copy(), bias, op.group_count)

    @property
    def by_group(self) -> Array:
        """The weights as a view [groups, Cout / groups, Cin / groups, Kh * Kw]."""
        outputs, inputs = self.weight.shape[:2]
        return self.weight.reshape(self.groups, outputs // self.groups, inputs, -1)

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
        """Multiply the weights of each input channel by a factor.

        Args:
            factors: Of each channel, or of each run of inputs that is one before a flatten.
        """
        # A view of the weights, so that they change in place.
        weights = self.by_group
        weights *= self.repeated(factors)

    def repeated(self, factors: Array) -> Array:
        """Factors of input channels, or of runs of them, [groups, 1, Cin / groups, 1]."""
        inputs = self.groups * self.weight.shape[1]
        return np.repeat(factors, inputs // len(factors)).reshape(self.groups, 1, -1, 1)

    def matrices(self, factors: Array | None = None) -> Array:
        """The weights [groups, outputs, K], multiplied by factors of input channels, if any."""
        weights = self.by_group
        if factors is not None:
            weights = weights * self.repeated(factors)
        return weights.reshape(*weights.shape[:2], -1)

    def gains(self, count: int) -> Array:
        """The sum of the squares of the weights of each of so many input channels, float64."""
        squares = np.square(self.by_group, dtype=np.float64).sum(axis=(1, 3))
        result: Array = squares.reshape(count, -1).sum(axis=1)
        return result


def largest(values: Array, axes: tuple[int, int]) -> Array:
    """The largest absolute value over two axes, float64, flat; makes no copy of the values."""
    tops: Array = np.maximum(values.max(axis=axes), -values.min(axis=axes))
    return tops.astype(np.float64).reshape(-1)


def factors_between(first: Scaled, second: Scaled) -> Array:
    """What the first layer's outputs are divided by to be equalized, float32 [Cout]."""
    tops = first.output_tops()
    # After a flatten a channel of the first layer is a run of inputs of the second.
    inputs = second.input_tops().reshape(len(tops), -1).max(axis=1)
    return restrained(tops, inputs, first.biases())


def balance(r1: Array, r2: Array) -> Array:
    """sqrt(r1 / r2) within [1 / LARGEST, LARGEST], float32; 1 where either is 0 or not finite."""
    real = (r1 > 0) & (r2 > 0) & np.isfinite(r1) & np.isfinite(r2)
    ratios = np.divide(r1, r2, out=np.ones(len(r1)), where=real)
    factors: Array = np.clip(np.sqrt(ratios), 1 / LARGEST, LARGEST).astype(np.float32)
    return factors


def restrained(r1: Array, r2: Array, biases: Array) -> Array:
    """The factors of `balance`, so raised that no bias grows beyond the largest one; float32.

    That is beside the typical channel, whose factor counts as 1: if it is common to all channels,
    it changes nothing.  Channels that either layer makes nothing of are not typical: in some
    networks most are of that kind, and their factors say nothing of those that count.

    Args:
        r1: The largest weight of each channel in the first layer, float64 [Cout].
        r2: That in the second layer, float64 [Cout].
        biases: The magnitude of each channel's bias, float64 [Cout].
    """
    factors = balance(r1, r2)
    finite = np.isfinite(r1) & np.isfinite(r2)
    # Without a largest bias there is nothing to measure the others by.
    if not biases.any() or not np.isfinite(biases).all() or not finite.all():
        return factors
    gains = r1 * r2
    typical = float(np.median(factors[gains >= gains.max() * NEARLY_DEAD]))
    raised: Array = np.maximum(factors, typical * (biases / biases.max())).astype(np.float32)
    return raised
