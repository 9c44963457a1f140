"""`fold`: norms and constants into the weights before them, pads into the windows behind them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, TypeVar

import numpy as np

from epimc.ir.core.levels import NN
from epimc.ir.core.module import Module
from epimc.ir.core.op import Array, Op, Value
from epimc.ir.core.traits import ChannelAffine, Clips
from epimc.ir.core.types import IrError, Location
from epimc.ir.dialects import moves, nn, rules
from epimc.ir.passes.rising import MOVED, RiseToLayers
from epimc.ir.pipeline import Pass
from epimc.ir.rewriting import Pattern, Replacement, Rewriter, changed, rewritten

Windowed = TypeVar("Windowed", nn.Conv, nn.MaxPool, nn.AveragePool)

Affines = Sequence[ChannelAffine]


@dataclass(frozen=True)
class Fold(Pass):
    """Fold each affine op into the convolution or matmul that alone feeds it.

    Computed in float64, stored as float32.  A batch normalization that follows nothing foldable
    becomes nn.affine.  Affine ops and clips of several layers beside each other go to each of them
    first.  A pad of rows and columns goes into the windows of the convolutions that
    read it, and of pools where that is exact.
    """

    name: ClassVar[str] = "fold"
    requires: ClassVar[str] = NN
    ensures: ClassVar[str] = NN

    def run(self, module: Module) -> Module:
        """Fold all of them: of several pads in a row the last, of affine ops all."""
        module = rewritten(module, PADS_INTO_WINDOWS, once=True, disposable=(moves.Pad,))
        module = rewritten(module, [RiseToLayers()], disposable=MOVED)
        return rewritten(module, AFFINES_INTO_WEIGHTS)


# --- pads into windows ---------------------------------------------------------------------------


class PadIntoWindow(Pattern[Windowed]):
    """What the folds of a pad share: a window that slides over a pad does the padding itself."""

    def rewrite(self, op: Windowed, rewriter: Rewriter) -> Replacement | None:
        """The same window with larger pads over what is padded."""
        pad = rewriter.producer(op.x)
        # A window pads rows and columns only.
        if not isinstance(pad, moves.Pad) or pad.channels != (0, 0):
            return None
        if not self.is_exact(op, pad, rewriter):
            return None
        # The pad comes first in the model, and so in what reports name.
        location = pad.location + op.location
        pads = joined_pads(op, pad)
        return Replacement(changed(op, operands=[pad.x], location=location, pads=pads))

    @abstractmethod
    def is_exact(self, op: Windowed, pad: moves.Pad, rewriter: Rewriter) -> bool:
        """Whether the op's own padding computes the same, by a window that the op may have."""


class PadIntoConv(PadIntoWindow[nn.Conv]):
    """A convolution pads with zeros, as the pad does."""

    name = "pad-into-conv"
    ops = (nn.Conv,)

    def is_exact(self, op: nn.Conv, pad: moves.Pad, rewriter: Rewriter) -> bool:
        """True: a window of a convolution may lie in its padding altogether."""
        return True


class PadIntoMaxPool(PadIntoWindow[nn.MaxPool]):
    """A maximum ignores its own padding: the same only where nothing is below 0."""

    name = "pad-into-max-pool"
    ops = (nn.MaxPool,)

    def is_exact(self, op: nn.MaxPool, pad: moves.Pad, rewriter: Rewriter) -> bool:
        """Behind a relu, or a clip that leaves nothing below 0."""
        before = rewriter.producer(pad.x)
        if not isinstance(before, Clips) or before.bounds[0] < 0:
            return False
        window = replace(op.window, pads=joined_pads(op, pad))
        return keeps(rules.expect_maxima, pad.x.type.shape, window)


class PadIntoAveragePool(PadIntoWindow[nn.AveragePool]):
    """A mean counts all of its padding as zeros, unless it says what it counts."""

    name = "pad-into-average-pool"
    ops = (nn.AveragePool,)

    def is_exact(self, op: nn.AveragePool, pad: moves.Pad, rewriter: Rewriter) -> bool:
        """Where all padding counts."""
        window = replace(op.window, pads=joined_pads(op, pad))
        # With all padding counted, zeros of the pad and of the window count alike.
        return op.counted is None and keeps(rules.expect_inside, window)


