"""`fold`: norms and constants into the weights before them, pads into the windows behind them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from epimc.ir.core.levels import NN
from epimc.ir.core.module import Builder, Module, Op, Value, dump_attributes
from epimc.ir.core.types import IrError
from epimc.ir.dialects import elementwise, moves, nn, rules
from epimc.ir.pipeline import Pass


@dataclass(frozen=True)
class Fold(Pass):
    """Fold each affine op into the convolution or matmul that alone feeds it.

    Computed in float64, stored as float32.  A batch normalization that follows nothing foldable
    becomes nn.affine.  A pad of rows and columns goes into the windows of the convolutions that
    read it, and of pools where that is exact.
    """

    name: ClassVar[str] = "fold"
    requires: ClassVar[str] = NN
    ensures: ClassVar[str] = NN

    def run(self, module: Module) -> Module:
        """Fold all of them."""
        module = without_pads(module)
        builder = Builder(module)
        builder.inputs_of(module)
        chains = find_chains(module)
        absorbed = {op for chain in chains.values() for op in chain}
        for op in module.ops:
            if op in chains:
                fold_chain(builder, module, op, chains[op])
            elif op not in absorbed:
                keep(builder, module, op)
        builder.outputs_of(module)
        return builder.finish()


def keep(builder: Builder, module: Module, op: Op) -> None:
    """Append an op that is not folded; a batch normalization as nn.affine."""
    if not isinstance(op, nn.BatchNorm):
        builder.copy(op)
        return
    old = op.output
    scale, offset = op.as_affine(module.tensor)
    builder.mapped[old] = builder.add(
        nn.Affine,
        [builder.mapped[op.x]],
        Value(old.name, old.type, old.range),
        op.location,
        scale=builder.store(f"{old.name}.scale", scale, "f32"),
        offset=builder.store(f"{old.name}.offset", offset, "f32"),
    )


def without_pads(module: Module) -> Module:
    """The module with pads in the windows that read them, as far as that is exact."""
    builder = Builder(module)
    builder.inputs_of(module)
    producers = module.producers()
    pads = {op: pad for op in module.ops if (pad := foldable_pad(op, producers))}
    needed = {v for op in module.ops if op not in pads for v in op.operands}
    needed |= {value for _, value in module.outputs}
    for op in module.ops:
        if op in pads:
            fold_pad(builder, op, pads[op])
        elif not isinstance(op, moves.Pad) or op.output in needed:
            builder.copy(op)
    builder.outputs_of(module)
    return builder.finish()


def foldable_pad(op: Op, producers: dict[Value, Op]) -> moves.Pad | None:
    """The pad before an op when the op's own window can do the padding."""
    if not isinstance(op, (nn.Conv, nn.MaxPool, nn.AveragePool)):
        return None
    pad = producers.get(op.x)
    if not isinstance(pad, moves.Pad):
        return None
    if pad.channels != (0, 0):
        return None
    if isinstance(op, nn.Conv):
        return pad
    window = replace(op.window, pads=joined_pads(op, pad))
    # A maximum ignores its own padding, which is the same only where nothing is below 0.
    if isinstance(op, nn.MaxPool):
        before = producers.get(pad.x)
        clipped = isinstance(before, (nn.Relu, elementwise.Clip)) and before.bounds[0] >= 0
        return pad if clipped and holds(rules.expect_maxima, pad.x.type.shape, window) else None
    return pad if op.counted is None and holds(rules.expect_inside, window) else None


def holds(rule: Callable[..., None], *arguments: object) -> bool:
    """Whether a rule of the IR is kept."""
    try:
        rule(*arguments)
    except IrError:
        return False
    return True


def joined_pads(op: Op, pad: moves.Pad) -> tuple[int, int, int, int]:
    """The pads of a window and those before it."""
    top, left, bottom, right = (a + b for a, b in zip(op.attributes["pads"], pad.pads, strict=True))
    return top, left, bottom, right


def fold_pad(builder: Builder, op: Op, pad: moves.Pad) -> None:
    """Append an op that does the padding of the pad before it."""
    old = op.output
    builder.mapped[old] = builder.add(
        type(op),
        [builder.mapped[pad.x]],
        Value(old.name, old.type, old.range),
        pad.location + op.location,
        **{**dump_attributes(op), "pads": joined_pads(op, pad)},
    )


def find_chains(module: Module) -> dict[Op, list[nn.ChannelAffine]]:
    """For each conv or gemm, the affine ops that follow it, each the only reader of the last."""
    uses = module.uses()
    chains: dict[Op, list[nn.ChannelAffine]] = {}
    for op in module.ops:
        if not isinstance(op, (nn.Conv, nn.Gemm)):
            continue
        chain: list[nn.ChannelAffine] = []
        value = op.output
        while len(uses[value]) == 1 and isinstance(affine := uses[value][0], nn.ChannelAffine):
            chain.append(affine)
            value = affine.output
        if chain:
            chains[op] = chain
    return chains


def fold_chain(builder: Builder, module: Module, op: Op, chain: list[nn.ChannelAffine]) -> None:
    """Append the conv or gemm with the chain folded in; it takes the last op's name."""
    weight = module.tensor(op.attributes["weight"]).astype(np.float64)
    bias_ref = op.attributes["bias"]
    bias = np.zeros(len(weight)) if bias_ref is None else module.tensor(bias_ref).astype(np.float64)
    location = op.location
    for affine in chain:
        scale, offset = affine.as_affine(module.tensor)
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
