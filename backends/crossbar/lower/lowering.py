"""What instructions need of a compiled module to make their tables of its ops."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.backends.crossbar import dialect as xbar
from epimc.backends.crossbar.core.program import (
    ACCUMULATOR,
    NO_ADDRESS,
    TOKEN,
    FeatureMap,
    activation_element,
)
from epimc.backends.crossbar.instructions.computing import Computing
from epimc.backends.crossbar.instructions.registry import BY_OP
from epimc.backends.crossbar.instructions.table import Table
from epimc.ir.core.attributes import Ref
from epimc.ir.core.module import Module
from epimc.ir.core.op import Op, Value
from epimc.ir.core.types import as_map
from epimc.ir.semantics.arrays import Ints
from epimc.support.origins import Nodes


def instruction_of(op: Op | type[Op]) -> type[Table]:
    """The instruction that executes an op."""
    kind = BY_OP[op.name]
    assert issubclass(kind, Table), kind
    return kind


def feature_map(value: Value, address: int = NO_ADDRESS, nodes: Nodes = ()) -> FeatureMap:
    """A value as the program knows it; what the host alone knows as a token."""
    place = address if address >= 0 else NO_ADDRESS
    if value.type.is_host:
        return FeatureMap(value.name, (1, 1, 1), TOKEN, address=place, nodes=nodes)
    # Accumulators have neither bits nor a scale of their own: the requantization has their steps.
    kept = value.type.element != ACCUMULATOR
    return FeatureMap(
        name=value.name,
        shape=as_map(value.type.shape),
        element=activation_element(value.type.bits) if kept else ACCUMULATOR,
        bits=value.type.bits if kept else 0,
        zero_point=value.type.zero_point,
        address=place,
        nodes=nodes,
        scale=value.type.step if kept else 0.0,
    )


class ModuleLowering:
    """The tables of a module's ops, whose values are numbered as its feature maps are."""

    def __init__(self, module: Module) -> None:
        """Number the values: the inputs, then the results in order."""
        self.module = module
        self.numbers = {value: number for number, value in enumerate(module.values())}
        self._matrices: dict[tuple[str, int], NDArray[Any]] = {}

    def table(self, op: Op) -> Table:
        """The table of an op."""
        return instruction_of(op).of(op, self).finished()

    def sources(self, op: Op) -> tuple[int, ...]:
        """The maps of an op's operands, by number."""
        return tuple(self.numbers[operand] for operand in op.operands)

    def destination(self, op: Op) -> int:
        """The map of an op's result."""
        return self.numbers[op.output]

    def map_shape(self, op: Op) -> tuple[int, int, int]:
        """[C, H, W] of an op's result."""
        return as_map(op.output.type.shape)

    def array(self, ref: Ref, shape: tuple[int, ...] | None = None) -> Ints:
        """A stored tensor, as int64, perhaps cut anew."""
        values: Ints = self.module.tensor(ref).astype(np.int64, copy=False)
        return values if shape is None else values.reshape(shape)

    def matrix(self, op: xbar.Mvm) -> NDArray[Any]:
        """The matrix [groups * rows, Eo] of an epitome; the parts of a layer share theirs."""
        key = op.epitome.name, op.groups
        if key not in self._matrices:
            epitome = self.module.tensor(op.epitome)
            columns, rows = len(epitome) // op.groups, epitome[0].size
            blocks = epitome.reshape(op.groups, columns, rows).transpose(0, 2, 1)
            self._matrices[key] = np.ascontiguousarray(blocks).reshape(-1, columns)
        return self._matrices[key]


class RowsOnly:
    """One op by itself, for which rows it reads: its numbers do not matter, and are not there.

    Its operands are maps 0, 1, ..., its result is the last.
    """

    def __init__(self, op: Op) -> None:
        """Ask the instruction that executes the op which rows it reads."""
        self._maps = tuple(feature_map(value) for value in (*op.operands, op.output))
        self._table = instruction_of(op).of(op, self)

    @cached_property
    def lines(self) -> list[Sequence[Sequence[int]]]:
        """For each row of the result, and each operand, the rows that are read, ascending."""
        return self._table.source_rows(self._maps).lines

    @property
    def window_bytes(self) -> int:
        """Bytes of a buffer that it takes to compute the op off chip; 0 where the host does."""
        table = self._table
        return table.window_bytes(self._maps) if isinstance(table, Computing) else 0

    def sources(self, op: Op) -> tuple[int, ...]:
        """The maps of an op's operands, by number."""
        return tuple(range(len(op.operands)))

    def destination(self, op: Op) -> int:
        """The map of an op's result."""
        return len(op.operands)

    def map_shape(self, op: Op) -> tuple[int, int, int]:
        """[C, H, W] of an op's result."""
        return as_map(op.output.type.shape)

    def array(self, ref: Ref, shape: tuple[int, ...] | None = None) -> Ints:
        """An empty array in the place of the numbers, whatever its shape."""
        return np.zeros(0, np.int64)

    def matrix(self, op: Op) -> NDArray[Any]:
        """An empty matrix in the place of the weights."""
        return np.zeros((0, 0), np.int8)
