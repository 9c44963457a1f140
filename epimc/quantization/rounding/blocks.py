"""Blocks: pieces of a net that one value goes into and one comes out of."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from epimc.ir.core.module import Module
from epimc.ir.core.op import Op, Value
from epimc.ir.core.traits import Clips
from epimc.ir.epitome.epitomized import Epitomized
from epimc.ir.epitome.plan import identity
from epimc.quantization.rounding.gradients import GRADIENTS
from epimc.quantization.rounding.layer import LARGEST_INPUTS

# So many layers are learned together at most, but for those between which nothing can be parted.
LAYERS = 3

# A block has no more layers than this: what all of them read is in memory at once.
MOST_LAYERS = 6


@dataclass(frozen=True)
class Block:
    """Ops that have gradients; nothing but the last one's result is read outside of them.

    Attributes:
        x: The one value that they read and do not make.
        ops: In the order of the module.
    """

    x: Value
    ops: tuple[Op, ...]

    @property
    def result(self) -> Value:
        """What comes out."""
        return self.ops[-1].output

    @property
    def layers(self) -> list[Epitomized]:
        """Those with weights."""
        return [op for op in self.ops if isinstance(op, Epitomized)]


def blocks_of(module: Module) -> list[Block]:
    """All blocks with layers, apart from each other, in order; a layer is in one or in none.

    A residual block is one: it lies between two places where a single value is still to be read.
    Such pieces in a row become one while their layers are few.  A piece that is none, by an op
    without a gradient or by a value that goes elsewhere, is parted into its layers.
    """
    blocks = Blocks(module)
    result: list[Block] = []
    last: Block | None = None
    for piece in blocks.pieces():
        joined = blocks.block([*last.ops, *piece]) if last else None
        if joined and len(joined.layers) <= max(LAYERS, len(last.layers) if last else 0):
            last = joined
            continue
        result += [last] if last else []
        last = blocks.block(piece)
        if last is None:
            result += blocks.single(piece)
    result += [last] if last else []
    return [block for block in result if block.layers]


class Blocks:
    """Finds blocks of a module."""

    def __init__(self, module: Module) -> None:
        """Look at who reads what."""
        self.module, self.uses = module, module.uses()
        self.outputs = {value for _, value in module.outputs}

    def pieces(self) -> Iterator[list[Op]]:
        """All ops, parted where no more than one value is known that is read later."""
        last = {operand: op for op in self.module.ops for operand in op.operands}
        alive = {value for _, value in self.module.inputs if value in last}
        piece: list[Op] = []
        for op in self.module.ops:
            piece.append(op)
            alive -= {value for value in op.operands if last[value] is op}
            alive |= {op.output} & last.keys()
            if len(alive) <= 1:
                yield piece
                piece = []

    def block(self, ops: Sequence[Op]) -> Block | None:
        """These ops as a block, if they are one."""
        made = {op.output for op in ops}
        read = {operand for op in ops for operand in op.operands} - made
        if len(read) != 1 or not all(has_gradient(op) for op in ops):
            return None
        if sum(isinstance(op, Epitomized) for op in ops) > MOST_LAYERS:
            return None
        inner = made - {ops[-1].output}
        if inner & self.outputs or any({*self.uses[value]} - {*ops} for value in inner):
            return None
        (x,) = read
        return Block(x, tuple(ops))

    def single(self, ops: Sequence[Op]) -> Iterator[Block]:
        """Each layer by itself, with the clipping behind it."""
        for op in ops:
            if not isinstance(op, Epitomized):
                continue
            clips = [reader for reader in self.uses[op.output] if isinstance(reader, Clips)]
            block = self.block([op, *clips]) or self.block([op])
            if block:
                yield block


def has_gradient(op: Op) -> bool:
    """Whether an op is learned through; a layer only if it is learned itself."""
    if isinstance(op, Epitomized):
        # One whose epitome is the weights, and they are not too many to look at them together.
        inputs = math.prod(op.weights_shape[1:])
        return op.plan == identity(op.weights_shape) and inputs <= LARGEST_INPUTS
    return GRADIENTS.covers(type(op))
