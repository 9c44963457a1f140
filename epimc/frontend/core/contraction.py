"""Products of an activation and a constant, summed over some axes, as convolutions 1x1.

Axes are labels, letters as einsum has them.  Those that both operands and the result have are
groups, those that only the operands have are summed over, those of the activation and the result
are positions, those of the constant and the result are outputs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from string import ascii_letters
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.frontend.core.bindings import MoreDims
from epimc.frontend.core.emitter import Emitter
from epimc.frontend.core.node import UnsupportedError
from epimc.frontend.core.routes import route_of
from epimc.frontend.core.views import axes_of, moved, required, row_major, with_axes
from epimc.ir.core.op import ANY_RANK, Value
from epimc.ir.core.types import LARGEST_RANK
from epimc.ir.dialects import nn
from epimc.ir.semantics.layouts import Factors

Array = NDArray[np.floating[Any]]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Labels:
    """The axes of both operands and of the result, all in the order of ONNX."""

    x: str
    constant: str
    result: str

    @property
    def groups(self) -> str:
        """Axes that all three have."""
        return "".join(key for key in self.x if key in self.constant and key in self.result)

    @property
    def summed(self) -> str:
        """Axes that both operands have, and not the result."""
        return "".join(key for key in self.x if key in self.constant and key not in self.result)

    @property
    def positions(self) -> str:
        """Axes that the constant lacks."""
        return "".join(key for key in self.x if key not in self.constant)

    @property
    def outputs(self) -> str:
        """Axes that the activation lacks."""
        return "".join(key for key in self.result if key not in self.x)


@dataclass(frozen=True)
class Factor:
    """The constant of a product.

    Attributes:
        array: Its values.
        index: The number of the input that it is.
        bias: What is added to each output, input 2 of the node; none without.
    """

    array: Array
    index: int
    bias: Array | None = None


def contracted(node: Emitter, view: MoreDims, factor: Factor, labels: Labels) -> Value | MoreDims:
    """The product of an activation and a constant.

    Raises:
        UnsupportedError: It is none that a convolution computes, or takes samples together.
    """
    _check_samples(node, labels)
    sizes = _sizes(node, view, factor.array, labels)
    _check_axes(labels, sizes)
    view, dims = axes_of(node, view)
    by_label = dict(zip(labels.x, dims, strict=True))
    positions = _over(sizes, labels.positions)
    channels = math.prod(_over(sizes, labels.groups + labels.summed))
    order = [by_label[key] for key in labels.groups + labels.summed + labels.positions]
    flat = tuple(part for dim in order for part in dim)
    operand = replace(view, dims=flat, samples_first=True, shape=(channels, *positions))
    if math.prod(positions) == 1 and not labels.groups:
        x = required(node.part("operand"), operand, (channels,))
        shape: Shape = (math.prod(_over(sizes, labels.outputs)),)
    else:
        rows, columns = math.prod(positions[:-1]), positions[-1] if positions else 1
        x = required(node.part("operand"), operand, (channels, rows, columns))
        outputs = math.prod(_over(sizes, labels.groups + labels.outputs))
        shape = (outputs, rows, columns)
    weights = _weights(factor.array, labels, sizes)
    return _placed(node, _Product(x, weights, factor, shape), labels, sizes)


def _sizes(node: Emitter, view: MoreDims, array: Array, labels: Labels) -> dict[str, int]:
    """The size of each axis, by its label."""
    full = view.full_shape(node.batch)
    if view.samples_first:
        # One of them: what is computed is a sample.
        full = (1, *full[1:])
    sizes = dict(zip(labels.x, full, strict=True))
    sizes |= dict(zip(labels.constant, array.shape, strict=True))
    if any(sizes[key] != size for key, size in zip(labels.x, full, strict=True)):
        raise UnsupportedError(
            f"a constant of shape {[*array.shape]} on an activation of shape {[*full]} "
            "is not supported"
        )
    return sizes


def _check_samples(node: Emitter, labels: Labels) -> None:
    """Raise UnsupportedError for a product that takes several samples together."""
    sample = labels.x[:1]
    if node.batch != 1 and (sample in labels.constant or labels.result[:1] != sample):
        raise UnsupportedError("a product over the samples is not supported")


def _check_axes(labels: Labels, sizes: dict[str, int]) -> None:
    """Raise UnsupportedError for what is no product of two factors with axes of their own."""
    for keys in (labels.x, labels.constant, labels.result):
        if len(keys) > LARGEST_RANK:
            raise UnsupportedError(f"a product over more than {LARGEST_RANK} axes is not supported")
    for keys in (labels.x, labels.result):
        if len({*keys}) < len(keys):
            raise UnsupportedError("an axis that is there twice is not supported")
    if not {*labels.result} <= {*sizes}:
        raise UnsupportedError("an axis of the result that no factor has is not supported")
    for key in labels.x:
        if key not in labels.constant + labels.result and sizes[key] > 1:
            raise UnsupportedError("a sum over an axis of the activation alone is not supported")


def _over(sizes: dict[str, int], labels: Iterable[str]) -> Shape:
    return tuple(sizes[key] for key in labels)


def _weights(array: Array, labels: Labels, sizes: dict[str, int]) -> Array:
    """[groups * outputs, summed]."""
    keys = labels.groups + labels.outputs + labels.summed
    if {*labels.constant} - {*keys}:
        # Axes that nobody else has are summed over, and rounded to float32 once.
        array = array.astype(np.float64)
    letters = dict(zip(sorted({*labels.constant}), ascii_letters, strict=False))
    before, behind = ("".join(letters[key] for key in part) for part in (labels.constant, keys))
    weights: Array = np.einsum(f"{before}->{behind}", array)
    rows = math.prod(_over(sizes, labels.groups + labels.outputs))
    return weights.reshape(rows, math.prod(_over(sizes, labels.summed)))


@dataclass(frozen=True)
class _Product:
    """What is to be emitted.

    Attributes:
        x: A vector, or a map.
        weights: [outputs, inputs of a group].
        factor: Whose weights they are.
        shape: Of the result.
    """

    x: Value
    weights: Array
    factor: Factor
    shape: Shape

    def emit(self, node: Emitter, labels: Labels, groups: int) -> Value:
        """Append the op."""
        source, matrix = self.factor.index, len(self.shape) == 1
        if not labels.summed + labels.outputs:
            scale = node.store(self.weights[:, 0], of=source)
            return node.emit(nn.Affine, [self.x], scale=scale)
        weight = node.store(self.weights if matrix else self.weights[..., None, None], of=source)
        bias = None if self.factor.bias is None else node.store(self.factor.bias, of=2)
        if matrix:
            return node.emit(nn.Gemm, [self.x], weight=weight, bias=bias)
        return node.emit(nn.Conv, [self.x], weight=weight, bias=bias, groups=groups)


def _placed(
    node: Emitter, product: _Product, labels: Labels, sizes: dict[str, int]
) -> Value | MoreDims:
    """The product, its axes put where the result has them."""
    keys = labels.groups + labels.outputs + labels.positions
    behind = [math.prod(_over(sizes, keys[place + 1 :])) for place in range(len(keys))]
    dims: dict[str, Factors] = {
        key: ((sizes[key], stride),) for key, stride in zip(keys, behind, strict=True)
    }
    groups = math.prod(_over(sizes, labels.groups))
    full = _over(sizes, labels.result)
    if node.batch != 1:
        full = (node.batch, *full[1:])
    # The value stands in for the result until it is known whether it has to be moved.
    draft = Value("product", product.x.type.with_shape(product.shape))
    view = with_axes(node, row_major(draft, node), [dims[key] for key in labels.result], full)
    if not view.samples_first or len(view.shape) not in ANY_RANK:
        return replace(view, source=product.emit(node, labels, groups))
    route = route_of(view, view.shape)
    if route is None:
        raise UnsupportedError("such an order of axes is not supported")
    part = node.part("product") if route.length else node
    return moved(node, product.emit(part, labels, groups), route)
