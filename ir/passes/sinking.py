"""How rearrangements sink: each op that can as well be done before them, with which attributes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, TypeAlias

from epimc.ir.core.op import Op, Value, dump_attributes
from epimc.ir.core.traits import ChannelAffine
from epimc.ir.core.types import Location, TensorType
from epimc.ir.dialects import elementwise, moves, nn
from epimc.ir.rewriting import OpT, Pattern, Replacement, Rewriter
from epimc.ir.semantics.layouts import Rearrangement

Attributes: TypeAlias = dict[str, Any]


def source_of(value: Value, rewriter: Rewriter) -> nn.Rearrange | None:
    """The rearrangement that makes a value, if one does."""
    producer = rewriter.producer(value)
    return producer if isinstance(producer, nn.Rearrange) else None


class Sink(Pattern[OpT]):
    """An op whose operands are rearranged alike is done before they are.

    The rearrangement comes behind it, once for all operands.
    """

    def rewrite(self, op: OpT, rewriter: Rewriter) -> Replacement | None:
        """The op on what is rearranged, then the rearrangement."""
        sources = [source_of(operand, rewriter) for operand in op.operands]
        before = [source for source in sources if source]
        if not before or len(before) < len(sources) or not self.are_alike(before):
            return None
        move = before[0].move
        attributes = self.attributes(op, move)
        if attributes is None:
            return None
        result = rewriter.stand_in(op.output.name, self.result_before(op, move))
        operands = [source.x for source in before]
        rewriter.append(type(op)(operands, result, op.location, attributes))
        location = Location.joined(source.location for source in before)
        behind = {"perm": move.perm, "shape": op.output.type.shape}
        return Replacement(nn.Rearrange([result], op.output, location, behind))

    def are_alike(self, before: Sequence[nn.Rearrange]) -> bool:
        """Whether all operands are rearranged alike."""
        return len({source.move for source in before}) == 1

    def result_before(self, op: OpT, move: Rearrangement) -> TensorType:
        """The type of the op's result when it is done before."""
        return type_before(op, move)

    @abstractmethod
    def attributes(self, op: OpT, move: Rearrangement) -> Attributes | None:
        """Those with which the op does before a rearrangement what it does behind it, if any."""


def type_before(op: Op, move: Rearrangement) -> TensorType:
    """The type of an op's result when it is done before a rearrangement of its operands."""
    shape = op.output.type.shape
    # The op keeps its shape; else it changes sizes, which only permutations let it do.
    if shape == move.result:
        return op.output.type.with_shape(move.source)
    inverse = (move.perm.index(axis) for axis in range(len(move.perm)))
    return op.output.type.with_shape(tuple(shape[axis] for axis in inverse))


class SinkThroughElements(Sink[Op]):
    """What is computed for each element by itself does not care where the element stands."""

    name = "sink-through-elements"
    ops = (nn.Relu, nn.Add, elementwise.Sub, elementwise.Multiply, elementwise.Clip)

    def attributes(self, op: Op, move: Rearrangement) -> Attributes | None:
        """Those that the op has: no attribute names a dim or a channel."""
        return dump_attributes(op)


class SinkThroughChannels(Sink[Op]):
    """What is computed for each channel by itself needs the channels to stay what they are."""

    name = "sink-through-channels"
    ops: ClassVar[tuple[type[Op], ...]] = (ChannelAffine,)

    def attributes(self, op: Op, move: Rearrangement) -> Attributes | None:
        """The same, where the first dim stays the first and of its size."""
        keeps_channels = move.perm[0] == 0 and move.source[0] == move.result[0]
        return dump_attributes(op) if keeps_channels else None


class SinkThroughActivation(SinkThroughChannels):
    """A function of each element, whose parameters may differ from channel to channel."""

    name = "sink-through-activation"
    ops = (elementwise.Activation,)

    def attributes(self, op: Op, move: Rearrangement) -> Attributes | None:
        """The same, under the condition on channels where there are values for each of them."""
        by_channel = op.attributes["alphas"] is not None
        return super().attributes(op, move) if by_channel else dump_attributes(op)


