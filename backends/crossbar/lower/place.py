"""`place`: crossbar groups onto tiles; a layer that exceeds a tile is split and added up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from epimc.backends.base import DoesNotFitError
from epimc.backends.crossbar import dialect as xbar
from epimc.backends.crossbar.levels import MAPPED, PLACED, TILES
from epimc.backends.crossbar.lower.map import target_of
from epimc.backends.crossbar.lower.rows import resident_bytes
from epimc.backends.crossbar.lower.work import (
    DEFAULT_ROWS,
    refuse_many_maps,
    refuse_many_rows,
    rows_of,
    rows_of_parts,
)
from epimc.backends.crossbar.target.schema import Target
from epimc.ir.core.module import Builder, Module
from epimc.ir.core.op import Value
from epimc.ir.core.types import Location
from epimc.ir.pipeline import Pass
from epimc.support.diagnostics import Diagnostic, counted, error
from epimc.support.options import Option

Arrays = tuple[tuple[int, ...], ...]
Part = tuple[int, Arrays]
"""A tile and the arrays of a layer that lie there."""


@dataclass(frozen=True)
class Place(Pass):
    """Fill tiles with the layers in execution order.

    A layer that does not fit into what is left of a tile starts a new one; a layer larger than a
    tile takes several, and its partial sums are sent to the last of them and added there.  Every
    other op runs where its last operand is computed.

    Attributes:
        limit_rows: A limit on what the passes behind have to do.
    """

    limit_rows: Annotated[
        int, Option("The most rows of maps that all ops may compute and read.", minimum=1)
    ] = DEFAULT_ROWS

    name: ClassVar[str] = "place"
    requires: ClassVar[str] = MAPPED
    ensures: ClassVar[str] = PLACED

    def run(self, module: Module) -> Module:
        """Give every op its tile and every array its crossbar."""
        target = target_of(module)
        builder = Builder(module, self.ensures)
        builder.inputs_of(module)
        tiles = _Tiles(target.tile.crossbars)
        # All parts of all layers, before an op is made of any.
        parts = {op: list(tiles.take(op.arrays)) for op in module.ops if isinstance(op, xbar.Mvm)}
        self._refuse_too_much(module, parts)
        limit = target.chip.tiles
        if limit != "auto" and tiles.count > limit:
            raise error(
                f"The model needs {tiles.count} tiles, target '{target.name}' has {limit}.",
                hint='Use fewer weight bits, a target with more tiles, or chip.tiles = "auto".',
            )
        homes = _Homes()
        for op in module.ops:
            if isinstance(op, xbar.Mvm):
                place_mvm(builder, op, parts[op], homes)
            else:
                tile = homes.of([builder.mapped[operand] for operand in op.operands])
                homes.add(builder.copy(op, tile=tile), tile)
        # Of parts and their sums as well, which are there only now.
        refuse_large_windows(builder.module, target)
        builder.module.attributes[TILES] = tiles.count
        builder.outputs_of(module)
        return builder.finish()

    def _refuse_too_much(self, module: Module, parts: Mapping[xbar.Mvm, Sequence[Part]]) -> None:
        ops = [op for op in module.ops if isinstance(op, xbar.XbarOp)]
        rows = {
            op: rows_of_parts(op, len(parts[op])) if isinstance(op, xbar.Mvm) else rows_of(op)
            for op in ops
        }
        refuse_many_rows(rows, self.limit_rows)
        refuse_many_maps((op, len(parts[op]) if isinstance(op, xbar.Mvm) else 1) for op in ops)


def refuse_large_windows(module: Module, target: Target) -> None:
    """Hold what each op needs of a buffer at least to what a tile has.

    Raises:
        DoesNotFitError: It is more; all such ops are named.
    """
    capacity = target.tile.buffer_bytes
    large = [op for op in module.ops if resident_bytes(op) > capacity]
    if not large:
        return
    sizes: dict[str, int] = {}
    # The parts of a layer, and what follows it, may stand for the same nodes.
    for op in large:
        place = str(op.location) or f"%{op.output.name}"
        sizes[place] = max(sizes.get(place, 0), resident_bytes(op))
    raise DoesNotFitError(
        Diagnostic(
            f"{counted(len(sizes), 'layer')} cannot have a single window in the buffer of a tile, "
            f"which has {capacity} bytes on target '{target.name}'.",
            notes=tuple(f"{place}: {size} bytes" for place, size in sizes.items()),
            hint=f"Use a target with a larger tile.buffer_bytes: {max(sizes.values())} at least.",
        ),
        nodes=Location.joined(op.location for op in large).nodes,
    )


class _Tiles:
    """Hands out crossbars, tile after tile."""

    def __init__(self, crossbars: int) -> None:
        self.crossbars = crossbars
        self.tile, self.used = 0, 0

    @property
    def count(self) -> int:
        return self.tile + 1

    def take(self, arrays: Arrays) -> Iterator[Part]:
        """(tile, its arrays with their crossbars) for one layer."""
        # An empty tile is never skipped: what exceeds it would exceed the next one as well.
        if self.used and len(arrays) > self.crossbars - self.used:
            self.tile, self.used = self.tile + 1, 0
        first = 0
        while first < len(arrays):
            if self.used == self.crossbars:
                self.tile, self.used = self.tile + 1, 0
            part = arrays[first : first + self.crossbars - self.used]
            # The first number of an array is its crossbar, which `map` has left open.
            yield self.tile, tuple((self.used + k, *a[1:]) for k, a in enumerate(part))
            first, self.used = first + len(part), self.used + len(part)


class _Homes:
    """The results so far, each with its place in the order of execution and its tile."""

    def __init__(self) -> None:
        self.places: dict[Value, tuple[int, int]] = {}
        self.last = 0

    def add(self, value: Value, tile: int) -> None:
        """Note that a value is computed next, on a tile."""
        self.places[value] = len(self.places), tile
        self.last = tile

    def of(self, operands: Sequence[Value]) -> int:
        """The tile of the operand that is computed last; of a graph input, the first tile.

        What has no operands runs where the op before it does.
        """
        # A graph input comes before every result, and counts as if the first tile had it.
        places = [self.places.get(operand, (-1, 0)) for operand in operands]
        return max(places)[1] if places else self.last


def place_mvm(builder: Builder, op: xbar.Mvm, parts: Sequence[Part], homes: _Homes) -> None:
    """Append one mvm a tile and the additions of their partial sums, on the last tile."""
    last = parts[-1][0]
    if len(parts) == 1:
        homes.add(builder.copy(op, tile=last, arrays=parts[0][1]), last)
        return
    total: Value | None = None
    for index, (tile, arrays) in enumerate(parts):
        final = index == len(parts) - 1
        # The last part alone adds the bias: every other one would add it again.
        partial = builder.copy(op, tile=tile, arrays=arrays, bias=op.bias if final else None)
        partial.name = builder.fresh(f"{op.output.name}.part{index}")
        if total is not None:
            name = op.output.name if final else builder.fresh(f"{op.output.name}.sum{index}")
            result = Value(name, op.output.type)
            partial = builder.add(xbar.Add, [total, partial], result, op.location, tile=last)
        total = partial
    assert total is not None
    builder.mapped[op.output] = total
    homes.add(total, last)
