"""One layer: what it is rounded to, on the samples as they come out of the layers before it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.ir.core.traits import Adds
from epimc.ir.core.types import as_map
from epimc.ir.epitome.epitomized import Epitomized
from epimc.ir.epitome.plan import identity, rebuild
from epimc.ir.semantics.arrays import grouped
from epimc.quantization.rounding.damping import damping_of
from epimc.quantization.rounding.moments import Moments, columns, product
from epimc.quantization.rounding.options import RoundingOptions, WeightGranularity
from epimc.quantization.rounding.problem import Grid, Places
from epimc.quantization.rounding.propagation import Both, Propagation, in_threads
from epimc.quantization.rounding.solver import Solver
from epimc.quantization.rounding.weights import shared_maxima

Array = NDArray[Any]
Doubles = NDArray[np.float64]

# Layers of more inputs are rounded to the nearest integers, which few samples would not improve.
LARGEST_INPUTS = 6144

# Positions that a layer's moments are made from, and for each of its inputs: more tell little.
LEAST_POSITIONS, POSITIONS_PER_INPUT = 2**15, 64

# Elements of windows and outputs that moments are made from at once, unless one piece has more.
RUN_ELEMENTS = 2**23


@dataclass(frozen=True)
class RoundedLayer:
    """What a layer's weights and bias become.

    Attributes:
        epitome: In the place of the old one, multiples of the scales, float32.
        scales: Of the epitome's columns, float32 [Eo].
        bias: float32 [Cout].
        bits: Of a weight.
    """

    epitome: Array
    scales: Array
    bias: Array
    bits: int


class Layer:
    """A layer in both nets.

    Attributes:
        op: On reals.
        grid: The integers that its weights may be.
        weights: The rebuilt weights, float32 [groups, outputs, K].
        has_products: Whether inputs are looked at together.
    """

    def __init__(
        self,
        op: Epitomized,
        nets: Propagation,
        bits: int,
        options: RoundingOptions,
        granularity: WeightGranularity = "column",
    ) -> None:
        """Take a layer whose operand is known in both nets."""
        self.granularity = granularity
        self.op, self.nets, self.grid, self.options = op, nets, Grid(bits), options
        self.x = nets.values[op.x]
        rebuilt = np.asarray(op.weights(nets.module.tensor), np.float32)
        self.weights = rebuilt.reshape(op.groups, len(rebuilt) // op.groups, -1)
        self.result = as_map(op.output.type.shape)
        # Of very many inputs their products would take more memory than they are worth.
        is_small = self.weights.shape[2] <= LARGEST_INPUTS
        self.has_products = options.rounding != "nearest" and is_small

    def round(self) -> RoundedLayer:
        """Choose the integers, and give both nets the layer's result."""
        real = self.nets.each(lambda i: self.convolved(self.x.real[i], self.weights))
        wanted = self.wanted(real)
        steps, scales = self.integers(wanted)
        # As they will be stated, so that the net goes on with these very weights.
        scales = scales.astype(np.float32)
        rounded = np.asarray(steps, np.float32) * scales[..., None]
        result = self.nets.each(lambda i: self.convolved(self.x.quantized[i], rounded))
        bias = self.bias()
        new_bias = bias + self.shift(wanted, result) if self.options.correct_bias else bias
        self.finish(real, bias, result, new_bias)
        return self.rounded(rounded, scales, new_bias)

    def wanted(self, real: list[Array]) -> list[Array]:
        """What the layer is to give: what it does in the net of reals.

        Where it is alone added to something that is known already, also what that lacks: so the
        sum comes out right, as far as the layer's inputs tell.
        """
        other = self.added()
        if other is None or self.options.rounding == "nearest":
            return real
        added, sign = other

        def lacking(i: int) -> Array:
            difference: Array = added.real[i] - added.quantized[i]
            return sign * difference.reshape(real[i].shape)

        return self.nets.each(lambda i: real[i] + lacking(i))

    def added(self) -> tuple[Both, np.float32] | None:
        """What the result is added to, or subtracted from, if that is known, and the sign."""
        readers = self.nets.uses[self.op.output]
        (reader,) = readers if len(readers) == 1 else (None,)
        if not isinstance(reader, Adds):
            return None
        a, b = reader.operands
        value = b if a is self.op.output else a
        both = self.nets.values.get(value)
        return None if both is None else (both, np.float32(reader.sign))

    def integers(self, wanted: list[Array]) -> tuple[Array, Doubles]:
        """The integers [groups, outputs, K] and their scales [groups, outputs]."""
        kept, apart = self.moments(wanted)
        if not self.has_products:
            return self.solver.nearest(kept)
        damping = damping_of(self.solver, kept, apart)
        if apart is not None:
            kept.add(apart)
        return self.solver.integers(kept, damping)

    @cached_property
    def solver(self) -> Solver:
        """What makes integers of the weights."""
        return Solver(
            self.weights,
            self.grid,
            self.shared(),
            self.elements(),
            self.options.weight_range,
            is_first=self.x.quantized is self.x.real,
            has_products=self.has_products,
            threads=self.nets.threads,
        )

    def some(self, piece: int, wanted: Array, count: int) -> tuple[Array, Array]:
        """At some positions of a piece windows [groups, K, n] and what is wanted for them.

        The positions are drawn: every so many would be some columns of a map again and again.
        """
        windows = columns(self.as_map(self.x.quantized[piece]), self.op.window, self.op.groups)
        outputs = wanted.transpose(1, 0, 2, 3).reshape(*self.weights.shape[:2], -1)
        if count >= windows.shape[2]:
            return windows, outputs
        drawn = np.random.default_rng(piece).choice(windows.shape[2], count, replace=False)
        chosen = np.sort(drawn)
        return windows[:, :, chosen], outputs[:, :, chosen]

    def moments(
        self, wanted: list[Array], pieces: Sequence[int] | None = None
    ) -> tuple[Moments, Moments | None]:
        """Those of most samples, and those of the ones kept apart, if there are enough.

        Args:
            wanted: What the layer is to give, piece by piece.
            pieces: Those that count; None: all.
        """
        numbers = range(len(self.nets.pieces)) if pieces is None else pieces
        runs = [run for own in self.parted(numbers) for run in self.runs(own)]
        each = in_threads(lambda run: self.moments_of(run, wanted), runs, self.nets.threads)
        sums: dict[bool, Moments] = {}
        for run, part in zip(runs, each, strict=True):
            is_apart = self.is_apart(run[0])
            if is_apart in sums:
                sums[is_apart].add(part)
            else:
                sums[is_apart] = part
        # Of pieces all of which would be kept apart none is.
        first = sums.pop(False, None)
        return (sums.pop(True), None) if first is None else (first, sums.get(True))

    def is_apart(self, piece: int) -> bool:
        """Whether a piece of the samples is kept apart."""
        return self.has_products and self.nets.is_apart(piece)

    def parted(self, pieces: Sequence[int]) -> list[list[int]]:
        """Pieces that are kept apart, and the others."""
        apart = [piece for piece in pieces if self.is_apart(piece)]
        return [[piece for piece in pieces if not self.is_apart(piece)], apart]

    def runs(self, pieces: Sequence[int]) -> Iterator[list[int]]:
        """Pieces some at a time: the products of many inputs take longer to add than to make."""
        groups, outputs, inputs = self.weights.shape
        at_each = groups * (inputs + outputs)
        return grouped({piece: self.positions(piece) * at_each for piece in pieces}, RUN_ELEMENTS)

    def moments_of(self, run: Sequence[int], wanted: list[Array]) -> Moments:
        """Those of some pieces of the samples, at some of the positions."""
        each = [self.some(piece, wanted[piece], self.positions(piece)) for piece in run]
        windows, outputs = (
            parts[0] if len(run) == 1 else np.concatenate(parts, axis=2)
            for parts in zip(*each, strict=True)
        )
        return Moments.of(windows, outputs, self.centre, products=self.has_products)

    def positions(self, piece: int) -> int:
        """So many of a piece count, at most."""
        enough = max(LEAST_POSITIONS, POSITIONS_PER_INPUT * self.weights.shape[2])
        own = self.nets.pieces[piece]
        samples: int = own.stop - own.start
        _, height, width = self.result
        return min(-(-enough * samples // self.nets.count), samples * height * width)

    @cached_property
    def centre(self) -> Array:
        """About the mean of each input, float32 [groups, K, 1]."""
        first = columns(self.as_map(self.x.quantized[0]), self.op.window, self.op.groups)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = first.mean(axis=2, keepdims=True, dtype=np.float64).astype(np.float32)
        usable: Array = np.nan_to_num(mean, nan=0.0, posinf=0.0, neginf=0.0)
        return usable

    def shift(self, wanted: list[Array], result: list[Array]) -> Doubles:
        """What each channel's mean lacks, [Cout]."""

        def lacks(i: int) -> Doubles:
            with np.errstate(over="ignore", invalid="ignore"):
                lost = np.subtract(wanted[i], result[i], dtype=np.float64)
            mean: Doubles = lost.mean(axis=(0, 2, 3))
            return mean

        lacking = self.nets.each(lacks)
        if not np.isfinite(lacking).all():
            return np.zeros(len(lacking[0]))
        sizes = np.array([part.stop - part.start for part in self.nets.pieces], np.float64)
        is_apart = np.array([self.nets.is_apart(i) for i in range(len(sizes))])
        if is_apart.any():
            others = np.average(lacking, axis=0, weights=sizes * ~is_apart)
            left = np.average(lacking, axis=0, weights=sizes * is_apart)
            # What few samples lack by chance, other ones do not.
            if np.square(left - others).sum() > np.square(left).sum():
                return np.zeros_like(left)
        total: Doubles = np.average(lacking, axis=0, weights=sizes)
        return total

    def finish(
        self, real: list[Array], bias: Doubles, result: list[Array], new_bias: Doubles
    ) -> None:
        """Add the biases, in place, and hand the results on."""
        shape = self.op.output.type.shape
        for parts, added in ((real, bias), (result, new_bias)):
            for part in parts:
                part += added.astype(np.float32).reshape(1, -1, 1, 1)
        both = ([part.reshape(len(part), *shape) for part in parts] for parts in (real, result))
        self.nets.values[self.op.output] = self.nets.kept(self.op.output, *both)

    def rounded(self, weights: Array, scales: Array, bias: Doubles) -> RoundedLayer:
        """What is stated of the layer: the weights, as elements of its epitome."""
        if self.op.plan == identity(self.op.weights_shape):
            epitome, columns = weights.reshape(self.op.weights_shape), scales.ravel()
            return RoundedLayer(epitome, columns, bias.astype(np.float32), self.grid.bits)
        shape = self.nets.module.tensors[self.op.epitome.name].type.shape
        epitome = np.zeros(shape, np.float32)
        of_columns = np.ones(shape[0], np.float32)
        elements = self.numbers()
        epitome.reshape(-1)[elements] = weights
        rows = epitome[0].size
        of_columns[elements // rows] = np.broadcast_to(scales[..., None], elements.shape)
        return RoundedLayer(epitome, of_columns, bias.astype(np.float32), self.grid.bits)

    def numbers(self) -> Places:
        """The number of each weight's element in the epitome, [groups, outputs, K]."""
        shape = self.nets.module.tensors[self.op.epitome.name].type.shape
        numbers = np.arange(math.prod(shape)).reshape(shape)
        return rebuild(numbers, self.op.plan, self.op.weights_shape).reshape(self.weights.shape)

    def elements(self) -> Places | None:
        """The same; None where the epitome is the weights."""
        return None if self.op.plan == identity(self.op.weights_shape) else self.numbers()

    def shared(self) -> Places:
        """The number of each output's scale, which those share that columns join."""
        eo, cout = self.nets.module.tensors[self.op.epitome.name].type.shape[0], self.op.shape[0]
        if self.granularity == "tensor":
            return np.zeros(cout, np.intp)
        # The largest column that an output is joined with is the same for all that are joined.
        _, of_outputs = shared_maxima(self.op.plan, np.arange(eo, dtype=np.float64), cout)
        return np.unique(of_outputs, return_inverse=True)[1]

    def bias(self) -> Doubles:
        """The layer's bias, [Cout]."""
        if self.op.bias is None:
            return np.zeros(self.op.shape[0])
        return self.nets.module.tensor(self.op.bias).astype(np.float64)

    def as_map(self, x: Array) -> Array:
        """Samples of the operand as maps [n, C, H, W]."""
        return x.reshape(len(x), *as_map(self.op.x.type.shape))

    def convolved(self, x: Array, weights: Array) -> Array:
        """The result without its bias, [n, Cout, H, W]."""
        windows = columns(self.as_map(x), self.op.window, self.op.groups)
        return product(weights, windows, (len(x), *self.result))
