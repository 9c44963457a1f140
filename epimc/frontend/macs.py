"""How many multiplications a node takes by numbers, wherever it runs."""

from __future__ import annotations

import math

import onnx

from epimc.frontend.core.bindings import shape_of
from epimc.frontend.core.steps import Scope
from epimc.frontend.model.standard import DEFAULT_DOMAINS, where_of
from epimc.support.diagnostics import error
from epimc.support.limits import LARGEST_WORK

POOLS = ("AveragePool", "LpPool", "MaxPool")
CONVOLUTIONS, TRANSPOSED, PRODUCTS = ("Conv",), ("ConvTranspose",), ("Gemm", "MatMul")


def macs_of(node: onnx.NodeProto, scope: Scope) -> int:
    """The multiplications of a convolution or a product of matrices for one sample; else 0."""
    kinds = *CONVOLUTIONS, *TRANSPOSED, *PRODUCTS
    if node.domain not in DEFAULT_DOMAINS or node.op_type not in kinds:
        return 0
    result, left, right = (
        shape_of(scope.kinds.get(name))
        if name not in scope.constants
        else scope.constants[name].shape
        for name in (node.output[0], node.input[0], node.input[1])
    )
    if not result or not left or not right:
        return 0
    if node.op_type in CONVOLUTIONS:
        count = math.prod(result) * math.prod(right[1:])
    elif node.op_type in TRANSPOSED:
        count = math.prod(left) * math.prod(right[1:])
    else:
        turned = any(item.name == "transA" and item.i for item in node.attribute)
        count = math.prod(result) * left[0 if turned else -1]
    return count // scope.batch


def constant_macs(node: onnx.NodeProto, scope: Scope, macs: int) -> int:
    """Those of them by constants, which crossbars can do."""
    return macs if any(name in scope.constants for name in node.input[:2]) else 0


def refuse_long_work(node: onnx.NodeProto, scope: Scope) -> None:
    """Raise EpimcError for a layer or window that would take the host hours."""
    steps = macs_of(node, scope)
    kernel = next((item.ints for item in node.attribute if item.name == "kernel_shape"), ())
    result = shape_of(scope.kinds.get(node.output[0])) if node.output else None
    if node.op_type in POOLS and result:
        steps = math.prod(result) * math.prod(kernel) // scope.batch
    if steps > LARGEST_WORK:
        raise error(
            f"It takes {steps} steps for one sample; the limit is {LARGEST_WORK}.",
            where=where_of(node),
            hint="Use a smaller input (--shape) or kernel.",
        )
