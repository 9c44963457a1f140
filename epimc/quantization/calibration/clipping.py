"""Which values may be clipped: those that only the chip reads, and that it keeps by themselves."""

from __future__ import annotations

from epimc.ir.core.module import Module
from epimc.ir.core.op import Value
from epimc.ir.core.traits import CallsHost, Clips, FromHost, Moves


def clipped_values(module: Module) -> set[Value]:
    """The values for which an observer chooses a range; others keep all that they were.

    Args:
        module: On reals.
    """
    kept, uses = border_values(module), module.uses()
    # A sum before a relu is rounded behind it: its own range counts for nothing.
    passed = {
        v for v, readers in uses.items() if len(readers) == 1 and isinstance(readers[0], Clips)
    }
    return {value for value in module.values() if value not in kept | passed}


def border_values(module: Module) -> set[Value]:
    """What comes in, and what goes out: to the host, too.

    Whoever reads an output expects its largest elements, and a classifier's are what counts; that
    there are few of them tells nothing.  What only moves an activation on leaves its type as it is,
    so that what is moved to the border counts, too.
    """
    kept = {value for _, value in (*module.inputs, *module.outputs)}
    for op in reversed(module.ops):
        if isinstance(op, CallsHost):
            kept.update(op.operands)
        if isinstance(op, FromHost):
            kept.add(op.output)
        if isinstance(op, Moves) and op.output in kept:
            kept.update(op.operands)
    return kept
