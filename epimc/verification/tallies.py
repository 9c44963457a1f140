"""What `verify` adds up, batch after batch, before it is a result."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.support.origins import Nodes
from epimc.support.results import onnx_nodes
from epimc.verification.measures import Loss, comparable, differing, finite
from epimc.verification.results import ComparedLayer, ComparedOutput, ConverterLoss

Array = NDArray[Any]


@dataclass
class LayerTally:
    """One computed feature map, over the batches so far."""

    name: str
    nodes: Nodes
    elements: int = 0
    mismatches: int = 0

    def add(self, computed: Array | None, exact: Array) -> None:
        """Take one batch; a layer that was never computed differs everywhere."""
        self.elements += exact.size
        if computed is None or computed.size != exact.size:
            # A wrong program may leave a map out: that must not pass for equality.
            self.mismatches += exact.size
            return
        self.mismatches += int(np.count_nonzero(computed.reshape(exact.shape) != exact))

    def result(self) -> ComparedLayer:
        """What it comes to."""
        return ComparedLayer(self.name, onnx_nodes(self.nodes), self.elements, self.mismatches)


@dataclass
class ConverterTally:
    """What lossy converters change of a feature map, over the batches so far."""

    name: str
    nodes: Nodes
    zero_point: int
    elements: int = 0
    changed: int = 0
    largest: int = 0
    loss: Loss = field(default_factory=Loss)

    def add(self, lossy: Array, lossless: Array) -> None:
        """Take one batch: integers with the loss, and without."""
        difference = lossy.astype(np.int64) - lossless
        self.elements += difference.size
        self.changed += int(np.count_nonzero(difference))
        self.largest = max(self.largest, int(np.abs(difference).max(initial=0)))
        ours, true = (values.astype(np.int64) - self.zero_point for values in (lossy, lossless))
        self.loss.add(ours, true)

    def result(self) -> ConverterLoss:
        """What it comes to."""
        return ConverterLoss(
            self.name,
            onnx_nodes(self.nodes),
            self.elements,
            self.changed,
            self.largest,
            self.loss.sqnr_db,
        )


@dataclass
class OutputTally:
    """One output, over the batches so far.

    Attributes:
        name: The ONNX name.
        mismatches: Elements that differ from the integer reference's.
        loss: What the program loses to the float model.
        power: Sum of squares of the program's output.
        product: Sum of products of both.
        max_abs_error: Largest difference.
        epitome: What the epitomized float model loses to the float model.
        quantization: What the program loses to the epitomized float model.
    """

    name: str
    mismatches: int = 0
    loss: Loss = field(default_factory=Loss)
    power: float = 0.0
    product: float = 0.0
    max_abs_error: float = 0.0
    epitome: Loss = field(default_factory=Loss)
    quantization: Loss = field(default_factory=Loss)

    def add_exact(self, computed: Any, exact: Any) -> None:
        """Take one batch: the output without loss, and the integer reference's."""
        self.mismatches += differing(computed, exact)

    def add(self, computed: Any, real: Any) -> None:
        """Take one batch: the program's output, and the float model's."""
        pair = comparable(computed, real)
        if pair is None:
            return
        ours, theirs = pair
        self.loss.add(ours, theirs)
        self.power += float(np.square(ours).sum())
        self.product += float((ours * theirs).sum())
        largest = np.abs(ours - theirs).max(initial=0)
        # Unlike max(), maximum() lets no batch hide that another one was not a number.
        self.max_abs_error = float(np.maximum(self.max_abs_error, largest))

    def add_epitomized(self, computed: Any, epitomized: Any, real: Any) -> None:
        """Take one batch: the program's output, and those of both float models."""
        for loss, pair in (
            (self.epitome, comparable(epitomized, real)),
            (self.quantization, comparable(computed, epitomized)),
        ):
            if pair is not None:
                loss.add(*pair)

    @property
    def cosine(self) -> float | None:
        """Cosine of the angle between both outputs; None when either is 0."""
        # From sums over all batches: a mean of the cosines of batches is another number.
        norm = math.sqrt(self.loss.signal * self.power)
        return finite(self.product / norm) if norm else None

    def result(self) -> ComparedOutput:
        """What it comes to."""
        return ComparedOutput(
            self.name,
            self.mismatches,
            sqnr_db=self.loss.sqnr_db,
            epitome_sqnr_db=self.epitome.sqnr_db,
            quantization_sqnr_db=self.quantization.sqnr_db,
            cosine=self.cosine,
            max_abs_error=finite(self.max_abs_error),
        )


@dataclass
class ClassTally:
    """The classes that the program and both float models choose, over the batches so far.

    Attributes:
        winners: For each batch the classes chosen by the program, the float model and the
            epitomized one.
    """

    winners: list[tuple[Array, Array, Array]] = field(default_factory=list)

    def add(self, computed: Any, real: Any, epitomized: Any) -> None:
        """Take one batch of first outputs; those that are no choices of classes count nothing."""
        chosen = [winners_of(each) for each in (computed, real, epitomized)]
        ours, theirs, middle = chosen
        if ours is not None and theirs is not None and middle is not None:
            self.winners.append((ours, theirs, middle))

    def rates(self, labels: Array | None) -> Rates:
        """Top-1 agreement, and accuracies where there are labels.

        Where there are none, the model must say that its output is one of classes.
        """
        if not self.winners:
            return Rates()
        ours, theirs, middle = (np.concatenate(c) for c in zip(*self.winners, strict=True))
        agreement = float((ours == theirs).mean())
        if labels is None:
            return Rates(agreement)
        right = (float((winners == labels).mean()) for winners in (ours, theirs, middle))
        return Rates(agreement, *right)


def winners_of(output: Any) -> Array | None:
    """The class of each sample, where an output of this form can say it; else None.

    Args:
        output: Of a batch: a number for each class, or the class itself.
    """
    if not isinstance(output, np.ndarray) or output.dtype.kind not in "fiu":
        return None
    if output.ndim == 2 and output.shape[1] > 1:
        winners: Array = output.argmax(axis=1)
        return winners
    is_class = output.dtype.kind in "iu" and output.shape[1:] in ((), (1,)) and output.ndim > 0
    return output.reshape(-1) if is_class else None


@dataclass(frozen=True)
class Rates:
    """Shares of samples; None where they are unknown."""

    top1_agreement: float | None = None
    accuracy: float | None = None
    float_accuracy: float | None = None
    epitomized_accuracy: float | None = None
