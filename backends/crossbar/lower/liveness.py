"""The ring buffers that a scheduled module needs, and when each of their rows is in use."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from epimc.backends.crossbar.dialect import XbarOp
from epimc.backends.crossbar.lower.rows import Span, reads
from epimc.ir.core.module import Module
from epimc.ir.core.op import Op, Value
from epimc.ir.core.traits import AtOnce

Reader = tuple[XbarOp, int]
"""(op, index of an operand)."""


@dataclass(frozen=True)
class Region:
    """A ring buffer: of a value on a tile, or the line buffer of one operand of one op."""

    tile: int
    value: Value
    reader: tuple[Op, int] | None = None

    @staticmethod
    def of_result(op: XbarOp) -> Region:
        """Where an op writes its rows."""
        return Region(op.tile, op.output)


class Liveness:
    """When each row is computed and read, from the schedule."""

    def __init__(self, module: Module) -> None:
        """Read the schedule of a placed and scheduled module."""
        self.ops = [op for op in module.ops if isinstance(op, XbarOp)]
        self.inputs = [value for _, value in module.inputs]
        self.homes = {op.output: op for op in self.ops}
        self.readers: dict[Value, list[Reader]] = {value: [] for value in module.values()}
        for op in self.ops:
            for index, operand in enumerate(op.operands):
                self.readers[operand].append((op, index))

    @cached_property
    def read_spans(self) -> dict[tuple[Op, int], dict[int, Span]]:
        """For each operand of each op the rows that it reads, and when."""
        return {(op, k): reads(op, k, op.order) for op in self.ops for k in range(len(op.operands))}

    def for_the_host(self) -> frozenset[Value]:
        """What the host reads and writes, which lies off chip in any case."""
        calls = [op for op in self.ops if isinstance(op, AtOnce)]
        read = {operand for op in calls for operand in op.operands}
        return frozenset(read | {op.output for op in calls}) - frozenset(self.inputs)

    def regions(
        self, value: Value, *, spilled: bool, direct: Collection[Op] = ()
    ) -> Iterator[tuple[Region, dict[int, Span]]]:
        """All ring buffers of a value with the life of their rows; an input is always off chip.

        Those of `direct` ops have no rings: of one that is a home, the region is what it has of
        the buffer.
        """
        home = self.homes.get(value)
        # No op computes it: an input of the module, which the user puts off chip.
        if home is None:
            yield from self.line_buffers(value, direct)
        elif spilled:
            # A row is stored off chip as soon as it is computed; the host's never lies on a tile.
            if not isinstance(home, AtOnce):
                spans = {row: (step, step) for row, step in enumerate(home.order)}
                yield Region.of_result(home), spans
            yield from self.line_buffers(value, direct)
        else:
            # The tile of the op has a ring even where nobody reads there: the row is computed in
            # it.
            readers: dict[int, list[Reader]] = {home.tile: []}
            for op, index in self.readers[value]:
                readers.setdefault(op.tile, []).append((op, index))
            for tile in sorted(readers):
                yield Region(tile, value), self.ring_spans(home, tile, readers[tile])

    def ring_spans(self, home: XbarOp, tile: int, readers: Sequence[Reader]) -> dict[int, Span]:
        """For each row that a tile holds: from its computation to its last reader there.

        The tile that computes the value holds every row; another one those that it reads.
        """
        order = home.order
        at_home = tile == home.tile
        spans = {row: (step, step) for row, step in enumerate(order)} if at_home else {}
        for reader in readers:
            for row, (_, last) in self.read_spans[reader].items():
                # Room is taken from the computation on, also on another tile, which gets the row at
                # that step.
                kept = max(spans[row][1], last) if row in spans else last
                spans[row] = order[row], kept
        return spans

    def off_chip_of(self, op: XbarOp) -> frozenset[Value]:
        """What must be spilled for an op to have no rings: all that it reads and writes."""
        return frozenset([*op.operands, op.output]) - frozenset(self.inputs)

    def line_buffers_of(self, op: XbarOp) -> Iterator[tuple[Region, dict[int, Span]]]:
        """What an op needs of its buffer where all that it reads and writes is spilled."""
        for index, operand in enumerate(op.operands):
            yield Region(op.tile, operand, (op, index)), self.read_spans[op, index]
        yield Region.of_result(op), {row: (step, step) for row, step in enumerate(op.order)}

    def line_buffers(
        self, value: Value, direct: Collection[Op] = ()
    ) -> Iterator[tuple[Region, dict[int, Span]]]:
        """One buffer a reader of a value that lies off chip; the host, and `direct`, need none."""
        for op, index in self.readers[value]:
            if not isinstance(op, AtOnce) and op not in direct:
                yield Region(op.tile, value, (op, index)), self.read_spans[op, index]
