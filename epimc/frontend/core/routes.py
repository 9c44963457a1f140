"""How the elements of a view are moved: indices chosen of each dim, then rearrangements."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from itertools import combinations_with_replacement, permutations

import numpy as np

from epimc.frontend.core.bindings import MoreDims
from epimc.ir.semantics.layouts import (
    Factors,
    Rearrangement,
    Runs,
    expressed,
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


def is_everything(view: MoreDims) -> bool:
    """Whether the view has every element of its value, from the first on."""
    return view.first == 0 and math.prod(view.shape) == math.prod(view.source.type.shape)


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
    parts = located(view)
    if parts is None:
        return None
    routes = [_by_selection(view, parts, shape)]
    if everything:
        moves = _moves(source, view.dims, shape)
        routes.append(None if moves is None else Route(none, moves))
    return min((route for route in routes if route), key=lambda route: route.length, default=None)


def located(view: MoreDims) -> list[Located] | None:
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
    runs, chosen, dims = selection(view, parts)
    moves = _moves(chosen, dims, shape)
    return None if moves is None else Route(tuple(runs), moves)


def selection(view: MoreDims, parts: list[Located]) -> tuple[list[Runs], Shape, Factors]:
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
