"""The outputs of a model: each is given once, however often the model lists it."""

from __future__ import annotations

from collections import Counter

import onnx

from epimc.support.diagnostics import shortened
from epimc.support.limits import Budget


def repeated_outputs(graph: onnx.GraphProto) -> dict[str, int]:
    """The outputs that a graph lists several times, and how often."""
    counts = Counter(output.name for output in graph.output)
    return {name: count for name, count in counts.items() if count > 1}


def listed_once(model: onnx.ModelProto, budget: Budget) -> onnx.ModelProto:
    """The model with every output once, where it stands first.

    Args:
        model: It is left as it is, and returned where there is nothing to do.
        budget: Pays for the copy.

    Raises:
        EpimcError: The limit does not leave enough for the copy.
    """
    if not repeated_outputs(model.graph):
        return model
    budget.read(model.ByteSize(), "the model with every output once")
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    once = {output.name: output for output in reversed(model.graph.output)}
    names = dict.fromkeys(output.name for output in model.graph.output)
    del copy.graph.output[:]
    copy.graph.output.extend(once[name] for name in names)
    return copy


def remarks_on_outputs(model: onnx.ModelProto) -> tuple[str, ...]:
    """What a user should know of a model's outputs, in sentences without a full stop."""
    return tuple(
        f"output '{shortened(name)}' is listed {count} times, and given once"
        for name, count in repeated_outputs(model.graph).items()
    )
