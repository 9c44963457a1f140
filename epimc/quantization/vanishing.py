"""What users get joined from parts of very different sizes, of which the small ones would vanish.

One scale for all of an output that holds coordinates of hundreds and scores below 1 leaves nothing
of the scores.  Joined by the host, each part keeps the scale of its own, and the chip has less to
do.  (Between layers a part is made larger instead: `calibration/balancing.py`.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from epimc.ir.core.op import Op, Value
from epimc.ir.core.traits import Joins, Moves
from epimc.ir.text.printer import shown_op
from epimc.support.diagnostics import Diagnostic, RefusedNodesError, clause

# How many times smaller than what it is joined with a part may be: of 8 bits it keeps two.
MOST_TIMES = 64.0


def refuse_vanishing(op: Joins, uses: Mapping[Value, Sequence[Op | None]], bits: int) -> None:
    """Raise RefusedNodesError for a join that is an output, and of which a part would vanish.

    Args:
        op: Of a calibrated module.
        uses: The readers of its values.
        bits: Of an activation.
    """
    behind = moves_to_outputs(op.output, uses)
    # Of a node that computes more than this, the host would have to do more than join.
    if behind is None or {kind for kind, _ in op.location.nodes} != {"Concat"}:
        return
    joined = extent(op.output)
    small = [part for part in op.operands if 0.0 < extent(part) * MOST_TIMES < joined]
    if not small:
        return
    least = min(small, key=extent)
    levels = 1 + int(extent(least) / joined * (2**bits - 1))
    message = f"Its part %{least.name} would be left with {levels} of {2**bits} levels."
    nodes = [node for each in (op, *behind) for node in each.location.nodes]
    diagnostic = Diagnostic(message, op.span or str(op.location), (shown_op(op),))
    raise RefusedNodesError(diagnostic, reasons=dict.fromkeys(nodes, clause(message)))


def extent(value: Value) -> float:
    """The length of the range of a calibrated value, 0 among it."""
    assert value.range is not None
    return max(value.range[1], 0.0) - min(value.range[0], 0.0)


def moves_to_outputs(value: Value, uses: Mapping[Value, Sequence[Op | None]]) -> list[Op] | None:
    """The ops that move a value on to outputs; None where anything else reads it."""
    behind: list[Op] = []
    pending = [value]
    while pending:
        for reader in uses[pending.pop()]:
            if isinstance(reader, Moves):
                behind.append(reader)
                pending.append(reader.output)
            elif reader is not None:
                return None
    return behind
