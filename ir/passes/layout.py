"""`layout`: rearrangements merge, sink through the ops behind them, and vanish where they meet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from epimc.ir.core.levels import NN
from epimc.ir.core.module import Module
from epimc.ir.core.op import Array, Value
from epimc.ir.core.types import Location
from epimc.ir.dialects import nn
from epimc.ir.passes.sinking import SINKING, source_of
from epimc.ir.pipeline import Pass
from epimc.ir.rewriting import Pattern, Replacement, Rewriter, changed, rewritten
from epimc.ir.semantics.layouts import Rearrangement, element_indices, merged, simplified


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
        unread = (nn.Rearrange,)
        sunk = rewritten(module, (*MERGING, *SINKING, PermutationIntoGemm()), disposable=unread)
        kept = rewritten(module, MERGING, disposable=unread)
        # Sinking may meet nothing to cancel with, and then moves larger maps than before.
        return sunk if moved_elements(sunk) <= moved_elements(kept) else kept


def moved_elements(module: Module) -> int:
    """How many elements all rearrangements of a module move."""
    return sum(op.output.type.size for op in module.ops if isinstance(op, nn.Rearrange))


class MergeRearrangements(Pattern[nn.Rearrange]):
    """Two rearrangements behind each other are one, where one permutation and cut does both."""

    name = "merge-rearrangements"
    ops = (nn.Rearrange,)

    def rewrite(self, op: nn.Rearrange, rewriter: Rewriter) -> Replacement | None:
        """One of what the first rearranges; the first stays, as long as somebody reads it."""
        before = rewriter.producer(op.x)
        if not isinstance(before, nn.Rearrange):
            return None
        both = merged(before.move, op.move)
        # No one permutation and cut does both: they stay two.
        if both is None:
            return None
        location = before.location + op.location
        return Replacement(rearrange(before.x, both, op.output, location))


class SimplifyRearrangement(Pattern[nn.Rearrange]):
    """Dims of size 1 move for nothing: the permutation becomes the first that does the same."""

    name = "simplify-rearrangement"
    ops = (nn.Rearrange,)

    def rewrite(self, op: nn.Rearrange, rewriter: Rewriter) -> Replacement | None:
        """The rearrangement with the first equal permutation, unless it has that."""
        move = simplified(op.move)
        return None if move == op.move else Replacement(changed(op, perm=move.perm))


class DropIdentity(Pattern[nn.Rearrange]):
    """A rearrangement that changes nothing is its operand.

    But an output of the module that would be an input, or the same as another output, stays a
    value of its own.
    """

    name = "drop-identity"
    ops = (nn.Rearrange,)

    def rewrite(self, op: nn.Rearrange, rewriter: Rewriter) -> Replacement | None:
        """The operand in its place, unless two ports would then be one value."""
        if not op.move.is_identity:
            return None
        if rewriter.is_output(op.output) and rewriter.is_port(op.x):
            return None
        return Replacement(op.x)


class PermutationIntoGemm(Pattern[nn.Gemm]):
    """A matmul of permuted elements is one with permuted weights, and a flatten.

    Only where nothing but matmuls reads what is permuted: otherwise it is moved all the same.
    """

    name = "permutation-into-gemm"
    ops = (nn.Gemm,)

    def rewrite(self, op: nn.Gemm, rewriter: Rewriter) -> Replacement | None:
        """The matmul behind a flatten that keeps the order."""
        before = source_of(op.x, rewriter)
        if before is None or before.move.keeps_order:
            return None
        # Another reader needs the permuted elements all the same: nothing would be saved.
        kinds = set(map(type, rewriter.readers[op.x]))
        if not all(issubclass(kind, nn.Gemm) for kind in kinds):
            return None
        weight = permuted(rewriter.tensor(op.weight), before.move)
        ref = rewriter.store(f"{op.weight.name}.permuted", weight)
        return Replacement(changed(op, operands=[flattened(before, rewriter)], weight=ref))


def permuted(weight: Array, move: Rearrangement) -> Array:
    """Weights [N, K] for elements in the order before they are moved."""
    result = np.empty_like(weight)
    result[:, element_indices(move).ravel()] = weight
    return result


def flattened(op: nn.Rearrange, rewriter: Rewriter) -> Value:
    """What an op rearranges, flat in its own order: one value for all that ask."""
    x, location = op.x, op.location
    before = source_of(x, rewriter)
    if before is not None and before.move.keeps_order:
        # Cut once more, the elements come in the same order.
        x, location = before.x, before.location + location
    source = x.type.shape
    if source == op.move.result:
        return x
    move = Rearrangement(source, tuple(range(len(source))), op.move.result)

    def make() -> nn.Rearrange:
        result = rewriter.stand_in(op.output.name, op.output.type)
        return rearrange(x, move, result, location)

    return rewriter.shared(("flattened", op.output), make)


def rearrange(x: Value, move: Rearrangement, result: Value, location: Location) -> nn.Rearrange:
    """The op that moves x so."""
    return nn.Rearrange([x], result, location, {"perm": move.perm, "shape": move.result})


MERGING = (MergeRearrangements(), SimplifyRearrangement(), DropIdentity())
