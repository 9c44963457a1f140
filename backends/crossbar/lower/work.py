"""How much work a module is, counted from shapes before any of it is done, and what is too much."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from epimc.backends.crossbar import dialect as xbar
from epimc.ir.core.dispatch import OpTable
from epimc.ir.core.op import Op
from epimc.ir.core.types import as_map
from epimc.ir.dialects.nn import Windowed
from epimc.support.diagnostics import EpimcError, counted, error

# The rows that all ops compute and read: option `limit_rows` of `place`.  What is behind it takes a
# few microseconds and some hundred bytes for each.
DEFAULT_ROWS = 2**20

# The arrays of a module, and the maps and tables of a program; more no bundle holds.
MOST_ARRAYS = 2**20
MOST_MAPS = 2**16

Map = tuple[int, int, int]


# The rows of an operand that all rows of an op read: from its map and the rows that are computed.
rows_read: OpTable[[Map, int], int] = OpTable("count of rows that it reads")


def rows_of(op: xbar.XbarOp) -> int:
    """The rows that an op computes and reads, at most; a row that is read twice counts twice."""
    height = as_map(op.output.type.shape)[1]
    return height + sum(rows_read.apply(op, as_map(x.type.shape), height) for x in op.operands)


@rows_read(Op)
def at_its_height(op: Op, source: Map, height: int) -> int:
    """A row for each row."""
    del op
    return max(source[1], height)


@rows_read(Windowed)
def in_windows(op: Windowed, source: Map, height: int) -> int:
    """As many as a window is high."""
    return height * min(op.kernel[0], source[1])


@rows_read(xbar.Rearrange)
def rearranged(op: xbar.Rearrange, source: Map, height: int) -> int:
    """A row reads every row of the source at most, and each of its elements one."""
    del op
    return min(height * source[1], math.prod(source))


def rows_of_parts(op: xbar.Mvm, parts: int) -> int:
    """The rows that a layer in several parts computes and reads, and the sums of its parts."""
    height = as_map(op.output.type.shape)[1]
    return parts * rows_of(op) + (parts - 1) * 3 * height


def refuse_many_rows(rows: Mapping[xbar.XbarOp, int], limit: int) -> None:
    """Hold the rows of all ops together to a limit.

    Raises:
        EpimcError: They are more; it names the op with most of them.
    """
    total = sum(rows.values())
    if total > limit:
        largest = max(rows, key=rows.__getitem__)
        raise _refusal(
            largest,
            f"All ops together compute and read {counted(total, 'row')} of feature maps, and "
            f"'limit_rows' is {limit}; for %{largest.output.name} alone they are {rows[largest]}.",
            hint=f"Use a smaller input, padding or kernel, or raise the limit: "
            f"-O 'place{{limit_rows={total}}}'.",
        )


def refuse_many_maps(parts: Iterable[tuple[Op, int]]) -> None:
    """Hold the feature maps of a program to what a bundle may hold.

    Args:
        parts: For each op of how many parts it consists; their sums make as many maps less one.

    Raises:
        EpimcError: They are more; it names the op with most of them.
    """
    maps = {op: 2 * count - 1 for op, count in parts}
    if sum(maps.values()) > MOST_MAPS:
        largest = max(maps, key=maps.__getitem__)
        raise _refusal(
            largest,
            f"The program needs {sum(maps.values())} feature maps, and {MOST_MAPS} is the most; "
            f"for %{largest.output.name} alone they are {maps[largest]}.",
            hint="A layer has a map for each of its tiles: use larger tiles, or fewer ops.",
        )


def refuse_many_arrays(op: Op, arrays: int) -> None:
    """Hold the arrays of a layer, and those before it, to what a program may have.

    Raises:
        EpimcError: They are more.
    """
    if arrays > MOST_ARRAYS:
        raise _refusal(
            op,
            f"With %{op.output.name} the model needs {arrays} arrays, and {MOST_ARRAYS} is the "
            "most.",
            hint="Use a target with larger crossbars, or smaller epitomes (--epitome).",
        )


def _refusal(op: Op, message: str, hint: str) -> EpimcError:
    """The error for an op of which there is too much: its text might be as long."""
    return error(message, where=op.span or str(op.location), hint=hint)