def keeps(rule: Callable[..., None], *arguments: object) -> bool:
    """Whether a rule of the IR is kept."""
    try:
        rule(*arguments)
    except IrError:
        return False
    return True


def joined_pads(
    op: nn.Conv | nn.MaxPool | nn.AveragePool, pad: moves.Pad
) -> tuple[int, int, int, int]:
    """The pads of a window and those before it."""
    top, left, bottom, right = (a + b for a, b in zip(op.pads, pad.pads, strict=True))
    return top, left, bottom, right


# --- affine ops into weights ---------------------------------------------------------------------


class AffineIntoWeights(Pattern[nn.Conv | nn.Gemm]):
    """Affine functions of a layer's outputs are the layer with other weights and biases.

    All that follow the layer go at once, so that the weights are rounded to float32 once.  Only
    where nobody else reads what comes between.
    """

    name = "affine-into-weights"
    ops = (nn.Conv, nn.Gemm)

    def rewrite(self, op: nn.Conv | nn.Gemm, rewriter: Rewriter) -> Replacement | None:
        """The layer with the chain folded in; it takes the last op's name."""
        chain = affine_chain(op.output, rewriter.readers)
        if not chain:
            return None
        # A layer without a bias gets one: an offset has to go somewhere.
        weight, bias = folded(op, chain, rewriter)
        last = chain[-1].output
        layer = changed(
            op,
            output=Value(last.name, last.type, last.range),
            location=Location.joined([op.location, *(affine.location for affine in chain)]),
            weight=rewriter.store(f"{op.weight.name}.folded", weight),
            bias=rewriter.store(f"{op.weight.name}.bias", bias),
        )
        return Replacement(layer, tuple(affine.output for affine in chain))


class NormIntoAffine(Pattern[nn.BatchNorm]):
    """A batch normalization that nothing absorbs is a scale and an offset a channel."""

    name = "norm-into-affine"
    ops = (nn.BatchNorm,)

    def rewrite(self, op: nn.BatchNorm, rewriter: Rewriter) -> Replacement | None:
        """nn.affine of the same name."""
        scale, offset = op.as_affine(rewriter.tensor)
        attributes = {
            "scale": rewriter.store(f"{op.output.name}.scale", scale),
            "offset": rewriter.store(f"{op.output.name}.offset", offset),
        }
        return Replacement(nn.Affine([op.x], op.output, op.location, attributes))


def affine_chain(value: Value, readers: Mapping[Value, Sequence[Op | None]]) -> Affines:
    """The affine ops that follow a value, each the only reader of the last."""
    chain: list[ChannelAffine] = []
    while len(readers[value]) == 1 and isinstance(affine := readers[value][0], ChannelAffine):
        chain.append(affine)
        value = affine.output
    return chain


def folded(op: nn.Conv | nn.Gemm, chain: Affines, rewriter: Rewriter) -> tuple[Array, Array]:
    """Weights and biases of a layer and of the affine ops behind it, in float64."""
    weight: Array = rewriter.tensor(op.weight).astype(np.float64)
    bias: Array = np.zeros(len(weight))
    if op.bias is not None:
        bias = rewriter.tensor(op.bias).astype(np.float64)
    for affine in chain:
        scale, offset = affine.as_affine(rewriter.tensor)
        # What is not finite stays so, and calibration refuses it.
        with np.errstate(over="ignore", invalid="ignore"):
            # An affine op acts on output channels, which are dim 0 of the weights.
            weight = weight * scale.reshape((-1,) + (1,) * (weight.ndim - 1))
            bias = bias * scale + offset
    return weight, bias


PADS_INTO_WINDOWS = (PadIntoConv(), PadIntoMaxPool(), PadIntoAveragePool())
AFFINES_INTO_WEIGHTS = (AffineIntoWeights(), NormIntoAffine())
