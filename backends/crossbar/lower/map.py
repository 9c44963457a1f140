"""`map`: integer epitomes onto crossbar arrays: row blocks, bit slices, activation rounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from epimc.backends.crossbar import dialect as xbar
from epimc.backends.crossbar.levels import HOST_OUTPUTS, MAPPED
from epimc.backends.crossbar.lower.counting import (
    block_rows,
    geometry_of,
    mapped,
    matrix_of,
    pack_groups,
    physical_columns,
    refuse_mapping,
)
from epimc.backends.crossbar.lower.lowering import instruction_of
from epimc.backends.crossbar.lower.work import refuse_many_arrays
from epimc.backends.crossbar.target.schema import Crossbar, Target
from epimc.ir.core.dispatch import OpTable
from epimc.ir.core.levels import QUANTIZED
from epimc.ir.core.module import Builder, Module
from epimc.ir.core.module_attributes import TARGET
from epimc.ir.core.op import Op, Value
from epimc.ir.core.traits import Border, FromHost, PicksResult
from epimc.ir.dialects import epi, host
from epimc.ir.epitome import plan
from epimc.ir.pipeline import Pass
from epimc.ir.text.printer import refused
from epimc.support.diagnostics import error


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
        builder = MapBuilder(module, self.ensures)
        refuse_many_arrays_of(module, target.crossbar)
        for name, value in module.inputs:
            if value.type.is_host:
                builder.input(name, value)
        for op in module.ops:
            on_crossbars.apply(op, builder, module, target.crossbar)
        # In the order of the module: what the chip takes was met at its border.
        order = {name: number for number, (name, _) in enumerate(module.inputs)}
        builder.module.inputs.sort(key=lambda entry: order[entry[0]])
        set_outputs(builder, module)
        return builder.finish()


class MapBuilder(Builder):
    """The module in the making.

    Attributes:
        makers: The op of each value of the old module that is no input.
    """

    def __init__(self, module: Module, level: str) -> None:
        super().__init__(module, level)
        self.makers = module.producers()


def set_outputs(builder: MapBuilder, module: Module) -> None:
    """The outputs, those of the host as results of their calls."""
    makers, results = builder.makers, []
    for name, value in module.outputs:
        source, number = host_result(value, makers) if value.type.is_host else (value, CHIP)
        builder.module.outputs.append((name, builder.mapped[source]))
        results.append((number, value.type.host))
    if any(number != CHIP for number, _ in results):
        builder.module.attributes[HOST_OUTPUTS] = tuple(results)


CHIP = -1


def host_result(value: Value, makers: Mapping[Value, Op]) -> tuple[Value, int]:
    """What a value of the host is a result of, a call or an input, and which one."""
    maker = makers.get(value)
    if isinstance(maker, FromHost):
        return host_result(maker.operands[0], makers)
    if not isinstance(maker, PicksResult):
        return value, 0
    return maker.operands[0], maker.index


on_crossbars: OpTable[[Builder, Module, Crossbar], None] = OpTable("form on crossbars")
"""Appends what an op of a quantized module is on crossbars, and maps its result to that."""


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


def refuse_many_arrays_of(module: Module, crossbar: Crossbar) -> None:
    """Count the arrays of all layers before any is made.

    Raises:
        EpimcError: They are more than a program may have.
    """
    arrays = 0
    for op in module.ops:
        arrays += arrays_of.apply(op, module, crossbar)
        refuse_many_arrays(op, arrays)


arrays_of: OpTable[[Module, Crossbar], int] = OpTable("count of arrays")
"""How many arrays an op takes."""


@arrays_of(Op)
def no_arrays(op: Op, module: Module, crossbar: Crossbar) -> int:
    """Only layers take arrays."""
    del op, module, crossbar
    return 0


@arrays_of(epi.Conv)
def arrays_of_layer(op: epi.Conv, module: Module, crossbar: Crossbar) -> int:
    """Those of its epitome."""
    stored = module.tensors[op.epitome.name].type
    eo, ei, eh, ew = stored.shape
    matrix = matrix_of((eo, ei, eh, ew), op.groups)
    return mapped(matrix, stored.bits, geometry_of(crossbar))


@on_crossbars(FromHost)
def map_real(op: FromHost, builder: Builder, module: Module, crossbar: Crossbar) -> None:
    """Whoever quantizes it names the call and the number of the result."""


@on_crossbars(host.ResultOf)
def map_result(op: host.ResultOf, builder: Builder, module: Module, crossbar: Crossbar) -> None:
    """Whoever reads it names the call and the number of the result."""


@on_crossbars(host.Call)
def map_call(op: host.Call, builder: Builder, module: Module, crossbar: Crossbar) -> None:
    """The call, over activations and over results of others."""
    assert isinstance(builder, MapBuilder)
    makers = builder.makers
    sources, results = [], []
    for operand in op.operands:
        maker = makers.get(operand)
        if isinstance(maker, Border) and not maker.inward:
            source, number = maker.operands[0], CHIP
        else:
            source, number = host_result(operand, makers)
        sources.append(builder.mapped[source])
        results.append(number)
    builder.emit(
        xbar.Host,
        sources,
        op.output,
        op.location,
        op.output.type,
        fragment=op.fragment,
        results=tuple(results),
    )


@on_crossbars(Border)
def map_border(op: Border, builder: Builder, module: Module, crossbar: Crossbar) -> None:
    """The border is the host's: activations become the inputs and outputs of the module."""
    (x,) = op.operands
    assert isinstance(builder, MapBuilder)
    maker = builder.makers.get(x) if op.inward else None
    if isinstance(maker, FromHost):
        source, number = host_result(maker.operands[0], builder.makers)
        builder.emit(
            xbar.Enter,
            [builder.mapped[source]],
            op.output,
            op.location,
            op.output.type,
            shape=op.output.type.shape,
            results=(number,),
        )
    elif op.inward:
        (name,) = (name for name, value in module.inputs if value is x)
        builder.input(name, op.output)
    else:
        builder.mapped[op.output] = builder.mapped[x]


