"""Make the report of a bundle: from the models, the samples and the IR that it keeps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from epimc.backends.base import FeatureMap
from epimc.backends.onnx.large import LargeModel
from epimc.backends.onnx.reading import large_model, prefix_of, tensor_names, with_outputs
from epimc.bundle.bundle import Bundle
from epimc.quantization.calibration.histograms import Histogram
from epimc.report.results import (
    LayerQuantization,
    QuantizationReport,
    ValueHistogram,
    WeightQuantization,
)
from epimc.report.weights import quantized_weights
from epimc.runtime.reference import Reference
from epimc.verification.integer_reference import types_of
from epimc.verification.results import LayerLoss
from epimc.verification.verify import bundle_samples, reference_model, verify

# Bins of a histogram in the report.
BINS = 32


def quantization_report(
    bundle: Bundle, progress: Callable[[int, int], None] | None = None
) -> QuantizationReport:
    """What quantization loses, layer by layer, on the samples that a bundle keeps.

    Args:
        bundle: Read from a folder that still has `reference/` and `ir/`.
        progress: Called with the number of samples done, and of all.

    Raises:
        EpimcError: The program does not pass the checker (exit code 1), or a file of the bundle
            was deleted or changed.
    """
    options = bundle.manifest.options
    bundle.program.refuse_bad()
    # First: it takes seconds to see that they are gone, and minutes to measure layers.
    weights = quantized_weights(bundle)
    measured = verify(bundle, progress=progress, layers=True)
    losses = measured.layer_errors or ()
    maps = {feature.name: feature for feature in bundle.program.computed_maps}
    values = true_values(bundle, [loss.name for loss in losses])
    return QuantizationReport(
        samples=measured.samples,
        weight_bits=options.weight_bits,
        activation_bits=options.activation_bits,
        identity_plans=measured.identity_plans,
        layers=tuple(
            layer_of(loss, maps[loss.name], weights.get(loss.name, []), values[loss.name])
            for loss in losses
        ),
    )


def layer_of(
    loss: LayerLoss, feature: FeatureMap, weights: list[WeightQuantization], values: Histogram
) -> LayerQuantization:
    """What is reported of one feature map."""
    low, high = ends(feature)
    return LayerQuantization(
        name=loss.name,
        nodes=loss.nodes,
        bits=loss.bits,
        low=low,
        high=high,
        step=feature.scale,
        clipped_share=loss.outside_share,
        sqnr_alone_db=loss.sqnr_alone_db,
        sqnr_accumulated_db=loss.sqnr_accumulated_db,
        weights=tuple(weights),
        histogram=histogram_of(values, low, high),
    )


def ends(feature: FeatureMap) -> tuple[float, float]:
    """The smallest and the largest number that a map can hold."""
    largest = 2**feature.bits - 1 - feature.zero_point
    return -feature.zero_point * feature.scale, largest * feature.scale


def histogram_of(values: Histogram, low: float, high: float) -> ValueHistogram:
    """A histogram that shows the range of a map and all of its values."""
    first, last = min(low, values.low), max(high, values.high)
    # A bin of the many lies in that of the few in which its middle is.
    middles = np.clip(values.centres, first, last)
    counts, _ = np.histogram(middles, BINS, (first, last), weights=values.counts)
    return ValueHistogram(first, last, tuple(map(int, counts)))


def true_values(bundle: Bundle, names: list[str]) -> dict[str, Histogram]:
    """What the epitomized float model computes for feature maps, on the samples of the bundle."""
    model = reference_model(bundle, "epi.onnx")
    large: LargeModel = large_model(model, "The epitomized model of the bundle")
    prefix, made = prefix_of(large.proto), tensor_names(large.proto)
    tensors = {name: prefix + name for name in names if prefix + name in made}
    watched = large.with_proto(with_outputs(large.proto, tensors.values()))
    types = types_of(bundle.program)
    reference = Reference(
        watched, "the epitomized model", types=types, limit_bytes=bundle.limit_bytes
    )
    samples = bundle_samples(bundle, None, bundle.limit_bytes)
    seen = {name: Histogram() for name in tensors}
    for first in range(samples.count):
        # One by one: the maps of all samples would be many times the model.
        inputs = {name: array[first : first + 1] for name, array in samples.inputs.items()}
        results = reference.run([*tensors.values()], inputs)
        for histogram, values in zip(seen.values(), results, strict=True):
            histogram.add(values)
    return seen
