"""What layers absorb rises to them, above the moves that put their results side by side."""

from __future__ import annotations

import numpy as np

from epimc.ir.core.op import Op, Value, dump_attributes
from epimc.ir.core.traits import ChannelAffine, Clips
from epimc.ir.dialects import moves, nn
from epimc.ir.rewriting import Pattern, Replacement, Rewriter, changed

ABSORBED = (ChannelAffine, Clips)
MOVED = (moves.Concat, moves.Select, nn.Rearrange, moves.Constant)

# So many ops behind each other are looked at, before and behind what joins the layers.
LONGEST_CHAIN = 16


class RiseToLayers(Pattern[Op]):
    """An affine function or a clip of what several layers compute is one of each layer's result.

    As a transposed convolution has its phases: maps beside each other, none of which another op
    reads.  Every layer then takes over what follows it, and no element is rounded twice.
    """

    name = "rise-to-layers"
    ops = ABSORBED

    def rewrite(self, op: Op, rewriter: Rewriter) -> Replacement | None:
        """The moves once more, of what the function makes of each layer."""
        (x,) = op.operands
        behind = self.moves_behind_join(x, rewriter)
        if not behind or not all(self.is_layer(part, rewriter) for part in behind[0].operands):
            return None
        parts = [self.risen(op, part, rewriter) for part in behind[0].operands]
        for move in behind[:-1]:
            parts = [rewriter.append(above(move, op, parts, rewriter))]
        return Replacement(changed(behind[-1], operands=parts, output=op.output))

    def moves_behind_join(self, value: Value, rewriter: Rewriter) -> list[Op]:
        """What makes a value, as far as it is a concatenation within channels and moves behind it.

        The concatenation comes first; nothing where there is none, or where others read, too.
        """
        behind: list[Op] = []
        while len(behind) < LONGEST_CHAIN and len(rewriter.readers[value]) == 1:
            producer = rewriter.producer(value)
            if producer is None or not self.keeps_channels(producer):
                return []
            behind.append(producer)
            if isinstance(producer, moves.Concat):
                return behind[::-1]
            (value,) = producer.operands
        return []

    def keeps_channels(self, op: Op) -> bool:
        """Whether an op moves elements within their channels alone."""
        if isinstance(op, moves.Concat):
            return op.axis > 0
        if isinstance(op, moves.Select):
            return not op.selection.channels
        return (
            isinstance(op, nn.Rearrange)
            and op.move.perm[0] == 0
            and op.move.source[0] == op.move.result[0]
        )

    def is_layer(self, value: Value, rewriter: Rewriter) -> bool:
        """Whether a value is a convolution's, with what that absorbs, or a constant; read once."""
        for _ in range(LONGEST_CHAIN):
            producer = rewriter.producer(value)
            if producer is None or len(rewriter.readers[value]) != 1:
                return False
            if not isinstance(producer, ABSORBED):
                return isinstance(producer, (nn.Conv, moves.Constant))
            (value,) = producer.operands
        return False

    def risen(self, op: Op, part: Value, rewriter: Rewriter) -> Value:
        """What an op makes of a layer's result; of a constant, another constant."""
        producer = rewriter.producer(part)
        if not isinstance(producer, moves.Constant):
            result = named(op, part, rewriter)
            return rewriter.append(type(op)([part], result, op.location, dump_attributes(op)))
        before = rewriter.tensor(producer.value).astype(np.float64)[None]
        values = rewriter.store(producer.value.name, op.evaluate([before], rewriter.tensor)[0])
        return rewriter.append(changed(producer, output=named(op, part, rewriter), value=values))


def above(move: Op, op: Op, operands: list[Value], rewriter: Rewriter) -> Op:
    """A move of an op's results, which did so before the op."""
    return changed(move, operands=operands, output=named(op, move.output, rewriter))


def named(op: Op, old: Value, rewriter: Rewriter) -> Value:
    """What stands in an old value's place, named after what the op computes."""
    # Behind the dot stands which part the old value is; `before` marks a stand-in not yet named.
    suffix = old.name.removesuffix(".before").partition(".")[2] or "part"
    value = rewriter.stand_in(f"{op.output.name}.{suffix}", old.type)
    # The next op that rises sees that nobody else reads it.
    rewriter.readers[value] = [op]
    return value
