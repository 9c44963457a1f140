"""What integers make of the weights of each layer: from the IR that a bundle keeps."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from epimc.bundle.bundle import Bundle
from epimc.compiler.stages import pass_text
from epimc.ir.core.module import Module
from epimc.ir.core.op import Array, Op, Value
from epimc.ir.core.tensors import Tensor, file_name, tensor_of
from epimc.ir.core.types import TensorType
from epimc.ir.epitome.plan import used
from epimc.ir.semantics import quantization
from epimc.ir.text.parser import parse_module
from epimc.report.results import WeightQuantization
from epimc.support.results import onnx_nodes
from epimc.verification.measures import decibels

# What `quantize` calls the sums of a layer, behind the layer's own name.
SUMS = re.compile(r"\.acc(\.\d+)?$")

# The passes that give the last floats that no integers are of, and the integers.
FLOATS, INTEGERS = "calibrate", "quantize"

LOST = "its quantization cannot be reported"


@dataclass(frozen=True)
class BundleTensors:
    """The tensors of the dumps of a bundle, as its manifest lists them."""

    bundle: Bundle

    def load(self, digest: str, kind: TensorType) -> Tensor:
        """The tensor with this digest, which is of this type."""
        name = f"ir/{file_name(digest)}"
        return tensor_of(self.bundle.deletable_file(name, LOST), digest, kind, name)


def dumped(bundle: Bundle, name: str) -> Module:
    """The IR of a bundle after a pass.

    Raises:
        EpimcError: It was deleted or changed.
    """
    assert bundle.folder is not None
    text = pass_text(bundle, name)
    where = str(Path(bundle.folder, "ir"))
    return parse_module(text, where, BundleTensors(bundle), bundle.limit_bytes)


def quantized_weights(bundle: Bundle) -> dict[str, list[WeightQuantization]]:
    """The weights by the name of the feature map in which they are summed up.

    Args:
        bundle: Read from a folder.

    Raises:
        EpimcError: The dumps of the IR were deleted or changed.
    """
    floats, integers = dumped(bundle, FLOATS), dumped(bundle, INTEGERS)
    own = {op.output.name: op for op in layers(floats)}
    uses = integers.uses()
    result: dict[str, list[WeightQuantization]] = {}
    for op in layers(integers):
        real = own.get(SUMS.sub("", op.output.name))
        kept = kept_as(op.output, uses)
        if real is not None and kept is not None:
            figures = figures_of(op, integers, floats.tensor(real.attributes["epitome"]))
            result.setdefault(kept.name, []).append(figures)
    return result


def layers(module: Module) -> Iterable[Op]:
    """The ops that have an epitome, whatever they compute with it."""
    return (op for op in module.ops if "epitome" in op.attributes)


def kept_as(value: Value, uses: dict[Value, list[Op | None]]) -> Value | None:
    """The activations that sums become; None: nobody reads them, or several do."""
    while not value.type.is_activation:
        readers = uses[value]
        if len(readers) != 1 or readers[0] is None:
            return None
        value = readers[0].output
    return value


def figures_of(op: Op, module: Module, floats: Array) -> WeightQuantization:
    """What integers make of one epitome.

    Args:
        op: With the integers.
        module: That has them.
        floats: The epitome, float32 [Eo, Ei, Eh, Ew].
    """
    stated = op.attributes
    integers, scales = (module.tensor(stated[key]) for key in ("epitome", "weight_scales"))
    bits = module.tensors[stated["epitome"].name].type.bits
    eo, ei, eh, ew = floats.shape
    mask = used(stated["plan"], (eo, ei, eh, ew), stated["shape"][2:])
    signal, noise, clipped = sums(integers, scales, floats, mask, quantization.weight_limit(bits))
    # A column of zeros has whatever scale.
    counted = np.unique(scales[integers.reshape(eo, -1).any(axis=1)])
    return WeightQuantization(
        name=SUMS.sub("", op.output.name),
        nodes=onnx_nodes(op.location.nodes),
        bits=bits,
        granularity="tensor" if len(np.unique(scales)) == 1 else "column",
        scales=len(np.unique(scales)),
        scale_spread=float(counted[-1] / counted[0]) if len(counted) else 1.0,
        clipped_share=clipped / max(int(mask.sum()), 1),
        sqnr_db=decibels(signal, noise),
    )


def sums(
    integers: Array, scales: Array, floats: Array, mask: Array, limit: int
) -> tuple[float, float, int]:
    """Squares of the weights and of their errors, and how many are beyond the largest integer."""
    signal = noise = 0.0
    clipped = 0
    # Column by column: in float64 all of them would be many times the weights.
    for column, scale, true, is_used in columns(integers, scales, floats, mask):
        signal += float(true @ true)
        errors = column * scale - true
        noise += float(errors @ errors)
        clipped += int(np.count_nonzero(np.abs(true[is_used]) > (limit + 0.5) * scale))
    return signal, noise, clipped


def columns(
    integers: Array, scales: Array, floats: Array, mask: Array
) -> Iterator[tuple[Array, float, Array, Array]]:
    """Of each column of an epitome: integers, scale, true values (0 where unused), mask; flat."""
    for k, scale in enumerate(scales):
        true = np.where(mask[k], floats[k], 0).astype(np.float64).ravel()
        yield integers[k].astype(np.float64).ravel(), float(scale), true, mask[k].ravel()
