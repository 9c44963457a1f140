"""What `verify` comes to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from epimc.support.results import OnnxNode, Result
from epimc.support.tables import Block, Facts, Lines, TableBlock, number, table


@dataclass(frozen=True)
class ComparedLayer:
    """One computed feature map, compared with the integer reference over all samples.

    Attributes:
        name: Of the feature map.
        nodes: The ONNX nodes that it stands for.
        elements: Integers compared.
        mismatches: How many of them differ.
    """

    name: str
    nodes: tuple[OnnxNode, ...]
    elements: int
    mismatches: int


@dataclass(frozen=True)
class ComparedOutput:
    """One output: the program against the integer reference and against the float models.

    Attributes:
        name: The ONNX name.
        mismatches: Elements that differ from the integer reference's.
        sqnr_db: Signal to quantization noise ratio against the float model, in dB; null when
            signal or noise is 0.
        epitome_sqnr_db: That of the epitomized float model against the float model, in dB; null
            where all epitomes are the weights themselves, unless layers are measured.
        quantization_sqnr_db: That of the program against the epitomized float model, in dB.
        cosine: Of the angle between the program's output and the float model's; null when one of
            them is 0.
        max_abs_error: The largest difference from the float model, in the output's unit; null
            when it is not finite.
    """

    name: str
    mismatches: int
    sqnr_db: float | None
    epitome_sqnr_db: float | None
    quantization_sqnr_db: float | None
    cosine: float | None
    max_abs_error: float | None


@dataclass(frozen=True)
class LayerLoss:
    """What a layer loses to the epitomized float model.

    Attributes:
        name: Of its feature map.
        nodes: The ONNX nodes that it stands for.
        bits: Of its activations.
        sqnr_alone_db: Signal to noise ratio when the layer is given the true values of its
            inputs, quantized, in dB; null when signal or noise is 0.
        sqnr_accumulated_db: That of its values in the program, in dB: the layers before it have a
            part in the noise.
        outside_share: Which part of the true values, 0 to 1, lies outside the range that
            calibration gave, and is clipped.
    """

    name: str
    nodes: tuple[OnnxNode, ...]
    bits: int
    sqnr_alone_db: float | None
    sqnr_accumulated_db: float | None
    outside_share: float


@dataclass(frozen=True)
class ConverterLoss:
    """What the converters change of a feature map, in its own layer and in those before it.

    Attributes:
        name: Of the feature map.
        nodes: The ONNX nodes that it stands for.
        elements: Integers compared.
        changed: How many of them differ from those without loss.
        max_difference: The largest difference, in steps of the map.
        sqnr_db: Of the map's integers to what was changed of them, in dB; null when either is 0.
    """

    name: str
    nodes: tuple[OnnxNode, ...]
    elements: int
    changed: int
    max_difference: int
    sqnr_db: float | None


@dataclass(frozen=True)
class VerifyResult(Result):
    """A bundle compared with onnxruntime: exactly with the integers, by measures with the floats.

    Attributes:
        exact: Whether nothing differs; where converters lose something, of the program as it
            would be without.
        mismatches: Elements that differ: of layers, outputs and parameters.
        samples: How many were run.
        top1_agreement: Share of samples for which the first output says the same class as the
            float model's, 0 to 1; null when it says none: there are no labels, and the model does
            not end in Softmax, LogSoftmax or ArgMax.
        accuracy: Share of samples for which it says the label, 0 to 1; null without labels.
        float_accuracy: The same of the float model.
        epitomized_accuracy: The same of the epitomized float model.
        identity_plans: Whether every epitome is the weights themselves, which loses nothing.
        outputs: Every output.
        layers: Every computed feature map.
        parameters: What the tables claim of the reference that it is not, and what it is that they
            do not claim: counts by the names of tensors.
        layer_errors: What each layer loses, the worst first; null unless asked for.
        converter_losses: What lossy converters change, map by map; null where they lose nothing.
    """

    KIND: ClassVar[str] = "verify"

    exact: bool
    mismatches: int
    samples: int
    top1_agreement: float | None
    accuracy: float | None
    float_accuracy: float | None
    epitomized_accuracy: float | None
    identity_plans: bool
    outputs: tuple[ComparedOutput, ...]
    layers: tuple[ComparedLayer, ...]
    parameters: Mapping[str, int]
    layer_errors: tuple[LayerLoss, ...] | None
    converter_losses: tuple[ConverterLoss, ...] | None = None

    def blocks(self) -> Iterator[Block]:
        """Outputs, the verdict with what differs, rates, and the layers' losses."""
        yield self.output_table()
        yield Lines(tuple(self.verdict()))
        yield Facts(tuple(self.rates()))
        if self.converter_losses is not None:
            yield Lines(("", CONVERTERS))
            yield converter_table(self.converter_losses)
        if self.layer_errors is not None:
            yield Lines(("",))
            yield self.layer_table(self.layer_errors)
            yield Lines(self.layer_notes())

    def output_table(self) -> TableBlock:
        """What each output loses, and to what."""
        # Epitomes that are the weights themselves lose nothing: all loss is that of quantization.
        parts = () if self.identity_plans else ("epitomes dB", "integers dB")
        titles = ("output", "mismatches", "SQNR dB", *parts, "cosine", "max error")
        rows = [
            (
                output.name,
                str(output.mismatches),
                number(output.sqnr_db, 2),
                *(
                    number(sqnr, 2)
                    for sqnr in (output.epitome_sqnr_db, output.quantization_sqnr_db)[: len(parts)]
                ),
                number(output.cosine, 6),
                "-" if output.max_abs_error is None else f"{output.max_abs_error:.4g}",
            )
            for output in self.outputs
        ]
        return table(titles, rows)

    def verdict(self) -> Iterator[str]:
        """Whether all is exact, and what is not."""
        elements = sum(layer.elements for layer in self.layers)
        verdict = "exact" if self.exact else f"NOT exact: {self.mismatches} mismatches"
        apart = "" if self.converter_losses is None else ", converters apart"
        yield (
            f"{verdict}{apart}: {len(self.layers)} layers, {elements} integers "
            f"on {self.samples} samples against onnxruntime"
        )
        for layer in self.layers:
            if layer.mismatches:
                yield f"  {layer.name}: {layer.mismatches} of {layer.elements} differ"
        for name, count in self.parameters.items():
            yield f"  parameter {name}: {count} differ"

    def rates(self) -> Iterator[tuple[str, str]]:
        """How often the classes agree, with the float model and with the labels."""
        epitomized = None if self.identity_plans else self.epitomized_accuracy
        rates = (
            ("top-1 agreement with the float model", self.top1_agreement),
            ("accuracy", self.accuracy),
            ("accuracy of the epitomized float model", epitomized),
            ("accuracy of the float model", self.float_accuracy),
        )
        for what, rate in rates:
            if rate is not None:
                yield what, f"{100 * rate:.2f} %"

    def layer_table(self, losses: tuple[LayerLoss, ...]) -> TableBlock:
        """What each layer loses."""
        titles = ("layer", "bits", "alone dB", "accumulated dB", "outside")
        rows = [
            (
                ", ".join(node.name for node in loss.nodes) or loss.name,
                str(loss.bits),
                number(loss.sqnr_alone_db, 2),
                number(loss.sqnr_accumulated_db, 2),
                f"{loss.outside_share:.2%}",
            )
            for loss in losses
        ]
        return table(titles, rows)

    def layer_notes(self) -> tuple[str, ...]:
        """What the columns of the layers mean."""
        model = "float model" if self.identity_plans else "epitomized float model"
        return (
            f"dB: SQNR against the {model}; alone: the layer is given the values of that model",
            "outside: the part of these values that lies outside the calibrated range, "
            "and is clipped",
        )


CONVERTERS = "What the converters change, and hand on to the layers behind:"


def converter_table(losses: tuple[ConverterLoss, ...]) -> TableBlock:
    """What the converters change, map by map."""
    rows = [
        (
            ", ".join(node.name for node in loss.nodes) or loss.name,
            f"{loss.changed / max(loss.elements, 1):.2%}",
            str(loss.max_difference),
            number(loss.sqnr_db, 2),
        )
        for loss in losses
    ]
    return table(("layer", "changed", "max difference", "SQNR dB"), rows)