class SinkThroughPool(Sink[nn.Pool]):
    """A window over each channel turns when rows and columns change places."""

    name = "sink-through-pool"
    ops = (nn.MaxPool, nn.AveragePool)

    def attributes(self, op: nn.Pool, move: Rearrangement) -> Attributes | None:
        """The window turned, for the one permutation that exchanges rows and columns."""
        if not (move.only_permutes and move.perm == (0, 2, 1)):
            return None
        top, left, bottom, right = op.pads
        turned = {key: op.attributes[key][::-1] for key in ("kernel", "strides", "dilations")}
        # Sides are (top, left, bottom, right): rows and columns change places.
        turned["pads"] = (left, top, right, bottom)
        if (counted := op.attributes.get("counted")) is not None:
            turned["counted"] = (counted[1], counted[0], counted[3], counted[2])
        return turned


class SinkThroughPointwise(Sink[nn.Conv]):
    """A convolution 1x1 computes each position by itself, wherever it lies."""

    name = "sink-through-pointwise"
    ops = (nn.Conv,)

    def attributes(self, op: nn.Conv, move: Rearrangement) -> Attributes | None:
        """The same, where the window is one position and maps keep their channels."""
        is_point = op.output.type.shape[1:] == move.result[1:] and not any(op.pads)
        of_maps = len(move.source) == 3 and move.perm[0] == 0 and move.source[0] == move.result[0]
        return dump_attributes(op) if is_point and of_maps and op.strides == (1, 1) else None

    def result_before(self, op: nn.Conv, move: Rearrangement) -> TensorType:
        """The layer's channels, at the positions before they are moved."""
        return op.output.type.with_shape((op.output.type.shape[0], *move.source[1:]))


class SinkThroughConcat(Sink[moves.Concat]):
    """Values one behind the other are so along another dim before a permutation."""

    name = "sink-through-concat"
    ops = (moves.Concat,)

    def attributes(self, op: moves.Concat, move: Rearrangement) -> Attributes | None:
        """The dim that it was."""
        return {"axis": move.perm[op.attributes["axis"]]} if move.only_permutes else None

    def are_alike(self, before: Sequence[nn.Rearrange]) -> bool:
        """Whether all are permuted alike: their sizes may differ."""
        permuted = all(source.move.only_permutes for source in before)
        return permuted and len({source.perm for source in before}) == 1


class SinkThroughSelect(Sink[moves.Select]):
    """Indices along each dim of a map are indices along another one before a permutation."""

    name = "sink-through-select"
    ops = (moves.Select,)

    def attributes(self, op: moves.Select, move: Rearrangement) -> Attributes | None:
        """The indices of each dim, for the dim that it was."""
        if not move.only_permutes or len(move.perm) != 3:
            return None
        keys, runs = ("channels", "rows", "columns"), op.selection.runs
        return {keys[axis]: runs[k] for k, axis in enumerate(move.perm)}


class SinkThroughPad(Sink[moves.Pad]):
    """Zeros around each dim of a map lie around another one before a permutation."""

    name = "sink-through-pad"
    ops = (moves.Pad,)

    def attributes(self, op: moves.Pad, move: Rearrangement) -> Attributes | None:
        """The widths of each dim, for the dim that it was."""
        if not move.only_permutes:
            return None
        top, left, bottom, right = op.pads
        widths = [op.channels, (top, bottom), (left, right)]
        channels, rows, columns = (widths[move.perm.index(axis)] for axis in range(3))
        return {"channels": channels, "pads": (rows[0], columns[0], rows[1], columns[1])}


SINKING: tuple[Pattern[Any], ...] = (
    SinkThroughElements(),
    SinkThroughChannels(),
    SinkThroughActivation(),
    SinkThroughPool(),
    SinkThroughPointwise(),
    SinkThroughConcat(),
    SinkThroughSelect(),
    SinkThroughPad(),
)
"""How each op lets a rearrangement of all its operands through; an op that is not here does not."""
