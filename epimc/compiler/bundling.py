"""The stage `reference`, and the bundle of all that a compile has made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from epimc.backends.base import CompiledProgram
from epimc.backends.onnx.export import integer_model
from epimc.backends.onnx.fragments import fragments_of
from epimc.backends.onnx.functions import float_model
from epimc.backends.onnx.large import LARGEST_MODEL, LargeModel, external_name, serialized
from epimc.bundle.bundle import Bundle
from epimc.bundle.manifest import Model, Options, new_manifest
from epimc.compiler.importing import Start
from epimc.frontend import at_opset
from epimc.ir.core.module import Module
from epimc.ir.epitome.epitomized import Epitomized
from epimc.ir.pipeline import Pass, print_pipeline
from epimc.quantization.options import QuantizeOptions
from epimc.samples.samples import LABELS, coded, encode_samples
from epimc.support.bit_choice import BitChoice
from epimc.support.equalized_pairs import EqualizedPairs
from epimc.support.files import File
from epimc.support.options import values_of
from epimc.support.sample_types import Array, Shaped, storable
from epimc.support.version import VERSION

REFERENCE_SAMPLES = 16


def reference_files(start: Start, floats: Module, integers: Module) -> dict[str, File]:
    """What `verify` needs, below `reference/`: the three models and some samples.

    The models have the weights of the modules, not copies, and their files are never in memory.

    Args:
        start: The user's model and the samples, some of which are kept.
        floats: The module before `quantize`: the epitomized model.
        integers: The module after it.
    """
    kept = start.samples.first(REFERENCE_SAMPLES)
    arrays: dict[str, Array] = {
        port.name: kept.inputs[port.name] if port.is_tensor else coded(kept.inputs[port.name])
        for port in map(Shaped.of, start.model.inputs)
    }
    if kept.labels is not None and LABELS not in arrays:
        arrays[LABELS] = kept.labels
    return {
        **model_files("float.onnx", start.model.model),
        **model_files("epi.onnx", float_model(floats, at_opset)),
        **model_files("integer.onnx", integer_model(integers)),
        "reference/samples.npz": encode_samples(storable(arrays)),
    }


def model_files(name: str, model: LargeModel) -> dict[str, File]:
    """The file of a reference, and the one of its large tensors where no ONNX file could hold it.

    Args:
        name: Below `reference/`.
        model: What is in it.
    """
    path = f"reference/{name}"
    if model.size <= LARGEST_MODEL:
        return {path: model.pieces}
    proto, data = model.external(external_name(name))
    return {path: serialized(proto), external_name(path): data}


def layer_bits(integers: Module, weight_bits: int) -> dict[str, int]:
    """The bits of all layers' weights, by the names of results; none where all have those."""
    layers = (op for op in integers.ops if isinstance(op, Epitomized))
    bits = {op.output.name: integers.tensors[op.epitome.name].type.bits for op in layers}
    return bits if {*bits.values()} - {weight_bits} else {}


def new_bundle(
    start: Start,
    integers: Module,
    program: CompiledProgram,
    passes: Sequence[Pass],
    bits: QuantizeOptions,
    files: Mapping[str, File],
    choice: BitChoice | None = None,
    equalized: EqualizedPairs | None = None,
) -> Bundle:
    """The bundle, in memory.

    Args:
        start: The user's model and the samples.
        integers: The module after `quantize`, which has what the host runs.
        program: What the backend made of it.
        passes: Those that ran.
        bits: What the numbers have.
        files: Those below `reference/` and `ir/`.
        choice: Of the bits of weights, where they were chosen layer by layer.
        equalized: How many pairs of layers were equalized, where that was measured.
    """
    options = Options(
        **values_of(QuantizeOptions, bits),
        layer_bits=layer_bits(integers, bits.weight_bits),
        calibration=start.samples.origin,
        passes=print_pipeline(passes),
    )
    model = Model(name=start.name, sha256=start.model.sha256)
    manifest = new_manifest(f"epimc {VERSION}", model, options, program, start.model.placement)
    return Bundle(
        manifest,
        program,
        files,
        fragments=fragments_of(integers),
        remarks=start.model.remarks,
        placed=start.model.nodes,
        choice=choice,
        equalized=equalized,
    )
