"""Tensors as the elements of a value in some order: cut, permuted and chosen from, then moved.

A view costs nothing.  It becomes a value, by a selection and rearrangements, where an operator
needs one.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement, permutations

import numpy as np

from epimc.frontend.core.bindings import MoreDims, Padded
from epimc.frontend.core.emitter import Emitter
from epimc.frontend.core.moving import rearranged, selected
from epimc.frontend.core.node import UnsupportedError
from epimc.ir.core.op import ANY_RANK, Value
from epimc.ir.semantics.layouts import (
    Factors,
    Rearrangement,
    Runs,
    cut,
    expressed,
    factors,
    joined,
    runs_of,
)

Shape = tuple[int, ...]
# The orders of so many dims are gone through in a moment.
MOST_FACTORS = 6


@dataclass(frozen=True)
class Route:
    """How a value is moved: indices chosen of each dim, then rearrangements.

    Attributes:
        runs: For each dim of the value, none for all of it.
        moves: One after the other; none where nothing moves.
    """

    runs: tuple[Runs, ...]
    moves: tuple[Rearrangement, ...]

    @property
    def length(self) -> int:
        """How many ops it takes."""
        return any(self.runs) + len(self.moves)


def view_of(node: Emitter, index: int = 0) -> MoreDims:
    """An input that is computed as elements in an order; with the node among its nodes.

    Raises:
        UnsupportedError: It is a constant.
    """
    item = node.inputs[index] if node.has_input(index) else None
    if isinstance(item, Padded):
        raise UnsupportedError(f"its input {item.refusal(node.batch)}")
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
    if _located(chosen) is None:
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
    parts = _located(view)
    if parts is None:
        raise UnsupportedError("taking elements so unevenly is not supported")
    runs, _, dims = _selection(view, parts)
    source = selected(node.standing_for(view.location), view.source, runs)
    return replace(view, source=source, dims=dims, first=0)


def is_everything(view: MoreDims) -> bool:
    """Whether the view has every element of its value, from the first on."""
    return view.first == 0 and math.prod(view.shape) == math.prod(view.source.type.shape)


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


# --- routes --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Located:
    """A dim of a view as steps through one dim of the value.

    Attributes:
        dim: Of the value.
        size: The number of steps.
        step: In indices of that dim.
    """

    dim: int
    size: int
    step: int


def route_of(view: MoreDims, shape: Shape) -> Route | None:
    """The shortest route from the value to the tensor's elements in a shape; None without one."""
    source = view.source.type.shape
    everything = is_everything(view)
    none: tuple[Runs, ...] = ((),) * len(source)
    if everything:
        move = expressed(joined(view.dims), source, shape)
        if move is not None:
            return Route(none, () if move.is_identity else (move,))
    parts = _located(view)
    if parts is None:
        return None
    routes = [_by_selection(view, parts, shape)]
    if everything:
        moves = _moves(source, view.dims, shape)
        routes.append(None if moves is None else Route(none, moves))
    return min((route for route in routes if route), key=lambda route: route.length, default=None)


def _located(view: MoreDims) -> list[Located] | None:
    """The dims of the view, each within one dim of the value; None where one is not."""
    source = view.source.type.shape
    strides = [math.prod(source[axis + 1 :]) for axis in range(len(source))]
    dims = [axis for axis, size in enumerate(source) if size > 1]
    parts: list[Located] = []
    for factor in joined(view.dims):
        split = _split(factor, dims, strides, source)
        if split is None:
            return None
        parts.extend(split)
    for axis, place in enumerate(np.unravel_index(view.first, source)):
        ends = [(part.size - 1) * part.step for part in parts if part.dim == axis]
        low = int(place) + sum(end for end in ends if end < 0)
        # Steps that leave the dim go on in the next one: they are no indices of it.
        if low < 0 or int(place) + sum(end for end in ends if end > 0) >= source[axis]:
            return None
    return parts


