"""What is made of a model before its nodes are looked at: no functions, nothing sparse."""

from __future__ import annotations

import onnx

from epimc.frontend.model.functions import inlined
from epimc.frontend.model.scopes import refuse_deep
from epimc.frontend.model.sparse import dense_tensor
from epimc.support.limits import Budget


def prepared(model: onnx.ModelProto, budget: Budget) -> onnx.ModelProto:
    """A model that means the same, whose functions are inlined and whose tensors are dense.

    Args:
        model: That has passed ONNX's checker; it is left as it is, and returned where there is
            nothing to do.
        budget: What pays for what is added.

    Raises:
        EpimcError: It nests graphs too deep, its functions cannot be inlined, or a sparse tensor is
            damaged or too large.
    """
    refuse_deep(model.graph)
    if not model.functions and not model.graph.sparse_initializer:
        return model
    result = inlined(model, budget) if model.functions else onnx.ModelProto()
    if not model.functions:
        result.CopyFrom(model)
    del result.functions[:]
    del result.graph.initializer[:]
    del result.graph.sparse_initializer[:]
    result.graph.initializer.extend(model.graph.initializer)
    for sparse in model.graph.sparse_initializer:
        result.graph.initializer.append(dense_tensor(sparse, budget))
    return result
