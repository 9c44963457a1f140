"""The error of every layer: alone, and with all that the layers before it have lost.

A layer is a feature map of activations that the program keeps, with all the integer ops between
it and the kept maps that it is computed from.  Its true value is that of the float tensor of the
same name in the epitomized model, so that what is measured is what quantization loses.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.backends.base import FeatureMap
from epimc.backends.forms import element_of
from epimc.backends.onnx import reading
from epimc.backends.onnx.large import LargeModel
from epimc.backends.onnx.reading import Exported
from epimc.ir.semantics import quantization
from epimc.runtime.reference import Reference
from epimc.support.diagnostics import check_failed
from epimc.support.origins import Nodes
from epimc.support.port_types import PortType
from epimc.support.results import onnx_nodes
from epimc.verification.measures import Loss
from epimc.verification.results import LayerLoss

Array = NDArray[Any]


@dataclass
class LossTally:
    """What a layer loses, over the batches so far.

    Attributes:
        name: Of its feature map.
        nodes: The ONNX nodes that it stands for.
        bits: Of its activations.
        alone: Its loss when it is given the true values of its inputs, quantized.
        accumulated: Its loss in the program, which the layers before it have a part in.
        values: How many true values were compared.
        outside: How many of them lie outside the range that calibration gave, and are clipped.
    """

    name: str
    nodes: Nodes
    bits: int
    alone: Loss = field(default_factory=Loss)
    accumulated: Loss = field(default_factory=Loss)
    values: int = 0
    outside: int = 0

    @property
    def outside_share(self) -> float:
        """Which part of the true values lies outside the range."""
        return self.outside / max(self.values, 1)

    def result(self) -> LayerLoss:
        """What it comes to."""
        return LayerLoss(
            self.name,
            onnx_nodes(self.nodes),
            self.bits,
            sqnr_alone_db=self.alone.sqnr_db,
            sqnr_accumulated_db=self.accumulated.sqnr_db,
            outside_share=self.outside_share,
        )


def worst_first(losses: Iterable[LayerLoss]) -> tuple[LayerLoss, ...]:
    """The layers that lose most by themselves come first; those that lose nothing last."""

    def key(loss: LayerLoss) -> tuple[float, float]:
        both = (loss.sqnr_alone_db, loss.sqnr_accumulated_db)
        first, second = (float("inf") if db is None else db for db in both)
        return first, second

    return tuple(sorted(losses, key=key))


class LayerMeter:
    """Measures the layers of one program, batch after batch.

    Attributes:
        tallies: One a layer, in the order of the program.
        tensors: The tensor of the epitomized model that each layer stands for.
    """

    def __init__(
        self,
        maps: Iterable[FeatureMap],
        exported: Exported,
        epitomized: bytes | LargeModel,
        types: Mapping[str, PortType] | None = None,
    ) -> None:
        """Prepare the layers.

        Args:
            maps: What the program computes.
            exported: The integer reference.
            epitomized: The epitomized float model, an ONNX file, or what two files have.
            types: Of the program's inputs, where references get one sample at a time.
        """
        floats = reading.large_model(epitomized, "The epitomized model of the bundle").proto
        integer = exported.prefix, exported.nodes.keys()
        real = reading.prefix_of(floats), reading.tensor_names(floats)
        self.maps = [
            feature
            for feature in maps
            if feature.is_activation
            and all(prefix + feature.name in names for prefix, names in (integer, real))
        ]
        self.tensors = [real[0] + feature.name for feature in self.maps]
        self.tallies = [
            LossTally(feature.name, feature.nodes, feature.bits) for feature in self.maps
        ]
        self.values = [integer[0] + feature.name for feature in self.maps]
        cut, self.fed = reading.layers_alone(exported, {each.name: each.bits for each in self.maps})
        if types is not None:
            # A map is given as it is: samples of anything.
            types = {**types, **{name: PortType() for name in self.fed.values()}}
        alone = exported.large.with_proto(cut)
        self.alone = Reference(alone, "the layers by themselves", types=types)

    def results(self) -> tuple[LayerLoss, ...]:
        """What the layers lose, the worst first."""
        return worst_first(tally.result() for tally in self.tallies)

    def add(
        self, inputs: Mapping[str, Array], computed: Mapping[str, Array], true: list[Array]
    ) -> None:
        """Take one batch.

        Args:
            inputs: Of the model, by name.
            computed: The integers that the program computes, by the name of the map.
            true: The values of `tensors`.

        Raises:
            EpimcError: They are of other sizes than those of the program (exit code 1).
        """
        # The cut graph still has the inputs of the model; its cuts are further ones.
        feeds = dict(inputs)
        for feature, values in zip(self.maps, true, strict=True):
            q = quantization.quantize_input(values, feature.scale, feature.zero_point, feature.bits)
            # Every value of the integer graph is a map, whatever dims the real one has.
            shape = len(values), *feature.dims
            if values.size != math.prod(shape):
                message = f"'{feature.name}' has another size in the epitomized model."
                raise check_failed(message)
            feeds[self.fed[feature.name]] = q.astype(element_of(feature.bits)).reshape(shape)
        alone = self.alone.run(self.values, feeds)
        for feature, tally, q, values in zip(self.maps, self.tallies, alone, true, strict=True):
            scale = feature.scale
            tally.values += values.size
            # Of the true values: those of the program are clipped already.
            tally.outside += count_outside(values, scale, feature)
            tally.alone.add(quantization.dequantize_output(q, scale, feature.zero_point), values)
            own = computed.get(feature.name)
            # A wrong program may leave a map out; what is compared exactly tells that.
            if own is not None and own.size == values.size:
                real = quantization.dequantize_output(own, scale, feature.zero_point)
                tally.accumulated.add(real, values)


def count_outside(values: Array, scale: float, feature: FeatureMap) -> int:
    """How many real values are more than half a step beyond what a map can hold."""
    low = (-feature.zero_point - 0.5) * scale
    high = (2**feature.bits - 0.5 - feature.zero_point) * scale
    return int(np.count_nonzero((values < low) | (values > high)))
