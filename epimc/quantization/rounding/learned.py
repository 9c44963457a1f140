"""Learned rounding: the integers of all layers of a block together, by gradient.

What counts is what the block gives, behind its clippings and sums, from what the quantized net
gives it (Li et al., arXiv 2102.05426).  The integers of compensated rounding become reals, which
the gradient moves; by and by they become integers again, first those that are nearest to one, and
the others make up for what that costs.  The result is taken only where less is lost on samples
that were kept apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.ir.core.op import Value
from epimc.ir.core.types import as_map
from epimc.ir.epitome.epitomized import Epitomized
from epimc.quantization.rounding.blocks import Block
from epimc.quantization.rounding.gradients import Parameters, Tape
from epimc.quantization.rounding.layer import RoundedLayer
from epimc.quantization.rounding.moments import columns
from epimc.quantization.rounding.problem import Grid
from epimc.quantization.rounding.propagation import Both, Propagation, in_threads

Array = NDArray[Any]

# Steps of the gradient, each on so many pieces of the samples; after how many some weights become
# integers; and the shares of all steps before which none does, and after which all have.
STEPS, PIECES, LOOK, FIRST_FIXED, ALL_FIXED = 500, 2, 5, 0.1, 0.98

# The step of a weight, in units of its integers, and of a level, in those of its channel's spread.
WEIGHT_RATE, LEVEL_RATE = np.float32(0.02), np.float32(0.003)

# The share of its way that a weight goes back in each step: where slopes of many samples do not
# agree it stays near its first integer.
BACK = np.float32(0.02)

# What is lost with integers that are taken, of what the first ones lose: more is chance.
LEAST_GAIN = 0.99

SEED = 0


class Adam:
    """Steps of a size of their own for each parameter (Kingma and Ba, arXiv 1412.6980)."""

    FIRST, SECOND = np.float32(0.9), np.float32(0.99)

    def __init__(self, shape: tuple[int, ...]) -> None:
        """Begin, for parameters of a shape."""
        self.count = 0
        self.mean, self.square = np.zeros(shape, np.float32), np.zeros(shape, np.float32)

    def step(self, slope: Array) -> Array:
        """How far to go down, in units of the rate."""
        self.count += 1
        self.mean += (1 - self.FIRST) * (slope - self.mean)
        self.square += (1 - self.SECOND) * (np.square(slope) - self.square)
        mean = self.mean / (1 - self.FIRST**self.count)
        square = self.square / (1 - self.SECOND**self.count)
        result: Array = mean / (np.sqrt(square) + np.float32(1e-12))
        return result


@dataclass
class Weights:
    """A layer's weights while they are learned, float32.

    A level is what a channel gives at the mean of the inputs.  Levels stay what they are while
    weights change, which biases make up for: else all slopes were mostly those of the means.

    Attributes:
        grid: The integers that there are.
        steps: Integers, or reals between them, [groups, outputs, K].
        scales: Theirs, [groups, outputs, 1].
        levels: [Cout].
        mean: Of the inputs, [groups, K, 1].
        unit: The spread of each channel, [Cout].
        first: The integers to begin with.
        is_free: Which are reals still.
    """

    grid: Grid
    steps: Array
    scales: Array
    levels: Array
    mean: Array
    unit: Array
    first: Array = field(init=False)
    is_free: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        self.first = self.steps.copy()
        self.is_free = np.ones(self.steps.shape, np.bool_)
        self.by_steps, self.by_levels = Adam(self.steps.shape), Adam(self.levels.shape)

    @property
    def weights(self) -> Array:
        """[groups, outputs, K]."""
        return self.steps * self.scales

    @property
    def bias(self) -> Array:
        """[Cout]."""
        bias: Array = self.levels - (self.weights @ self.mean).ravel()
        return bias

    def descend(self, of_weights: Array, of_bias: Array) -> None:
        """Go one step down, from slopes by the weights and by the bias.

        A bias takes back what weights change at the mean of the inputs.
        """
        taken_back = of_bias.reshape(*self.scales.shape) * self.mean.transpose(0, 2, 1)
        by_steps = self.by_steps.step((of_weights - taken_back) * self.scales)
        back = BACK * (self.steps - self.first)
        self.steps -= (WEIGHT_RATE * by_steps + back) * self.is_free
        np.clip(self.steps, -self.grid.limit, self.grid.limit, out=self.steps)
        self.levels -= LEVEL_RATE * self.by_levels.step(of_bias) * self.unit

    def fix(self, share: float) -> None:
        """Make integers of this share of all weights: those that are, and the nearest to one."""
        if share == 0:
            return
        nearest = self.grid.nearest(self.steps).astype(np.float32)
        distance = np.where(self.is_free, np.abs(nearest - self.steps), -1).ravel()
        chosen = np.argsort(distance, kind="stable")[: round(share * distance.size)]
        self.steps.ravel()[chosen] = nearest.ravel()[chosen]
        self.is_free.ravel()[chosen] = False


class Learning:
    """A block in the quantized net, and what it gives in the net of reals."""

    def __init__(
        self, block: Block, nets: Propagation, layers: Mapping[Value, RoundedLayer]
    ) -> None:
        """Take a block whose operand and result are known in both nets.

        Args:
            block: The block.
            nets: Both nets.
            layers: What layers are rounded to, the block's among them, by their results.
        """
        self.block, self.nets, self.layers = block, nets, layers
        self.x, self.wanted = nets.values[block.x].quantized, nets.values[block.result].real
        numbers = range(len(nets.pieces))
        self.own = [i for i in numbers if not nets.is_apart(i)]
        self.apart = [i for i in numbers if nets.is_apart(i)]

    def learn(self) -> dict[Value, RoundedLayer]:
        """Layers with which the block loses less, and the quantized net goes on; or none."""
        before = {op.output: self.stated(op) for op in self.block.layers}
        lost = self.loss(before)
        # Nothing to learn, or numbers that are too large for it.
        if not 0 < lost < np.inf:
            return {}
        weights = self.weights(before)
        for done, pieces in enumerate(self.batches(), 1):
            self.descend(weights, pieces)
            if done % LOOK == 0:
                for each in weights.values():
                    each.fix(fixed(done / STEPS))
        after = {value: (each.weights, each.bias) for value, each in weights.items()}
        if not self.loss(after) < LEAST_GAIN * lost:
            return {}
        result = self.block.result
        quantized = self.nets.each(lambda i: self.tape(i, after).values[result])
        self.nets.values[result] = Both(self.wanted, quantized)
        return {value: self.changed(value, *after[value]) for value in after}

    def stated(self, op: Epitomized) -> tuple[Array, Array]:
        """The weights [groups, outputs, K] and the bias that a layer is rounded to."""
        layer = self.layers[op.output]
        return layer.epitome.reshape(op.groups, op.shape[0] // op.groups, -1), layer.bias

    def changed(self, value: Value, weights: Array, bias: Array) -> RoundedLayer:
        """A layer with other weights."""
        layer = self.layers[value]
        return replace(layer, epitome=weights.reshape(layer.epitome.shape), bias=bias)

    def weights(self, before: Parameters) -> dict[Value, Weights]:
        """What is learned, with what the inputs of the first piece are like."""
        values, weights = self.tape(0, before).values, {}
        for op in self.block.layers:
            x, (stated, bias) = values[op.x], before[op.output]
            windows = columns(x.reshape(len(x), *as_map(op.x.type.shape)), op.window, op.groups)
            mean = windows.mean(axis=2, keepdims=True, dtype=np.float64).astype(np.float32)
            spread = (stated @ windows).std(axis=2, dtype=np.float64).ravel().astype(np.float32)
            layer = self.layers[op.output]
            scales = layer.scales.reshape(*stated.shape[:2], 1)
            levels = bias + (stated @ mean).ravel()
            steps = np.rint(stated / scales)
            weights[op.output] = Weights(Grid(layer.bits), steps, scales, levels, mean, spread)
        return weights

    def batches(self) -> Iterator[Sequence[int]]:
        """The pieces of each step: all of them in a drawn order, again and again."""
        random, left = np.random.default_rng(SEED), list[int]()
        for _ in range(STEPS):
            while len(left) < PIECES:
                left += random.permutation(self.own).tolist()
            yield left[:PIECES]
            del left[:PIECES]

    def descend(self, weights: Mapping[Value, Weights], pieces: Sequence[int]) -> None:
        """One step of the gradient, on these pieces."""
        now = {value: (each.weights, each.bias) for value, each in weights.items()}
        slopes = list(in_threads(lambda i: self.slopes(i, now), pieces, self.nets.threads))
        for value, each in weights.items():
            own = (piece[value] for piece in slopes)
            # In order: sums of floats depend on it.
            of_weights, of_bias = (sum(parts) for parts in zip(*own, strict=True))
            each.descend(of_weights, of_bias)

    def slopes(self, piece: int, parameters: Parameters) -> Parameters:
        """Those of half the mean square of what the block lacks on a piece."""
        tape = self.tape(piece, parameters)
        # Threads do not know what is ignored in others.
        with np.errstate(over="ignore", invalid="ignore"):
            lacking = tape.values[self.block.result] - self.wanted[piece]
            return tape.slopes(lacking / np.float32(lacking.size))

    def loss(self, parameters: Parameters) -> float:
        """The mean square of what the block lacks on the samples kept apart."""

        def lost(piece: int) -> float:
            lacking = self.tape(piece, parameters).values[self.block.result] - self.wanted[piece]
            with np.errstate(over="ignore", invalid="ignore"):
                return float(np.square(lacking, dtype=np.float64).mean())

        return float(np.mean(list(in_threads(lost, self.apart, self.nets.threads))))

    def tape(self, piece: int, parameters: Parameters) -> Tape:
        """The block, run on a piece as the quantized net gives it."""
        inputs = {self.block.x: self.x[piece]}
        with np.errstate(over="ignore", invalid="ignore"):
            return Tape.of(self.block.ops, inputs, parameters, self.nets.kinds)


def fixed(progress: float) -> float:
    """The share of weights that are integers again, by the share of steps: ever fewer at once."""
    left = (ALL_FIXED - progress) / (ALL_FIXED - FIRST_FIXED)
    return 1 - min(max(left, 0.0), 1.0) ** 2
