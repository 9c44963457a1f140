"""`layout`: rearrangements merge, sink through the ops behind them, and vanish where they meet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from epimc.ir.core.levels import NN
from epimc.ir.core.module import Builder, Module, Op, Value, dump_attributes
from epimc.ir.core.types import Location, TensorType
from epimc.ir.dialects import elementwise, moves, nn
from epimc.ir.pipeline import Pass
from epimc.ir.semantics.layouts import Rearrangement, element_indices, merged, simplified

Attributes = dict[str, Any]
Rule = Callable[[Op, Rearrangement], Attributes | None]
"""The attributes with which an op does before a rearrangement what it does behind it, or None."""


@dataclass(frozen=True)
class Layout(Pass):
    """Take transpositions and reshapes out of the network, as far as they cancel.

    A rearrangement sinks through every op that can as well come before it, until it meets its
    inverse, a rearrangement with which it merges, or a matmul, whose weights take the permutation
    over.  Where that does not leave less to move, nothing sinks.
    """

    name: ClassVar[str] = "layout"
    requires: ClassVar[str] = NN
    ensures: ClassVar[str] = NN

    def run(self, module: Module) -> Module:
        """The cheaper of both rewrites."""
        sunk, kept = _Rewriter(module, sinking=True).run(), _Rewriter(module, sinking=False).run()
        return sunk if moved_elements(sunk) <= moved_elements(kept) else kept


def moved_elements(module: Module) -> int:
    """How many elements all rearrangements of a module move."""
    return sum(op.output.type.size for op in module.ops if isinstance(op, nn.Rearrange))


# --- what rearrangements sink through ------------------------------------------------------------


def each_element(op: Op, move: Rearrangement) -> Attributes | None:
    """An op on each element by itself."""
    return dump_attributes(op)


def channelwise(op: Op, move: Rearrangement) -> Attributes | None:
    """An op on each channel by itself: the channels must stay what they are."""
    kept = move.perm[0] == 0 and move.source[0] == move.result[0]
    return dump_attributes(op) if kept else None


def spatial(op: Op, move: Rearrangement) -> Attributes | None:
    """A window over each channel, when rows and columns change places."""
    if not (move.only_permutes and move.perm == (0, 2, 1)):
        return None
    assert isinstance(op, nn.Pool)
    top, left, bottom, right = op.pads
    turned = {key: op.attributes[key][::-1] for key in ("kernel", "strides", "dilations")}
    turned["pads"] = (left, top, right, bottom)
    if (counted := op.attributes.get("counted")) is not None:
        turned["counted"] = (counted[1], counted[0], counted[3], counted[2])
    return turned


def along_an_axis(op: Op, move: Rearrangement) -> Attributes | None:
    """An op along one dim, which is another one before."""
    return {"axis": move.perm[op.attributes["axis"]]} if move.only_permutes else None


def function(op: Op, move: Rearrangement) -> Attributes | None:
    """A function of each element, whose parameters may differ from channel to channel."""
    by_channel = op.attributes["alphas"] is not None
    return channelwise(op, move) if by_channel else dump_attributes(op)


def selecting(op: Op, move: Rearrangement) -> Attributes | None:
    """Indices along each dim of a map, which is another one before."""
    if not move.only_permutes or len(move.perm) != 3:
        return None
    assert isinstance(op, moves.Select)
    keys, runs = ("channels", "rows", "columns"), op.selection.runs
    return {keys[axis]: runs[k] for k, axis in enumerate(move.perm)}


def padding(op: Op, move: Rearrangement) -> Attributes | None:
    """Zeros around each dim, which is another one before."""
    if not move.only_permutes:
        return None
    assert isinstance(op, moves.Pad)
    (top, left, bottom, right) = op.pads
    widths = [op.channels, (top, bottom), (left, right)]
    channels, rows, columns = (widths[move.perm.index(axis)] for axis in range(3))
    return {"channels": channels, "pads": (rows[0], columns[0], rows[1], columns[1])}


SINKS: Mapping[type[Op], Rule] = {
    nn.Relu: each_element,
    nn.Add: each_element,
    elementwise.Sub: each_element,
    elementwise.Multiply: each_element,
    elementwise.Clip: each_element,
    elementwise.Activation: function,
    moves.Concat: along_an_axis,
    moves.Select: selecting,
    moves.Pad: padding,
    nn.Affine: channelwise,
    nn.BatchNorm: channelwise,
    nn.MaxPool: spatial,
    nn.AveragePool: spatial,
    nn.Softmax: along_an_axis,
}
"""How each op lets a rearrangement of all its operands through; an op that is not here does not."""


# --- the rewrite ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Moved:
    """What a value of the new module is a rearrangement of, and the nodes that it stands for."""

    source: Value
    move: Rearrangement
    location: Location


class _Rewriter:
    """Builds the new module, op by op; `moved` knows which of its values are rearranged others."""

    def __init__(self, module: Module, *, sinking: bool) -> None:
        self.old, self.sinking = module, sinking
        self.builder = Builder(module)
        self.builder.inputs_of(module)
        self.uses = module.uses()
        self.moved: dict[Value, Moved] = {}
        self.flat: dict[Value, Value] = {}
        # Values that are new, and those whose elements they hold in another order.
        self.stands_for: dict[Value, str] = {}

    def run(self) -> Module:
        for op in self.old.ops:
            if isinstance(op, nn.Rearrange):
                x = self.builder.mapped[op.x]
                self.rearrange(op.output, Moved(x, op.move, op.location))
            elif not (self.sinking and (self.sink(op) or self.absorb(op))):
                self.builder.copy(op)
        self.builder.outputs_of(self.old)
        self.drop_unused()
        return self.builder.finish()

    def rearrange(self, old: Value, new: Moved) -> None:
        """Append a rearrangement, merged with the one that made its operand; none if it may go."""
        # Each merge may make another one possible.
        while before := self.moved.get(new.source):
            whole = merged(before.move, new.move)
            if whole is None:
                break
            new = Moved(before.source, whole, before.location + new.location)
        move = simplified(new.move)
        if move.is_identity and not (None in self.uses[old] and self.is_border(new.source)):
            self.builder.mapped[old] = new.source
            return
        result = Value(old.name, new.source.type.with_shape(move.result), old.range)
        self.append(new.source, move, result, new.location)
        self.builder.mapped[old] = result
        self.moved[result] = Moved(new.source, move, new.location)

    def append(self, x: Value, move: Rearrangement, result: Value, location: Location) -> None:
        """The op itself."""
        self.builder.add(nn.Rearrange, [x], result, location, perm=move.perm, shape=move.result)

    def is_border(self, value: Value) -> bool:
        """Whether a value is an input or output already: it cannot be another output too."""
        ports = [old for _, old in (*self.old.inputs, *self.old.outputs)]
        return any(self.builder.mapped.get(old) is value for old in ports)

    def sink(self, op: Op) -> bool:
        """Do an op before the rearrangement of its operands, when they are rearranged alike."""
        found = [self.moved.get(self.builder.mapped[operand]) for operand in op.operands]
        entries = [entry for entry in found if entry]
        rule = SINKS.get(type(op))
        if rule is None or len(entries) < len(found) or not alike(op, entries):
            return False
        move = entries[0].move
        attributes = rule(op, move)
        if attributes is None:
            return False
        result = self.new_value(op.output.name, before(op, move))
        sources = [entry.source for entry in entries]
        self.builder.add(type(op), sources, result, op.location, **attributes)
        behind = Rearrangement(result.type.shape, move.perm, op.output.type.shape)
        location = sum((entry.location for entry in entries), Location())
        self.rearrange(op.output, Moved(result, behind, location))
        return True

    def new_value(self, name: str, kind: TensorType) -> Value:
        """A value that holds the elements of the named one in another order."""
        value = Value(self.builder.fresh(f"{name}.before"), kind)
        self.stands_for[value] = name
        return value

    def absorb(self, op: Op) -> bool:
        """Put the permutation before a matmul into its weights, where only matmuls read it."""
        if not isinstance(op, nn.Gemm):
            return False
        x = self.builder.mapped[op.x]
        found = self.moved.get(x)
        only = all(isinstance(use, nn.Gemm) for use in self.uses[op.x])
        if found is None or found.move.keeps_order or not only:
            return False
        weight = self.old.tensor(op.weight)
        permuted = np.empty_like(weight)
        permuted[:, element_indices(found.move).ravel()] = weight
        ref = self.builder.store(f"{op.weight.name}.permuted", permuted, "f32")
        self.builder.mapped[op.x] = self.flattened(x, found)
        self.builder.copy(op, weight=ref)
        self.builder.mapped[op.x] = x
        return True

    def flattened(self, x: Value, found: Moved) -> Value:
        """What x is a rearrangement of, flat in its own order."""
        if x not in self.flat:
            result = self.new_value(x.name, x.type)
            source = found.move.source
            move = Rearrangement(source, tuple(range(len(source))), found.move.result)
            self.append(found.source, move, result, found.location)
            self.flat[x] = result
        return self.flat[x]

    def drop_unused(self) -> None:
        """Rearrangements that nobody reads go, and what came before them takes their names."""
        module = self.builder.module
        read = {value for _, value in module.outputs}
        kept: list[Op] = []
        for op in reversed(module.ops):
            if not isinstance(op, nn.Rearrange) or op.output in read:
                kept.append(op)
                read.update(op.operands)
        module.ops = kept[::-1]
        names = {value.name for value in module.values()}
        for value, name in self.stands_for.items():
            if name not in names:
                value.name = name
                names.add(name)


def alike(op: Op, entries: list[Moved]) -> bool:
    """Whether all operands of an op are rearranged alike; those of nn.concat differ in size."""
    if isinstance(op, moves.Concat):
        return (
            all(e.move.only_permutes for e in entries) and len({e.move.perm for e in entries}) == 1
        )
    return len({entry.move for entry in entries}) == 1


def before(op: Op, move: Rearrangement) -> TensorType:
    """The type of an op's result when it is done before a rearrangement of its operands."""
    shape = op.output.type.shape
    if shape == move.result:
        return op.output.type.with_shape(move.source)
    inverse = (move.perm.index(axis) for axis in range(len(move.perm)))
    return op.output.type.with_shape(tuple(shape[axis] for axis in inverse))
