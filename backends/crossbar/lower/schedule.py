"""`schedule`: the order of all rows of all ops, driven by demand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from epimc.backends.crossbar.levels import PLACED, SCHEDULED
from epimc.backends.crossbar.lower.rows import height, lines_of
from epimc.ir.core.module import Builder, Module
from epimc.ir.core.op import Op, Value
from epimc.ir.core.traits import AtOnce
from epimc.ir.pipeline import Pass


@dataclass(frozen=True)
class Schedule(Pass):
    """Compute each row as late as possible: when the row that needs it is next.

    Starting from the outputs' rows, the rows that a row reads are computed first, the operand
    that lies deepest in the network before the others, so that line buffers stay short.
    """

    name: ClassVar[str] = "schedule"
    requires: ClassVar[str] = PLACED
    ensures: ClassVar[str] = SCHEDULED

    def run(self, module: Module) -> Module:
        """Give every op the step of each of its rows."""
        order = streaming_order(module)
        builder = Builder(module, self.ensures)
        builder.inputs_of(module)
        for op in module.ops:
            builder.copy(op, order=tuple(order[op]))
        builder.outputs_of(module)
        return builder.finish()


def streaming_order(module: Module) -> dict[Op, list[int]]:
    """The step at which each op computes each of its rows; steps count from 0 over all ops."""
    demand = _Demand(module)
    producers = module.producers()
    wanted = [producers[value] for _, value in module.outputs if value in producers]
    # An op that no output needs still runs: the program keeps all that the module says.
    for op in (*wanted, *reversed(module.ops)):
        for y in range(len(demand.order[op]), height(op.output)):
            demand.row(op, y)
    return demand.order


def depth_of(module: Module) -> dict[Value, int]:
    """The longest way from an input to each value, in ops."""
    depths = {value: 0 for _, value in module.inputs}
    for op in module.ops:
        # Ops stand in execution order, so that all operands have their depths already.
        depths[op.output] = 1 + max((depths[operand] for operand in op.operands), default=0)
    return depths


class _Demand:
    """The order so far, and what one more row adds to it.

    Attributes:
        order: For each op the steps of the rows that it has computed, which are always its first.
    """

    def __init__(self, module: Module) -> None:
        self.order: dict[Op, list[int]] = {op: [] for op in module.ops}
        self.producers = module.producers()
        depths = depth_of(module)
        # For each op its computed operands, by number, with their ops and how many rows they have
        # at once; those that lie deepest in the network last.
        self.needs = {
            op: [
                (k, producer, height(producer.output) if isinstance(producer, AtOnce) else 0)
                for k in sorted(range(len(op.operands)), key=lambda k: depths[op.operands[k]])
                if (producer := self.producers.get(op.operands[k])) is not None
            ]
            for op in module.ops
        }
        self.step = 0

    def row(self, op: Op, y: int) -> None:
        """Compute row `y` of an op, after all rows that it reads and that are not there yet."""
        # (op, row, whether what it reads is there already): an explicit stack, since networks
        # are deeper than Python's recursion limit.
        stack = [(op, y, False)]
        while stack:
            current, row, ready = stack.pop()
            # Several readers may have asked for one row: the first of them got it.
            if row < len(self.order[current]):
                continue
            if ready:
                self.order[current].append(self.step)
                self.step += 1
                continue
            stack.append((current, row, True))
            line = lines_of(current)[row]
            for index, producer, at_once in self.needs[current]:
                needed = line[index]
                # The host computes a map whole: its rows are one step after the other.
                end = at_once or (needed[-1] + 1 if needed else 0)
                # Rows are computed in order: what is missing are all after those that are there.
                # The stack takes the last one first, hence descending.
                there = len(self.order[producer])
                stack += [(producer, k, False) for k in range(end - 1, there - 1, -1)]