def _split(
    factor: tuple[int, int], dims: list[int], strides: list[int], source: Shape
) -> list[Located] | None:
    """Steps through the value as steps through its dims, the outermost first."""
    size, stride = factor
    parts: list[Located] = []
    # From the innermost dim that the steps go through outward.
    for axis in reversed([axis for axis in dims if strides[axis] * source[axis] > abs(stride)]):
        if size == 1:
            break
        if stride % strides[axis]:
            return None
        extent = strides[axis] * source[axis]
        steps = size if (size - 1) * abs(stride) < extent else extent // abs(stride)
        if steps < size and (extent % abs(stride) or size % steps):
            return None
        parts.insert(0, Located(axis, steps, stride // strides[axis]))
        size, stride = size // steps, stride * steps
    return parts if size == 1 else None


def _by_selection(view: MoreDims, parts: list[Located], shape: Shape) -> Route | None:
    """What is left to move when the indices of each dim are chosen first."""
    runs, chosen, dims = _selection(view, parts)
    moves = _moves(chosen, dims, shape)
    return None if moves is None else Route(tuple(runs), moves)


def _selection(view: MoreDims, parts: list[Located]) -> tuple[list[Runs], Shape, Factors]:
    """The indices of each dim, the shape of what they choose, and the dims of the view in that.

    Channels are chosen in the order in which they are wanted, rows and columns in their own.
    """
    source = view.source.type.shape
    runs: list[Runs] = []
    orders: list[list[int]] = []
    for axis, place in enumerate(np.unravel_index(view.first, source)):
        order = [number for number, part in enumerate(parts) if part.dim == axis]
        if axis > 0:
            order.sort(key=lambda number: -abs(parts[number].step))
        numbers = np.array([int(place)])
        for number in order:
            steps = parts[number].step * np.arange(parts[number].size)
            numbers = np.add.outer(numbers, steps).ravel()
        taken_here = numbers.tolist()
        runs.append(() if taken_here == list(range(source[axis])) else runs_of(taken_here))
        orders.append(order)
    chosen = tuple(math.prod(parts[number].size for number in order) for order in orders)
    flat = [number for order in orders for number in order]
    strides = {
        number: math.prod(parts[later].size for later in flat[place + 1 :])
        for place, number in enumerate(flat)
    }
    return runs, chosen, tuple((part.size, strides[k]) for k, part in enumerate(parts))


def _moves(source: Shape, dims: Factors, shape: Shape) -> tuple[Rearrangement, ...] | None:
    """The fewest rearrangements of all elements of a source to this order; None for too many dims.

    Args:
        source: The shape before.
        dims: In the order that is wanted, each within one dim of the source.
        shape: Afterwards.
    """
    wanted = joined(dims)
    move = expressed(wanted, source, shape)
    if move is not None:
        return () if move.is_identity else (move,)
    start = tuple(sorted(wanted, key=lambda factor: -factor[1]))
    if len(start) > MOST_FACTORS:
        return None
    blocks = _shortest(start, wanted)
    first = Rearrangement(source, tuple(range(len(source))), _sizes(blocks[0][0]))
    moves = [] if first.is_identity else [first]
    for number, (cut_so, perm) in enumerate(blocks):
        behind = blocks[number + 1][0] if number + 1 < len(blocks) else None
        result = shape if behind is None else _sizes(behind)
        moves.append(Rearrangement(_sizes(cut_so), perm, result))
    return tuple(moves)


Blocks = tuple[Factors, Factors, Factors]


def _sizes(blocks: Blocks) -> Shape:
    return tuple(math.prod(size for size, _ in block) for block in blocks)


def _shortest(start: Factors, wanted: Factors) -> list[tuple[Blocks, tuple[int, ...]]]:
    """The fewest permutations of three blocks each that lead from one order of dims to another."""
    reached: dict[Factors, list[tuple[Blocks, tuple[int, ...]]]] = {start: []}
    waiting = deque([start])
    while wanted not in reached:
        order = waiting.popleft()
        for a, b in combinations_with_replacement(range(len(order) + 1), 2):
            blocks = (order[:a], order[a:b], order[b:])
            for perm in permutations(range(3)):
                turned = tuple(factor for k in perm for factor in blocks[k])
                if turned not in reached:
                    reached[turned] = [*reached[order], (blocks, perm)]
                    waiting.append(turned)
    return reached[wanted]
