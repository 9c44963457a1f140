"""The report of a bundle's quantization as data, and as tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from epimc.support.diagnostics import did_you_mean, error
from epimc.support.results import OnnxNode, Result, first_name
from epimc.support.tables import Block, Facts, Lines, TableBlock, number, table

# Characters of the longest bar of a histogram.
LONGEST_BAR = 40


@dataclass(frozen=True)
class WeightQuantization:
    """What integers make of the weights of a layer.

    Attributes:
        name: Of the layer's sums.
        nodes: The ONNX nodes that it stands for.
        bits: Of a weight.
        granularity: What has a scale of its own: `tensor`, or each `column` of the epitome.
        scales: How many different scales there are.
        scale_spread: The largest of the scales divided by the smallest; 1 where there are none.
        clipped_share: Which part of the weights, 0 to 1, is beyond the largest integer.
        sqnr_db: Of the integers times their scales against the float epitome, in dB; null when
            signal or noise is 0.
    """

    name: str
    nodes: tuple[OnnxNode, ...]
    bits: int
    granularity: str
    scales: int
    scale_spread: float
    clipped_share: float
    sqnr_db: float | None


@dataclass(frozen=True)
class ValueHistogram:
    """How often the true values of a feature map lie where.

    Attributes:
        low: Where the first bin begins.
        high: Where the last one ends; all are of the same width.
        counts: Of values in each bin.
    """

    low: float
    high: float
    counts: tuple[int, ...]

    @property
    def edges(self) -> list[float]:
        """Where bins begin, and the last one ends."""
        width = (self.high - self.low) / len(self.counts)
        return [self.low + k * width for k in range(len(self.counts) + 1)]


@dataclass(frozen=True)
class LayerQuantization:
    """A feature map that the program keeps, and what was lost on the way to it.

    Attributes:
        name: Of the feature map.
        nodes: The ONNX nodes that it stands for.
        bits: Of its activations.
        low: The smallest number that they hold.
        high: The largest.
        step: What one step of them stands for.
        clipped_share: Which part of the true values, 0 to 1, lies outside, and is clipped.
        sqnr_alone_db: Signal to noise ratio when the layer is given the true values of its
            inputs, quantized, in dB; null when signal or noise is 0.
        sqnr_accumulated_db: That of its values in the program, in dB: the layers before it have a
            part in the noise.
        weights: Those that are summed up in it.
        histogram: Of its true values.
    """

    name: str
    nodes: tuple[OnnxNode, ...]
    bits: int
    low: float
    high: float
    step: float
    clipped_share: float
    sqnr_alone_db: float | None
    sqnr_accumulated_db: float | None
    weights: tuple[WeightQuantization, ...]
    histogram: ValueHistogram

    @property
    def names(self) -> set[str]:
        """What users may call it."""
        sums = {name for each in self.weights for name in (each.name, *named(each.nodes))}
        return {self.name, *named(self.nodes), *sums}


def named(nodes: tuple[OnnxNode, ...]) -> list[str]:
    """The names of nodes that have any."""
    return [node.name for node in nodes if node.name]


@dataclass(frozen=True)
class QuantizationReport(Result):
    """What quantization loses, layer by layer, on the samples that a bundle keeps.

    Attributes:
        samples: How many there are.
        weight_bits: Of a weight, where a layer has no own.
        activation_bits: Of an activation.
        identity_plans: Whether every epitome is the weights themselves: true values are then those
            of the float model, else of the epitomized one.
        layers: The worst first: of the least ratio alone.
    """

    KIND: ClassVar[str] = "quantization"

    samples: int
    weight_bits: int
    activation_bits: int
    identity_plans: bool
    layers: tuple[LayerQuantization, ...]

    def only(self, name: str) -> LayerReport:
        """One of the layers.

        Args:
            name: Of its feature map, or of an ONNX node that it stands for.

        Raises:
            EpimcError: There is none.
        """
        for layer in self.layers:
            if name in layer.names:
                return LayerReport(self.samples, layer)
        known = sorted({each for layer in self.layers for each in layer.names})
        raise error(
            f"There is no layer '{name}' that keeps activations.", hint=did_you_mean(name, known)
        )

    @property
    def heading(self) -> str:
        """Bits, samples and order."""
        widths = {each.bits for layer in self.layers for each in layer.weights}
        bits = f"W{min(widths, default=self.weight_bits)}A{self.activation_bits}"
        if len(widths) > 1:
            bits = (
                f"weights of {min(widths)} to {max(widths)} bits, "
                f"{self.activation_bits}-bit activations"
            )
        return f"{bits} on {self.samples} samples, the worst layers first"

    def blocks(self) -> Iterator[Block]:
        """What there is, the layers, and what the columns mean."""
        yield Lines((self.heading, ""))
        yield table(TITLES, (row for layer in self.layers for row in rows_of(layer)))
        yield Lines(notes(identity_plans=self.identity_plans))


TITLES = (
    "layer",
    "W bits",
    "scales",
    "spread",
    "W clipped",
    "W dB",
    "A bits",
    "A clipped",
    "alone dB",
    "accum. dB",
)


def rows_of(layer: LayerQuantization) -> Iterator[tuple[str, ...]]:
    """The row of a layer, and one for each further layer of weights that is summed up in it."""
    label = first_name(layer.name, layer.nodes)
    activations = (
        str(layer.bits),
        share(layer.clipped_share),
        number(layer.sqnr_alone_db, 1),
        number(layer.sqnr_accumulated_db, 1),
    )
    first, *others = layer.weights or (None,)
    yield (label, *weight_cells(first), *activations)
    for each in others:
        assert each is not None
        own = first_name(each.name, each.nodes)
        yield (f"  + {own}", *weight_cells(each), *("",) * len(activations))


def weight_cells(weights: WeightQuantization | None) -> tuple[str, ...]:
    """What a row says of weights."""
    if weights is None:
        return ("-",) * 5
    return (
        str(weights.bits),
        str(weights.scales),
        f"{weights.scale_spread:.3g}",
        share(weights.clipped_share),
        number(weights.sqnr_db, 1),
    )


def share(part: float) -> str:
    """A share in percent; a small one is not 0."""
    return "0" if part == 0 else f"{part:.2%}" if part >= 5e-5 else "<0.01%"


def notes(*, identity_plans: bool) -> tuple[str, ...]:
    """What the columns mean."""
    model = "float model" if identity_plans else "epitomized float model"
    return (
        "spread: the largest scale of weights divided by the smallest; W dB: SQNR of the weights",
        "clipped: the part of weights (W), and of true values of activations (A), beyond the range",
        f"dB: SQNR against the {model}; alone: the layer is given the values of that model",
    )


@dataclass(frozen=True)
class LayerReport(Result):
    """One layer of the report, with its histogram.

    Attributes:
        samples: How many there are.
        layer: What quantization makes of it.
    """

    KIND: ClassVar[str] = "quantized-layer"

    samples: int
    layer: LayerQuantization

    def blocks(self) -> Iterator[Block]:
        """The layer's figures and its histogram."""
        layer = self.layer
        yield table(TITLES, rows_of(layer))
        yield Facts(
            (
                ("feature map", layer.name),
                ("range", f"[{layer.low:.6g}, {layer.high:.6g}] in steps of {layer.step:.6g}"),
                ("samples", str(self.samples)),
            )
        )
        yield histogram_table(layer)


def histogram_table(layer: LayerQuantization) -> TableBlock:
    """The bins of a layer's histogram, with bars; those that are clipped are marked."""
    histogram = layer.histogram
    edges, most = histogram.edges, max(*histogram.counts, 1)
    rows = []
    for low, high, count in zip(edges, edges[1:], histogram.counts, strict=False):
        middle = (low + high) / 2
        outside = "" if layer.low <= middle <= layer.high else " clipped"
        # A bin with anything in it has a bar.
        bar = "#" * (-(-LONGEST_BAR * count // most)) + (outside if count else "")
        rows.append((bar, f"{low:.4g}", f"{high:.4g}", str(count)))
    return table(("values", "from", "to", "count"), rows)
