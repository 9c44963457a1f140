"""What importers move values with: rearrangements and selections."""

from __future__ import annotations

from epimc.frontend.core.emitter import Emitter
from epimc.ir.core.op import Value
from epimc.ir.dialects import moves, nn
from epimc.ir.semantics.layouts import Rearrangement, Runs

KEYS = ("channels", "rows", "columns")


def rearranged(node: Emitter, x: Value, perm: tuple[int, ...], shape: tuple[int, ...]) -> Value:
    """The value with its dims permuted and cut anew; x itself where nothing changes."""
    if Rearrangement(x.type.shape, perm, shape).is_identity:
        return x
    return node.emit(nn.Rearrange, [x], perm=perm, shape=shape)


def reshaped(node: Emitter, x: Value, shape: tuple[int, ...]) -> Value:
    """The value cut anew; x itself where it has the shape."""
    return rearranged(node, x, tuple(range(len(x.type.shape))), shape)


def selected(node: Emitter, x: Value, runs: list[Runs]) -> Value:
    """The indices of each dim of x; x itself where they are all.

    Args:
        node: For which.
        x: Vector, matrix or map.
        runs: For each dim, as runs; none for all of it.
    """
    if not any(runs):
        return x
    # The second dim of a matrix is what a map has as columns.
    keys = ("channels", "columns") if len(runs) == 2 else KEYS
    chosen = {key: dim for key, dim in zip(keys, runs, strict=False) if dim}
    return node.emit(moves.Select, [x], **chosen)
