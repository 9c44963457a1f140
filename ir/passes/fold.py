"""`fold`: batch normalizations and added constants go into the weights before them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from epimc.ir.core import Array, Builder, Module, Op, Value, dump_attributes
from epimc.ir.dialects import nn
from epimc.ir.pipeline import Pass
from epimc.ir.printer import refused


@dataclass(frozen=True)
class Fold(Pass):
    """Fold each affine op into the convolution or matmul that alone feeds it.

    Computed in float64, stored as float32.  An affine op that follows nothing foldable is an
    error: the levels below have no op for it.
    """

    name: ClassVar[str] = "fold"
    requires: ClassVar[str] = "nn"
    ensures: ClassVar[str] = "nn"

    def run(self, module: Module) -> Module:
        """Fold all of them."""
        builder = Builder(module)
        builder.inputs_of(module)
        chains = find_chains(module)
        absorbed = {op for chain in chains.values() for op in chain}
        for op in module.ops:
            if op in chains:
                fold_chain(builder, module, op, chains[op])
            elif op not in absorbed:
                refuse_affine(op)
                builder.copy(op)
        builder.outputs_of(module)
        return builder.finish()


def refuse_affine(op: Op) -> None:
    """Raise EpimcError for an affine op that stands alone."""
    if isinstance(op, (nn.Affine, nn.BatchNorm)):
        raise refused(
            op,
            "A scale or offset that follows no convolution or matmul is not supported.",
            hint="Fold it in the model, or put it behind the layer that it scales.",
        )


def find_chains(module: Module) -> dict[Op, list[Op]]:
    """For each conv or gemm, the affine ops that follow it, each the only reader of the last."""
    uses = module.uses()
    chains: dict[Op, list[Op]] = {}
    for op in module.ops:
        if not isinstance(op, (nn.Conv, nn.Gemm)):
            continue
        chain: list[Op] = []
        value = op.output
        while len(uses[value]) == 1 and isinstance(uses[value][0], (nn.Affine, nn.BatchNorm)):
            affine = uses[value][0]
            assert affine is not None
            chain.append(affine)
            value = affine.output
        if chain:
            chains[op] = chain
    return chains


def fold_chain(builder: Builder, module: Module, op: Op, chain: list[Op]) -> None:
    """Append the conv or gemm with the chain folded in; it takes the last op's name."""
    weight = module.tensor(op.attributes["weight"]).astype(np.float64)
    bias_ref = op.attributes["bias"]
    bias = np.zeros(len(weight)) if bias_ref is None else module.tensor(bias_ref).astype(np.float64)
    location = op.location
    for affine in chain:
        scale, offset = scale_and_offset(affine, module, len(weight))
        weight = weight * scale.reshape((-1,) + (1,) * (weight.ndim - 1))
        bias = bias * scale + offset
        location = location + affine.location
    last = chain[-1].output
    base = op.attributes["weight"].name
    changed = {
        "weight": builder.store(f"{base}.folded", weight, "f32"),
        "bias": builder.store(f"{base}.bias", bias, "f32"),
    }
    value = builder.add(
        type(op),
        [builder.mapped[operand] for operand in op.operands],
        Value(last.name, last.type, last.range),
        location,
        **{**dump_attributes(op), **changed},
    )
    for old in (op.output, *(affine.output for affine in chain)):
        builder.mapped[old] = value


def scale_and_offset(op: Op, module: Module, channels: int) -> tuple[Array, Array]:
    """The two vectors of an affine op, float64."""
    if isinstance(op, nn.BatchNorm):
        return op.as_affine(module.tensor)
    assert isinstance(op, nn.Affine)
    scale = np.ones(channels) if op.scale is None else module.tensor(op.scale).astype(np.float64)
    offset = np.zeros(channels) if op.offset is None else module.tensor(op.offset)
    return scale, offset.astype(np.float64)
