"""Rounding a net layer by layer, each on what the layers before it have become.

The target of a layer is what it gives in the net of reals; its inputs are those of the net as it is
quantized so far.  So each makes up for what the ones before it lost, as far as it can: its rounding
starts from the weights of the least squares between both, and its bias makes the mean of each
channel what it is in the net of reals.  Once all layers of a block are rounded, they may be learned
together.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from epimc.ir.core.module import Builder, Module
from epimc.ir.core.op import Op, Value
from epimc.ir.core.types import TensorType
from epimc.ir.epitome.epitomized import Epitomized
from epimc.ir.observers import report
from epimc.quantization.rounding.blocks import Block, blocks_of
from epimc.quantization.rounding.layer import Layer, RoundedLayer
from epimc.quantization.rounding.learned import Learning
from epimc.quantization.rounding.options import RoundingOptions, WeightGranularity
from epimc.quantization.rounding.propagation import Propagation
from epimc.quantization.rounding.weights import bits_of

# From so many samples on inputs are looked at together, and means corrected.
LEAST_SAMPLES = 16


def rounded_module(
    module: Module,
    kinds: Mapping[Value, TensorType],
    samples: Mapping[str, Any],
    options: RoundingOptions,
    weight_bits: int,
    granularity: WeightGranularity = "column",
) -> Module:
    """The module with layers that state the bits and the scales of their weights, rounded to them.

    Args:
        module: At level `calibrated`.
        kinds: The types of the values that are kept as activations.
        samples: By input name.
        options: How weights are rounded.
        weight_bits: Of layers that do not state their own.
        granularity: What has a scale of its own.
    """
    layers = rounded_layers(module, kinds, samples, options, weight_bits, granularity)
    builder = Builder(module)
    builder.inputs_of(module)
    for op in module.ops:
        if isinstance(op, Epitomized):
            state(builder, op, layers[op.output])
        else:
            builder.copy(op)
    for old, new in builder.mapped.items():
        new.range = old.range
    builder.outputs_of(module)
    return builder.finish()


def rounded_layers(
    module: Module,
    kinds: Mapping[Value, TensorType],
    samples: Mapping[str, Any],
    options: RoundingOptions,
    weight_bits: int,
    granularity: WeightGranularity = "column",
    threads: int | None = None,
) -> dict[Value, RoundedLayer]:
    """What the weights of all layers become, by the layers' results.

    Args:
        module: As in `rounded_module`.
        kinds: The same.
        samples: The same.
        options: The same.
        weight_bits: The same.
        granularity: The same.
        threads: How many compute, on which nothing depends; None: as many as there are cores.
    """
    layers: dict[Value, RoundedLayer] = {}
    # Products of several threads may differ in their last bits from those of one.
    # What is too large for float32 makes moments that are not finite, which are not used.
    with threadpool_limits(1, "blas"), np.errstate(over="ignore", invalid="ignore"):
        nets = Propagation(module, kinds, samples, threads or os.cpu_count() or 1)
        options = supported(options, nets.count)
        blocks = blocks_by_end(nets) if options.rounding == "learned" else {}
        done, count = 0, len(blocks) + sum(isinstance(op, Epitomized) for op in module.ops)
        for op in nets.ops():
            if isinstance(op, Epitomized):
                bits = bits_of(op, weight_bits, module.stored)
                layers[op.output] = Layer(op, nets, bits, options, granularity).round()
                done += 1
                report(done, count)
            else:
                nets.evaluate(op)
            if op in blocks:
                layers.update(Learning(blocks[op], nets, layers).learn())
                done += 1
                report(done, count)
    return layers


def blocks_by_end(nets: Propagation) -> dict[Op, Block]:
    """The blocks that are learned, by their last ops; what they read is kept until then."""
    blocks = {block.ops[-1]: block for block in blocks_of(nets.module)}
    order = {op: number for number, op in enumerate(nets.module.ops)}
    for end, block in blocks.items():
        nets.keep(block.x, max(end, nets.last[block.x], key=order.__getitem__))
    return blocks


def supported(options: RoundingOptions, count: int) -> RoundingOptions:
    """What so many samples can tell: few say nothing that holds for others but ranges."""
    if count >= LEAST_SAMPLES:
        return options
    return RoundingOptions(weight_range=options.weight_range)


def state(builder: Builder, op: Epitomized, layer: RoundedLayer) -> None:
    """Append a layer that states what its weights are."""
    name = op.epitome.name.removesuffix(".epitome")
    builder.copy(
        op,
        epitome=builder.store(f"{name}.rounded", layer.epitome, "f32"),
        bias=builder.store(f"{name}.bias.rounded", layer.bias, "f32"),
        weight_scales=builder.store(f"{name}.steps", layer.scales, "f32"),
        weight_bits=layer.bits,
    )
