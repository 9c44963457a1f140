"""The outputs of a model: what is listed several times has a name of its own each time."""

from __future__ import annotations

from collections import Counter

import onnx
from onnx import helper

from epimc.frontend.model.copies import paid_copy
from epimc.frontend.model.scopes import all_names, fresh_names
from epimc.support.diagnostics import shortened
from epimc.support.limits import Budget


def repeated_outputs(graph: onnx.GraphProto) -> dict[str, int]:
    """The outputs that a graph lists several times, and how often."""
    counts = Counter(output.name for output in graph.output)
    return {name: count for name, count in counts.items() if count > 1}


def named_apart(model: onnx.ModelProto, budget: Budget) -> onnx.ModelProto:
    """The model with as many outputs, of which no two have one name.

    Args:
        model: It is left as it is, and returned where there is nothing to do.
        budget: Pays for the copy.

    Raises:
        EpimcError: The limit does not leave enough for the copy.
    """
    if not repeated_outputs(model.graph):
        return model
    copy = paid_copy(model, budget, "the model with a name for every output")
    fresh = fresh_names(all_names(copy.graph))
    seen: set[str] = set()
    for output in copy.graph.output:
        name = output.name
        if name in seen:
            output.name = fresh(name)
            copy.graph.node.append(helper.make_node("Identity", [name], [output.name]))
        seen.add(name)
    return copy


def remarks_on_outputs(model: onnx.ModelProto) -> tuple[str, ...]:
    """What a user should know of a model's outputs, in sentences without a full stop."""
    return tuple(
        f"output '{shortened(name)}' is listed {count} times: each has a name of its own"
        for name, count in repeated_outputs(model.graph).items()
    )
