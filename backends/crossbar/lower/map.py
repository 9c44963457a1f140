"""`map`: integer epitomes onto crossbar arrays: row blocks, bit slices, activation rounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from epimc.backends.crossbar import dialect as xbar
from epimc.backends.crossbar.levels import MAPPED
from epimc.backends.crossbar.lower.counting import (
    block_rows,
    geometry_of,
    matrix_of,
    pack_groups,
    physical_columns,
)
from epimc.backends.crossbar.target.schema import Crossbar, Target
from epimc.ir.core.levels import QUANTIZED
from epimc.ir.core.module import Builder, Module
from epimc.ir.core.module_attributes import TARGET
from epimc.ir.core.op import Op, Value
from epimc.ir.dialects import epi, moves, nn
from epimc.ir.epitome import plan
from epimc.ir.pipeline import Pass
from epimc.support.diagnostics import error

KINDS: Mapping[type[Op], type[Op]] = {
    epi.Requantize: xbar.Requantize,
    epi.SumPool: xbar.Pool,
    nn.MaxPool: xbar.Pool,
    epi.Multiply: xbar.Multiply,
    epi.LookUp: xbar.LookUp,
    moves.Concat: xbar.Concat,
    moves.Select: xbar.Select,
    moves.Constant: xbar.Constant,
    moves.Pad: xbar.Pad,
    nn.Rearrange: xbar.Rearrange,
    epi.Host: xbar.Host,
}
POOLS: Mapping[type[Op], str] = {epi.SumPool: "sum", nn.MaxPool: "max"}


@dataclass(frozen=True)
class Map(Pass):
    """Cut every epitome into arrays of the target and hand the border to the host.

    Rows are cut at whole channels where a channel's Eh*Ew rows fit into an array.  The bit slices
    of a column lie side by side, so a column may straddle two arrays; the reference column of the
    `offset` mapping comes last.  Groups of a convolution share an array, block-diagonally, as far
    as they fit (a pack); a group that does not fit is cut like a layer by itself.
    """

    name: ClassVar[str] = "map"
    requires: ClassVar[str] = QUANTIZED
    ensures: ClassVar[str] = MAPPED

    def run(self, module: Module) -> Module:
        """Rewrite every op to its counterpart of dialect `xbar`."""
        target = target_of(module)
        builder = Builder(module, self.ensures)
        names = {value: name for name, value in module.inputs}
        for op in module.ops:
            if isinstance(op, epi.Quantize):
                builder.input(names[op.x], op.output)
            elif isinstance(op, epi.Dequantize):
                builder.mapped[op.output] = builder.mapped[op.x]
            elif isinstance(op, epi.Conv):
                map_conv(builder, module, op, target.crossbar)
            else:
                change_level(builder, op)
        builder.outputs_of(module)
        return builder.finish()


def target_of(module: Module) -> Target:
    """The target that the module carries.

    Raises:
        EpimcError: It carries none, or a wrong one.
    """
    described = module.attributes.get(TARGET)
    if not isinstance(described, dict):
        raise error(
            f"Module '{module.name}' names no target.",
            hint="Declare it: attribute target = {…}, the keys of a target file.",
        )
    return Target.from_dict(described, f"The target of module '{module.name}'")


def change_level(builder: Builder, op: Op) -> None:
    """The op over the same operands under its name in dialect `xbar`."""
    attributes: dict[str, Any] = dict(op.attributes)
    if type(op) in POOLS:
        attributes["kind"] = POOLS[type(op)]
    old = op.output
    builder.mapped[old] = builder.add(
        KINDS[type(op)],
        [builder.mapped[operand] for operand in op.operands],
        Value(old.name, old.type, old.range),
        op.location,
        **attributes,
    )


def map_conv(builder: Builder, module: Module, op: epi.Conv, crossbar: Crossbar) -> None:
    """Append the mvm over all arrays of one layer."""
    stored = module.tensors[op.epitome.name].type
    eo, ei, eh, ew = stored.shape
    _, _, kh, kw = op.shape
    matrix = matrix_of((eo, ei, eh, ew), op.groups)
    old = op.output
    builder.mapped[old] = builder.add(
        xbar.Mvm,
        [builder.mapped[op.x]],
        Value(old.name, old.type),
        op.location,
        epitome=op.epitome,
        bias=op.bias,
        channels=op.shape[0],
        weight_bits=stored.bits,
        cell_bits=crossbar.cell_bits,
        mapping=crossbar.mapping,
        kernel=(kh, kw),
        pack=pack_groups(matrix, stored.bits, geometry_of(crossbar)),
        rounds=tuple(plan.ROUNDS.dump(plan.rounds(op.plan, (eo, ei, eh, ew), (kh, kw), op.groups))),
        arrays=cut((eo, ei, eh, ew), stored.bits, crossbar, op.groups),
        **{key: op.attributes[key] for key in ("groups", "strides", "pads", "dilations")},
    )


def cut(
    epitome: plan.Shape, weight_bits: int, crossbar: Crossbar, groups: int = 1
) -> list[tuple[int, ...]]:
    """The arrays of an epitome: (crossbar, row, rows, column, columns), not placed yet.

    Every pack of groups is cut for itself; its rows and physical columns follow those of the last.
    """
    matrix, geometry = matrix_of(epitome, groups), geometry_of(crossbar)
    block, pack = block_rows(matrix, geometry), pack_groups(matrix, weight_bits, geometry)
    arrays: list[tuple[int, ...]] = []
    top = left = 0
    for first in range(0, groups, pack):
        count = min(pack, groups - first)
        rows = count * matrix.rows
        columns = physical_columns(count * matrix.columns, weight_bits, geometry)
        arrays += [
            (
                xbar.UNPLACED,
                top + row,
                min(block, rows - row),
                left + column,
                min(geometry.columns, columns - column),
            )
            for row in range(0, rows, block)
            for column in range(0, columns, geometry.columns)
        ]
        top, left = top + rows, left + columns
    return arrays
