"""Importers of the products with constants: of matrices, and along any axes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.frontend.core.bindings import MoreDims
from epimc.frontend.core.broadcast import common_shape, expanded, per_channel
from epimc.frontend.core.contraction import Factor, Labels, contracted
from epimc.frontend.core.emitter import Emitter
from epimc.frontend.core.equations import LEADING, leading_labels, terms_of
from epimc.frontend.core.node import UnsupportedError
from epimc.frontend.core.operator import operator
from epimc.frontend.core.views import axes_of, bound, view_of, with_axes
from epimc.ir.core.op import Value
from epimc.ir.dialects import nn


def _constant_index(node: Emitter) -> int:
    """Which of both factors is constant.

    Raises:
        UnsupportedError: None is.
    """
    for index in (1, 0):
        if node.is_constant(index):
            return index
    raise UnsupportedError("a product of two activations is not supported")


@operator("Gemm", more_dims=True, parameters=(1, 2))
def gemm(node: Emitter) -> Value | MoreDims:
    """alpha * A @ B + beta * C, one of A and B constant."""
    index = _constant_index(node)
    turned = [node.integer(key, 0) != 0 for key in ("transA", "transB")]
    a, b = ("ki" if turned[0] else "ik"), ("jk" if turned[1] else "kj")
    labels = Labels(a, b, "ij") if index == 1 else Labels(b, a, "ij")
    array, view = node.weights(index), view_of(node, 1 - index)
    if array.ndim != 2 or len(view.full_shape(node.batch)) != 2:
        raise UnsupportedError("factors that are no matrices are not supported")
    factor = Factor(_scaled(array, node.number("alpha", 1.0)), index)
    if not node.has_input(2):
        return contracted(node, view, factor, labels)
    if node.is_constant(2):
        outputs = array.shape[labels.constant.index(labels.outputs)]
        bias = _scaled(_offsets(node, outputs, index), node.number("beta", 1.0))
        return contracted(node, view, replace(factor, bias=bias), labels)
    product = contracted(node.part("product"), view, factor, labels)
    if not isinstance(product, Value):
        raise UnsupportedError("an activation added to such a product is not supported")
    return _sum(node, product)


def _offsets(node: Emitter, outputs: int, index: int) -> NDArray[Any]:
    """What a Gemm's constant C adds to each output, which are columns, or rows where A is constant.

    Raises:
        UnsupportedError: It differs within an output.
    """
    constant = node.weights(2)
    if index == 1:
        return per_channel(constant, (outputs,), node.batch)
    if constant.size > 1 and constant.shape != (outputs, 1):
        raise UnsupportedError("a constant C that differs within a row is not supported")
    return np.array(np.broadcast_to(constant.ravel(), (outputs,)))


def _sum(node: Emitter, product: Value) -> Value:
    """A Gemm's product, and its C that is computed, times beta."""
    added, beta = node.activation(2), node.number("beta", 1.0)
    if beta != 1:
        share = node.store(np.full(added.type.shape[0], beta), role="beta")
        added = node.part("scaled").emit(nn.Affine, [added], scale=share)
    shape = common_shape([product, added])
    return node.emit(nn.Add, [product, expanded(node.part("expanded"), added, shape)])


def _scaled(array: NDArray[Any], factor: float) -> NDArray[Any]:
    """The array times the factor; rounded to float32 only once, when it is stored."""
    return array if factor == 1 else array.astype(np.float64) * factor


@operator("MatMul", folds=True, more_dims=True, parameters=(1,))
def matmul(node: Emitter) -> Value | MoreDims:
    """One factor constant, on either side; of any rank."""
    index = _constant_index(node)
    array, view = node.weights(index), view_of(node, 1 - index)
    shapes = [view.full_shape(node.batch)] * 2
    shapes[index] = array.shape
    ranks = [len(shape) for shape in shapes]
    if min(ranks) == 0:
        raise UnsupportedError("a factor without axes is not supported")
    own = ["ik"[-ranks[0] :], "kj"[: ranks[1]]]
    leading = leading_labels([max(rank - 2, 0) for rank in ranks])
    factors = [lead + keys for lead, keys in zip(leading, own, strict=True)]
    result = max(leading, key=len) + "".join(own).replace("k", "")
    labels = Labels(factors[1 - index], factors[index], result)
    return _broadcast(node, view, Factor(array, index), labels)


def _broadcast(node: Emitter, view: MoreDims, factor: Factor, labels: Labels) -> Value | MoreDims:
    """A product in which leading axes of size 1 are as those of the other factor."""
    full = view.full_shape(node.batch)
    sizes = dict(zip(labels.x, full, strict=True))
    constant = dict(zip(labels.constant, factor.array.shape, strict=True))
    both = [key for key in LEADING if key in sizes and key in constant]
    # What one of them has once is the same for all of the other.
    once = [key for key in both if constant[key] == 1]
    spread = [key for key in both if sizes[key] == 1 < constant[key]]
    array = factor.array.squeeze(tuple(labels.constant.index(key) for key in once))
    kept = tuple(s for key, s in zip(labels.x, full, strict=True) if key not in spread)
    if spread:
        view = with_axes(node, view, [view.dims], kept)
    narrowed = Labels(_without(labels.x, spread), _without(labels.constant, once), labels.result)
    return contracted(node, view, replace(factor, array=array), narrowed)


def _without(labels: str, dropped: list[str]) -> str:
    return "".join(key for key in labels if key not in dropped)


@operator("Einsum", since=12, more_dims=True, parameters=(1,))
def einsum(node: Emitter) -> Value | MoreDims:
    """Of an activation and a constant, samples first in both; or the axes of one turned."""
    if len(node.inputs) == 1:
        return _turned(node)
    if len(node.inputs) != 2:
        raise UnsupportedError("a product of more than two factors is not supported")
    index = _constant_index(node)
    array, view = node.weights(index), view_of(node, 1 - index)
    ranks = [len(view.full_shape(node.batch))] * 2
    ranks[index] = array.ndim
    terms, result = terms_of(node.text("equation", ""), ranks)
    return _broadcast(
        node, view, Factor(array, index), Labels(terms[1 - index], terms[index], result)
    )


def _turned(node: Emitter) -> Value | MoreDims:
    """An activation with its axes in another order."""
    view = view_of(node)
    full = view.full_shape(node.batch)
    (labels,), result = terms_of(node.text("equation", ""), [len(full)])
    moves_samples = node.batch != 1 and labels[:1] != result[:1]
    if sorted(labels) != sorted(result) or len({*labels}) < len(labels) or moves_samples:
        raise UnsupportedError("sums and diagonals of one factor are not supported")
    view, dims = axes_of(node, view)
    order = [labels.index(key) for key in result]
    shape = tuple(full[axis] for axis in order)
    return bound(node, with_axes(node, view, [dims[axis] for axis in order], shape))
