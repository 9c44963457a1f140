"""What importers move values with: rearrangements and selections."""

from __future__ import annotations

from epimc.frontend.nodes import Context, Node
from epimc.ir.core.module import Value
from epimc.ir.dialects import moves, nn
from epimc.ir.semantics.layouts import Rearrangement, Runs

KEYS = ("channels", "rows", "columns")


def rearranged(
    node: Node,
    context: Context,
    x: Value,
    perm: tuple[int, ...],
    shape: tuple[int, ...],
    suffix: str = "",
) -> Value:
    """The value with its dims permuted and cut anew; x itself where nothing changes."""
    if Rearrangement(x.type.shape, perm, shape).is_identity:
        return x
    return context.emit(nn.Rearrange, node, [x], suffix, perm=perm, shape=shape)


def reshaped(
    node: Node, context: Context, x: Value, shape: tuple[int, ...], suffix: str = ""
) -> Value:
    """The value cut anew; x itself where it has the shape."""
    return rearranged(node, context, x, tuple(range(len(x.type.shape))), shape, suffix)


def selected(node: Node, context: Context, x: Value, runs: list[Runs], suffix: str = "") -> Value:
    """The indices of each dim of x; x itself where they are all.

    Args:
        node: For which.
        context: Of the module.
        x: Vector, matrix or map.
        runs: For each dim, as runs; none for all of it.
        suffix: Of the result's name.
    """
    if not any(runs):
        return x
    keys = ("channels", "columns") if len(runs) == 2 else KEYS
    given = {key: dim for key, dim in zip(keys, runs, strict=False) if dim}
    return context.emit(moves.Select, node, [x], suffix, **given)
