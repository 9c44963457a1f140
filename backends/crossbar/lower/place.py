"""`place`: crossbar groups onto tiles; a layer that exceeds a tile is split and added up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from epimc.backends.base import DoesNotFitError
from epimc.backends.crossbar import dialect as xbar
from epimc.backends.crossbar.levels import MAPPED, PLACED, TILES
from epimc.backends.crossbar.lower.allocate import fit_buffers
from epimc.backends.crossbar.lower.liveness import Liveness
from epimc.backends.crossbar.lower.map import target_of
from epimc.backends.crossbar.lower.rows import line_bytes, resident_bytes
from epimc.backends.crossbar.lower.schedule import Schedule
from epimc.backends.crossbar.lower.tiles import Part, Placement, placement
from epimc.backends.crossbar.lower.work import (
    DEFAULT_ROWS,
    refuse_many_maps,
    refuse_many_rows,
    rows_of,
    rows_of_parts,
)
from epimc.backends.crossbar.target.schema import Target
from epimc.ir.core.module import Builder, Module
from epimc.ir.core.op import Op, Value
from epimc.ir.pipeline import Pass
from epimc.support.diagnostics import Diagnostic, counted, error
from epimc.support.options import Option


@dataclass(frozen=True)
class Place(Pass):
    """Fill tiles with the layers in execution order.

    A layer that does not fit into what is left of a tile starts a new one; a layer larger than a
    tile takes several, and its partial sums are sent to the last of them and added there.  Every
    other op runs where its last operand is computed.  Where a tile's buffer has too little room for
    all that it has to do, layers start new tiles and ops go to them sooner.

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
        crossbars, room, limit = target.tile.crossbars, target.tile.buffer_bytes, target.chip.tiles
        best = placement(module, crossbars)
        self._refuse_too_much(module, best.parts)
        if limit != "auto" and best.count > limit:
            raise error(
                f"The model needs {best.count} tiles, target '{target.name}' has {limit}.",
                hint='Use fewer weight bits, a target with more tiles, or chip.tiles = "auto".',
            )
        placed = self._placed(module, best)
        refuse_large_windows(placed, target)
        if is_crowded(placed, room):
            roomy = placement(module, crossbars, room)
            if limit == "auto" or roomy.count <= limit:
                return self._placed(module, roomy)
        return placed

    def _placed(self, module: Module, where: Placement) -> Module:
        """The module with its ops where they are to be."""
        builder = Builder(module, self.ensures)
        builder.inputs_of(module)
        for op in module.ops:
            if op in where.parts:
                assert isinstance(op, xbar.Mvm)
                place_mvm(builder, op, where.parts[op])
            else:
                builder.copy(op, tile=where.tiles[op])
        builder.module.attributes[TILES] = where.count
        builder.outputs_of(module)
        return builder.finish()

    def _refuse_too_much(self, module: Module, parts: Mapping[Op, Sequence[Part]]) -> None:
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
    reasons = {
        node: f"a single window of it takes {resident_bytes(op)} bytes of a buffer of {capacity}"
        for op in large
        for node in op.location.nodes
    }
    raise DoesNotFitError(
        Diagnostic(
            f"{counted(len(sizes), 'layer')} cannot have a single window in the buffer of a tile, "
            f"which has {capacity} bytes on target '{target.name}'.",
            notes=tuple(f"{place}: {size} bytes" for place, size in sizes.items()),
            hint=f"Use a target with a larger tile.buffer_bytes: {max(sizes.values())} at least.",
        ),
        reasons=reasons,
    )


def is_crowded(module: Module, room: int) -> bool:
    """Whether tiles of a placed module have more to do at once than their buffers have room for.

    Then ops would be direct that have room enough by themselves.
    """
    loads: dict[int, int] = defaultdict(int)
    for op in module.ops:
        assert isinstance(op, xbar.XbarOp)
        loads[op.tile] += line_bytes(op)
    # Most tiles have room for all their line buffers at once, whatever the schedule.
    if max(loads.values(), default=0) <= room:
        return False
    return fit_buffers(Liveness(Schedule().run(module)), room).crowded


def place_mvm(builder: Builder, op: xbar.Mvm, parts: Sequence[Part]) -> None:
    """Append one mvm a tile and the additions of their partial sums, on the last tile."""
    last = parts[-1][0]
    if len(parts) == 1:
        builder.copy(op, tile=last, arrays=parts[0][1])
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
