"""Tensors as the elements of a value in some order: cut, permuted and chosen from, then moved.

A view costs nothing.  It becomes a value, by a selection and rearrangements, where an operator
needs one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from epimc.frontend.core.bindings import MoreDims
from epimc.frontend.core.emitter import Emitter
from epimc.frontend.core.moving import rearranged, selected
from epimc.frontend.core.node import UnsupportedError
from epimc.frontend.core.routes import Route, is_everything, located, route_of, selection
from epimc.ir.core.op import ANY_RANK, Value
from epimc.ir.semantics.layouts import Factors, cut, factors, joined, runs_of

Shape = tuple[int, ...]


def view_of(node: Emitter, index: int = 0) -> MoreDims:
    """An input that is computed as elements in an order; with the node among its nodes.

    Raises:
        UnsupportedError: It is a constant.
    """
    item = node.inputs[index] if node.has_input(index) else None
    if isinstance(item, MoreDims):
        return replace(item, location=item.location + node.location)
    return row_major(node.activation(index), node)


def row_major(x: Value, node: Emitter) -> MoreDims:
    """A value as its elements in their own order."""
    shape = x.type.shape
    return MoreDims(x, factors(shape, tuple(range(len(shape)))), shape, node.location)


def with_axes(node: Emitter, view: MoreDims, dims: Iterable[Factors], full: Shape) -> MoreDims:
    """The view with other axes.

    Args:
        node: For which.
        view: Whose elements they are.
        dims: Of each axis.
        full: The shape in ONNX.

    Raises:
        UnsupportedError: Samples would no longer be on axis 0.
    """
    joint = tuple(factor for axis in dims for factor in axis)
    first = full[:1] == (node.batch,) and (view.samples_first or node.batch == 1)
    if not first and node.batch != 1:
        raise UnsupportedError(
            f"changing the shape {[*view.full_shape(node.batch)]} to {[*full]} is not supported"
        )
    return replace(view, dims=joint, shape=full[1:] if first else full, samples_first=first)


def axes_of(node: Emitter, view: MoreDims) -> tuple[MoreDims, list[Factors]]:
    """The view and the dims of each of its axes in ONNX, that of the samples too.

    Where an axis is no even number of steps through the value, that is moved first.

    Raises:
        UnsupportedError: It cannot be moved so.
    """
    full = view.full_shape(node.batch)
    # The samples' own axis has no elements of a sample: one of size 1 stands for it.
    inner = (1, *full[1:]) if view.samples_first else full
    dims = cut(view.dims, inner)
    if dims is None:
        view = replace(
            row_major(contiguous(node.part("even"), view), node),
            shape=view.shape,
            samples_first=view.samples_first,
            location=view.location,
        )
        dims = [((size, math.prod(inner[k + 1 :])),) for k, size in enumerate(inner)]
    return view, dims


def taken(node: Emitter, view: MoreDims, places: Mapping[int, Sequence[int]]) -> MoreDims:
    """Some indices of some axes.

    Args:
        node: For which.
        view: From which.
        places: The indices by axis in ONNX, none of them negative; at least one of each.

    Raises:
        UnsupportedError: It cannot be moved so, or samples are taken.
    """
    full = [*view.full_shape(node.batch)]
    view, dims = axes_of(node, view)
    first = view.first
    for axis, numbers in places.items():
        steps = _steps_through(joined(dims[axis]), numbers)
        if steps is None:
            return _taken_one_by_one(node, view, places)
        offset, dims[axis] = steps
        first += offset
        full[axis] = len(numbers)
    chosen = replace(with_axes(node, view, dims, tuple(full)), first=first)
    if located(chosen) is None:
        return _taken_one_by_one(node, view, places)
    return chosen


def _steps_through(dims: Factors, numbers: Sequence[int]) -> tuple[int, Factors] | None:
    """Indices of an axis as an offset in the value, and even steps from there; None if uneven."""
    number, count = numbers[0], len(numbers)
    if count == 1:
        offset = 0
        for size, stride in reversed(dims):
            offset += number % size * stride
            number //= size
        return offset, ()
    step = numbers[1] - number
    if step == 0 or [*numbers] != [number + k * step for k in range(count)]:
        return None
    if len(dims) == 1:
        stride = dims[0][1]
        return number * stride, ((count, step * stride),)
    inner = dims[-1][0]
    if step != 1 or number % inner or count % inner:
        return None
    # All of the inner dim, for some of the outer ones.
    outer = _steps_through(dims[:-1], range(number // inner, (number + count) // inner))
    return None if outer is None else (outer[0], (*outer[1], dims[-1]))


def _taken_one_by_one(
    node: Emitter, view: MoreDims, places: Mapping[int, Sequence[int]]
) -> MoreDims:
    """Any indices, of one axis after the other, the view as a value."""
    for axis, numbers in places.items():
        full = view.full_shape(node.batch)
        inner = (1, *full[1:]) if view.samples_first else full
        around = math.prod(inner[:axis]), inner[axis], math.prod(inner[axis + 1 :])
        step = node.part("axis", axis)
        value = required(step.part("even"), view, around)
        value = selected(step, value, [(), runs_of(numbers), ()])
        shape = (*full[:axis], len(numbers), *full[axis + 1 :])
        fresh = replace(row_major(value, node), samples_first=view.samples_first)
        view = with_axes(node, fresh, [fresh.dims], shape)
    return view


def contiguous(node: Emitter, view: MoreDims) -> Value:
    """A value of the tensor's elements in its order, whatever its shape.

    Raises:
        UnsupportedError: They cannot be moved so.
    """
    shape = view.shape
    if len(shape) > max(ANY_RANK):
        shape = (shape[0], math.prod(shape[1:-1]), shape[-1])
    return required(node, view, shape or (1,))


def bound(node: Emitter, view: MoreDims) -> Value | MoreDims:
    """The tensor as a value where it can be one; else as all elements of a value in some order.

    Raises:
        UnsupportedError: It cannot be moved so.
    """
    if view.samples_first and len(view.shape) in ANY_RANK:
        return required(node, view, view.shape)
    if is_everything(view):
        return view
    parts = located(view)
    if parts is None:
        raise UnsupportedError("taking elements so unevenly is not supported")
    runs, _, dims = selection(view, parts)
    source = selected(node.standing_for(view.location), view.source, runs)
    return replace(view, source=source, dims=dims, first=0)


def required(node: Emitter, view: MoreDims, shape: Shape) -> Value:
    """The value of the tensor's elements in a shape of at most three dims.

    Raises:
        UnsupportedError: They cannot be moved so.
    """
    route = route_of(view, shape)
    if route is None:
        before = [*view.source.type.shape]
        raise UnsupportedError(f"moving the elements of {before} to {[*shape]} is not supported")
    return moved(node.standing_for(view.location), view.source, route)


def moved(node: Emitter, x: Value, route: Route) -> Value:
    """The value moved on a route; x itself where nothing moves."""
    last = len(route.moves)
    x = selected(node.part("chosen") if last else node, x, [*route.runs])
    for number, move in enumerate(route.moves, 1):
        step = node if number == last else node.part("step", number)
        x = rearranged(step, x, move.perm, move.result)
    return x
