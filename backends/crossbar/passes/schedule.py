"""`schedule`: the order of all rows of all ops, driven by demand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from epimc.backends.crossbar.passes.rows import height, rows_read
from epimc.ir.core import Builder, Module, Op, Value
from epimc.ir.dialects import xbar
from epimc.ir.levels import PLACED, SCHEDULED
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
    producers = module.producers()
    depths = depth_of(module, producers)
    order: dict[Op, list[int]] = {op: [] for op in module.ops}
    step = 0
    wanted = [producers[value] for _, value in module.outputs if value in producers]
    # An op that no output needs still runs: the program keeps all that the module says.
    for op in (*wanted, *reversed(module.ops)):
        for y in range(len(order[op]), height(op.output)):
            for ready, row in demanded(op, y, order, producers, depths):
                if len(order[ready]) == row:
                    order[ready].append(step)
                    step += 1
    return order


def depth_of(module: Module, producers: dict[Value, Op]) -> dict[Value, int]:
    """The longest way from an input to each value, in ops."""
    depths = {value: 0 for _, value in module.inputs}
    for op in module.ops:
        depths[op.output] = 1 + max((depths[operand] for operand in op.operands), default=0)
    return depths


def demanded(
    op: Op,
    y: int,
    order: dict[Op, list[int]],
    producers: dict[Value, Op],
    depths: dict[Value, int],
) -> list[tuple[Op, int]]:
    """Rows to compute for row `y` of an op, itself last, each after what it reads.

    A row may be named twice; the first time counts.
    """
    found: list[tuple[Op, int]] = []
    # (op, row, whether what it reads is on the list already): an explicit stack, since networks
    # are deeper than Python's recursion limit.
    stack = [(op, y, False)]
    planned = {candidate: len(rows) for candidate, rows in order.items()}
    while stack:
        current, row, ready = stack.pop()
        if row < planned[current]:
            continue
        if ready:
            found.append((current, row))
            planned[current] = row + 1
            continue
        stack.append((current, row, True))
        operands = current.operands
        for index in sorted(range(len(operands)), key=lambda k: depths[operands[k]]):
            operand = operands[index]
            producer = producers.get(operand)
            if producer is None:
                continue
            needed = rows_read(current, index, row)
            last = needed[-1] if needed else -1
            # The host computes a map whole: its rows are one step after the other.
            last = height(operand) - 1 if isinstance(producer, xbar.Host) else last
            stack += [(producer, k, False) for k in range(last, planned[producer] - 1, -1)]
    return found