@on_crossbars(Op)
def map_alike(op: Op, builder: Builder, module: Module, crossbar: Crossbar) -> None:
    """The same over the same operands, as an op of dialect `xbar`."""
    kind = counterpart(op)
    instruction = instruction_of(kind)
    if len(op.operands) > instruction.most_sources:
        raise refused(
            op,
            f"{op.name} has {len(op.operands)} operands, and "
            f"instruction '{instruction.name}' takes {instruction.most_sources} at most.",
            hint="Split the operator in the model into several.",
        )
    operands = [builder.mapped[operand] for operand in op.operands]
    attributes = kind.attributes_of(op)
    builder.emit(kind, operands, op.output, op.location, op.output.type, **attributes)


def counterpart(op: Op) -> type[xbar.XbarOp]:
    """The op of dialect `xbar` that says of itself that it stands for an op.

    Raises:
        EpimcError: There is none.
    """
    # The ops say themselves what they stand for: an op of another module needs no entry here.
    for kind in xbar.DIALECT.ops:
        if issubclass(kind, xbar.XbarOp) and type(op) in kind.lowers:
            return kind
    raise refused(op, f"Op {op.name} has no form on crossbars.")


@on_crossbars(epi.Conv)
def map_conv(op: epi.Conv, builder: Builder, module: Module, crossbar: Crossbar) -> None:
    """Append the mvm over all arrays of one layer."""
    stored = module.tensors[op.epitome.name].type
    refuse_mapping(crossbar.mapping, stored.bits, str(op.location))
    eo, ei, eh, ew = stored.shape
    _, _, kh, kw = op.shape
    matrix = matrix_of((eo, ei, eh, ew), op.groups)
    builder.emit(
        xbar.Mvm,
        [builder.mapped[op.x]],
        op.output,
        op.location,
        None,
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
        # The last pack may hold fewer groups than the others.
        count = min(pack, groups - first)
        rows = count * matrix.rows
        # A pack has one reference column at most, however many groups it holds.
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
