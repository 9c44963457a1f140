"""How much memory the values of a module take: those that are alive at once, for one sample."""

from __future__ import annotations

from epimc.ir.core.module import Module
from epimc.ir.core.op import Op, Value
from epimc.support.diagnostics import Span
from epimc.support.limits import Budget

# Of an element that an op makes for itself.
SCRATCH_BYTES = 4


def most_alive(module: Module) -> tuple[int, Op | None]:
    """The most bytes that values take at once in one sample, with what the op there needs itself.

    Args:
        module: Verified, or at least in order: every value is made before it is read.

    Returns:
        The bytes, and the op that is computed then; None: the inputs alone are the most.
    """
    # The last reader stands: later entries replace earlier ones.
    last = {operand: index for index, op in enumerate(module.ops) for operand in op.operands}
    kept = {value for _, value in module.outputs}
    alive = sum(value.type.nbytes for _, value in module.inputs)
    most: tuple[int, Op | None] = (alive, None)
    for index, op in enumerate(module.ops):
        alive += op.output.type.nbytes
        needed = alive + SCRATCH_BYTES * op.scratch(module.stored)
        if needed > most[0]:
            most = needed, op
        behind: set[Value] = {value for value in op.operands if last[value] == index} - kept
        alive -= sum(value.type.nbytes for value in behind)
    return most


def refuse_large_maps(module: Module, budget: Budget) -> None:
    """Take the bytes of the values that are alive at once, as they are made by whatever runs them.

    Raises:
        EpimcError: So many are not left: at the op where they are the most.
    """
    needed, op = most_alive(module)
    where: Span | str = "" if op is None else op.span or str(op.location)
    budget.make(needed, "what is alive at once of one sample", where)
