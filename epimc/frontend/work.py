"""What evaluating a constant node takes, and whether it gives the same each time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx

from epimc.frontend.core.bindings import Array
from epimc.frontend.model.standard import DEFAULT_DOMAINS

# The most steps that all constant nodes of a model take together: of integers, some seconds.
MOST_STEPS = 2**33

# Operators of ONNX that read an input more than a few times: at most once for each result.
PRODUCTS = frozenset(
    (
        "Attention",
        "AveragePool",
        "CausalConvWithState",
        "Col2Im",
        "Conv",
        "ConvInteger",
        "ConvTranspose",
        "DFT",
        "DeformConv",
        "Det",
        "Einsum",
        "GRU",
        "GridSample",
        "LRN",
        "LSTM",
        "LinearAttention",
        "LpPool",
        "MaxPool",
        "MaxRoiPool",
        "MaxUnpool",
        "MelWeightMatrix",
        "NonMaxSuppression",
        "QLinearConv",
        "RNN",
        "Resize",
        "RoiAlign",
        "STFT",
        "TfIdfVectorizer",
        "Upsample",
    )
)

# Products of matrices: each result is a sum over one axis of an input.
MATRICES = frozenset(("Gemm", "MatMul", "MatMulInteger", "QLinearMatMul"))

# In other domains, what random operators have in their names.
RANDOM = ("Random", "Bernoulli", "Multinomial", "Dropout", "Sampling")

# ONNX says that it may give different results: for the If in its definition, which is a choice
# between two ranks.
STEADY = frozenset(("AffineGrid",))


def steps_of(
    node: onnx.NodeProto,
    arrays: Mapping[str, Array],
    shapes: Sequence[tuple[int, ...] | None],
) -> int:
    """A bound on how many elements a node visits, in Python's integers.

    Args:
        node: Of any operator.
        arrays: Its inputs, by name.
        shapes: Of its outputs; None where one is not known.
    """
    read = [arrays[name] for name in node.input if name]
    visited = sum(array.size for array in read)
    results = sum(math.prod(shape) for shape in shapes if shape is not None)
    if node.domain in DEFAULT_DOMAINS and node.op_type in MATRICES:
        return visited + results * max((max(array.shape, default=1) for array in read), default=1)
    if node.domain not in DEFAULT_DOMAINS or node.op_type in PRODUCTS:
        # What is not known of other domains is taken for the worst; without shapes, too.
        return visited + max(results, visited) * max(visited, 1)
    return visited + results


def is_deterministic(
    node: onnx.NodeProto, arrays: Mapping[str, Array], opsets: Mapping[str, int]
) -> bool:
    """Whether a node gives the same each time it is run.

    Args:
        node: Of any operator.
        arrays: Its constant inputs, by name.
        opsets: Of the model, by domain.
    """
    domain = "" if node.domain in DEFAULT_DOMAINS else node.domain
    if not onnx.defs.has(node.op_type, opsets.get(domain, 1), domain):
        return not any(word in node.op_type for word in RANDOM)
    if domain == "" and node.op_type == "Dropout":
        return not _trains(node, arrays)
    # It has more than its type stubs say.
    schema: Any = onnx.defs.get_schema(node.op_type, opsets.get(domain, 1), domain)
    changes = schema.node_determinism == onnx.defs.OpSchema.NodeDeterminism.NonDeterministic
    return not changes or (domain == "" and node.op_type in STEADY)


def _trains(node: onnx.NodeProto, arrays: Mapping[str, Array]) -> bool:
    """Whether a Dropout drops anything."""
    if len(node.input) < 3 or not node.input[2]:
        return False
    return bool(np.any(arrays[node.input[2]]))
