"""Inputs of a model that are parameters of its operators: a chip must know them beforehand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from epimc.frontend.core.operator import lookup
from epimc.frontend.core.steps import Step
from epimc.frontend.model.standard import DEFAULT_DOMAINS
from epimc.support.diagnostics import shortened


def parameters_of(inputs: Sequence[str], steps: Iterable[Step]) -> tuple[str, ...]:
    """The inputs that nodes read as nothing but parameters of their operators."""
    positions: dict[str, list[bool]] = {name: [] for name in inputs}
    for step in steps:
        record = lookup(step.proto.op_type) if step.proto.domain in DEFAULT_DOMAINS else None
        listed = [*step.proto.input]
        for name in step.reads:
            if name in positions:
                numbers = [k for k, read in enumerate(listed) if read == name]
                known = record.parameters if record else ()
                # Graphs of a node read what is not among its inputs.
                positions[name].append(bool(numbers) and {*numbers} <= {*known})
    return tuple(name for name, read in positions.items() if read and all(read))


def remarks_on_parameters(names: Sequence[str]) -> Iterator[str]:
    """What a user can do for inputs that are parameters of operators."""
    if names:
        rest = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield (
            f"input '{shortened(names[0])}'{rest} must be known as the chip is programmed: fixed "
            "by --constant NAME=VALUE, more of the model may be on it"
        )
