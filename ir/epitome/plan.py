"""Sampling plans: how the weights of a layer are rebuilt from its epitome, and what that implies.

An epitome E[Eo, Ei, Eh, Ew] and a list of patches rebuild W[Cout, Cin, Kh, Kw] (EPIM, arXiv
2311.07620, section 3).  The patches' (output, input) blocks tile W exactly once; their windows in
E may overlap and repeat.  The activation rounds and their three tables follow from the plan alone.

Of a convolution in groups, W is [Cout, Cin / groups, Kh, Kw] and E is [groups * Eo, Ei, Eh, Ew]:
the epitomes of the groups, one below the other along the columns.  Outputs and columns are counted
over all groups, input channels and rows within one.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable
from itertools import groupby, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from epimc.ir.core.attributes import AttributeKind, integers, rows_of
from epimc.ir.core.types import IrError


class Patch(NamedTuple):
    """W[o0:o0+on, i0:i0+in_, :, :] = E[eo:eo+on, ei:ei+in_, dy:dy+Kh, dx:dx+Kw]."""

    o0: int
    on: int
    i0: int
    in_: int
    eo: int
    ei: int
    dy: int
    dx: int


# Elements that a plan may rebuild, whatever it rebuilds them from.
LARGEST_LAYER = 2**28

Plan = tuple[Patch, ...]
Shape = tuple[int, int, int, int]

_ROWS = rows_of(integers(8, minimum=0))

PLAN: AttributeKind[Plan] = AttributeKind(
    "a list of patches [o0, on, i0, in, eo, ei, dy, dx]",
    lambda value: tuple(Patch(*row) for row in _ROWS.load(value)),
    lambda plan: tuple(tuple(patch) for patch in plan),
)


def identity(weights: Shape) -> Plan:
    """The plan of the epitome that is the weights themselves: one patch."""
    return (Patch(0, weights[0], 0, weights[1], 0, 0, 0, 0),)


def check(plan: Plan, weights: Shape, epitome: Shape, groups: int = 1) -> None:
    """Hold a plan to its definition.

    Raises:
        IrError: An epitome larger than its kernel allows or not divisible into groups, a patch
            outside W or E or from one group to another, or blocks that do not tile W exactly once.
    """
    (cout, cin, kh, kw), (eo, ei, eh, ew) = weights, epitome
    if eo > cout or ei > cin or eh < kh or ew < kw:
        raise IrError(f"an epitome {list(epitome)} cannot stand for weights {list(weights)}")
    if eo % groups or cout % groups:
        raise IrError(f"{eo} columns and {cout} outputs are not divisible into {groups} groups")
    if epitome == weights and plan == identity(weights):
        return
    if math.prod(weights) > LARGEST_LAYER:
        raise IrError(f"weights {list(weights)} that a plan rebuilds are more than {LARGEST_LAYER}")
    # The counts of a large layer are many: no wider than they need to be.
    covered = np.zeros((cout, cin), np.min_scalar_type(len(plan)))
    for patch in plan:
        o0, on, i0, in_, e0, f0, dy, dx = patch
        if on < 1 or in_ < 1 or o0 + on > cout or i0 + in_ > cin:
            raise IrError(f"patch {list(patch)} lies outside weights {list(weights)}")
        if e0 + on > eo or f0 + in_ > ei or dy + kh > eh or dx + kw > ew:
            raise IrError(f"patch {list(patch)} lies outside epitome {list(epitome)}")
        places = np.arange(on if groups > 1 else 1)
        if ((o0 + places) // (cout // groups) != (e0 + places) // (eo // groups)).any():
            raise IrError(f"patch {list(patch)} gives a group the columns of another")
        covered[o0 : o0 + on, i0 : i0 + in_] += 1
    if (covered != 1).any():
        o, i = (int(n) for n in np.argwhere(covered != 1)[0])
        raise IrError(f"{covered[o, i]} patches give the weights of output {o}, input {i}: not one")


def rebuild(epitome: NDArray[Any], plan: Plan, weights: Shape) -> NDArray[Any]:
    """W from (E, plan): the one definition, for floats and integers alike.

    Of the identity it is E itself, not a copy: nobody may write to it.
    """
    if epitome.shape == weights and plan == identity(weights):
        return epitome
    kh, kw = weights[2:]
    rebuilt = np.zeros(weights, epitome.dtype)
    for o0, on, i0, in_, eo, ei, dy, dx in plan:
        window = epitome[eo : eo + on, ei : ei + in_, dy : dy + kh, dx : dx + kw]
        rebuilt[o0 : o0 + on, i0 : i0 + in_] = window
    return rebuilt


def fit(weights: NDArray[Any], plan: Plan, epitome: Shape) -> NDArray[Any]:
    """The epitome nearest to given weights in the least-squares sense.

    An element of E is the mean of the elements of W that it serves; one that serves none is 0.
    The sums are float64, in the order of the patches.  Of the identity it is W itself.
    """
    cout, cin, kh, kw = weights.shape
    if weights.shape == epitome and plan == identity((cout, cin, kh, kw)):
        return weights
    total, count = np.zeros(epitome), np.zeros(epitome)
    for o0, on, i0, in_, eo, ei, dy, dx in plan:
        window = (slice(eo, eo + on), slice(ei, ei + in_), slice(dy, dy + kh), slice(dx, dx + kw))
        total[window] += weights[o0 : o0 + on, i0 : i0 + in_]
        count[window] += 1
    # An element that nothing uses has the sum 0, and stays 0 divided by 1.
    return (total / np.maximum(count, 1)).astype(weights.dtype)


def used(plan: Plan, epitome: Shape, kernel: tuple[int, int]) -> NDArray[np.bool_]:
    """Which elements of an epitome some patch uses; the others count for nothing and must be 0."""
    kh, kw = kernel
    mask = np.zeros(epitome, np.bool_)
    for _, on, _, in_, eo, ei, dy, dx in plan:
        mask[eo : eo + on, ei : ei + in_, dy : dy + kh, dx : dx + kw] = True
    return mask


def needs_zero(plan: Plan, epitome: Shape, kernel: tuple[int, int], groups: int) -> bool:
    """Whether cells of a layer must hold a weight of 0, which weights of one bit do not have.

    Elements that no patch uses are 0; and groups may share an array, block-diagonally.
    """
    return groups > 1 or not used(plan, epitome, kernel).all()


# --- activation rounds -------------------------------------------------------------------------

Ranges = tuple[tuple[int, int], ...]


class Entry(NamedTuple):
    """An OFAT entry: columns [column, column+width) to outputs from `destination`."""

    column: int
    width: int
    destination: int
    multiplier: int
    accumulate: int


class Round(NamedTuple):
    """One activation round: IFAT and IFRT as (first, count) ranges, OFAT as entries."""

    ifat: Ranges
    ifrt: Ranges
    ofat: tuple[Entry, ...]


_PAIRS = rows_of(integers(2, minimum=0))
_ENTRIES = rows_of(integers(5))


def _load_round(value: Any) -> Round:
    if not isinstance(value, dict) or set(value) != {"ifat", "ifrt", "ofat"}:
        raise IrError("expected a table {ifat = …, ifrt = …, ofat = …}")
    pairs = [tuple((a, b) for a, b in _PAIRS.load(value[key])) for key in ("ifat", "ifrt")]
    return Round(pairs[0], pairs[1], tuple(Entry(*row) for row in _ENTRIES.load(value["ofat"])))


ROUNDS: AttributeKind[tuple[Round, ...]] = rows_of(
    AttributeKind(
        "a table {ifat = [[first, count], …], ifrt = [[first, count], …], "
        "ofat = [[column, count, destination, multiplier, accumulate], …]}",
        _load_round,
        lambda r: {"ifat": r.ifat, "ifrt": r.ifrt, "ofat": tuple(tuple(e) for e in r.ofat)},
    )
)


def rounds(
    plan: Plan, epitome: Shape, kernel: tuple[int, int], groups: int = 1
) -> tuple[Round, ...]:
    """The activation rounds of a plan.

    Patches, also those of different groups, make rounds by (i0, in, ei, dy, dx); within a round
    the columns are cut at every patch border into column blocks, each read once and copied to all
    of its destinations.  Rounds of one input block follow each other, so that the input registers
    are filled once.

    IFAT counts the input channels over all groups, IFRT the rows too: group g has Ei * Eh * Ew
    rows from g * Ei * Eh * Ew on.
    """
    columns, height = epitome[0] // groups, epitome[1] * epitome[2] * epitome[3]
    # The patches of every group tile its input channels.
    inputs = max((patch.i0 + patch.in_ for patch in plan), default=0)
    result: list[Round] = []
    written: set[int] = set()
    # `groupby` joins neighbours only; sorting also brings rounds of one input block together.
    for key, group in groupby(sorted(plan, key=_round_key), key=_round_key):
        i0, in_, ei, dy, dx = key
        patches = list(group)
        driven = driven_groups(patches, columns)
        channels = driven * inputs + np.arange(i0, i0 + in_)
        rows = driven * height + window_rows(ei, in_, dy, dx, epitome, kernel)
        entries = []
        for column, count, patch in _column_blocks(patches):
            destination = patch.o0 + column - patch.eo
            # Only the first entry of a channel stores: the order of rounds decides which that is.
            accumulate = destination in written
            entries.append(Entry(column, count, destination, 1, int(accumulate)))
        for entry in entries:
            written.update(range(entry.destination, entry.destination + entry.width))
        result.append(Round(to_ranges(channels.ravel()), to_ranges(rows.ravel()), tuple(entries)))
    return tuple(result)


def _round_key(patch: Patch) -> tuple[int, int, int, int, int]:
    return patch.i0, patch.in_, patch.ei, patch.dy, patch.dx


def driven_groups(patches: Iterable[Patch], columns: int) -> NDArray[np.int64]:
    """The groups, of so many columns each, that patches take columns of; [n, 1], ascending."""
    driven = {
        group
        for patch in patches
        for group in range(patch.eo // columns, (patch.eo + patch.on - 1) // columns + 1)
    }
    return np.array(sorted(driven), np.int64)[:, None]


def _column_blocks(patches: list[Patch]) -> list[tuple[int, int, Patch]]:
    """(first column, count, patch) for each piece of a patch between two neighbouring borders."""
    borders = sorted({edge for p in patches for edge in (p.eo, p.eo + p.on)})
    pieces = []
    for patch in patches:
        own = slice(bisect_left(borders, patch.eo), bisect_left(borders, patch.eo + patch.on) + 1)
        pieces += [(first, end - first, patch) for first, end in pairwise(borders[own])]
    return sorted(pieces, key=lambda piece: piece[0])


def window_rows(
    ei: int, in_: int, dy: int, dx: int, epitome: Shape, kernel: tuple[int, int]
) -> NDArray[np.int64]:
    """Epitome rows (ei, eh, ew) that a window drives, in the order (channel, row, column)."""
    _, _, eh, ew = epitome
    channel = np.arange(ei, ei + in_)[:, None, None]
    row = np.arange(dy, dy + kernel[0])[None, :, None]
    column = np.arange(dx, dx + kernel[1])[None, None, :]
    numbers: NDArray[np.int64] = ((channel * eh + row) * ew + column).ravel()
    return numbers


def to_ranges(numbers: NDArray[np.int64]) -> Ranges:
    """Runs of consecutive numbers, as (first, count)."""
    if numbers.size == 0:
        return ()
    starts = np.flatnonzero(np.diff(numbers, prepend=numbers[0] - 2) != 1)
    counts = np.diff(starts, append=numbers.size)
    return tuple((int(numbers[s]), int(c)) for s, c in zip(starts, counts, strict=True))


def from_ranges(ranges: Ranges) -> NDArray[np.int64]:
    """The numbers that ranges name, in order."""
    parts = [np.arange(first, first + count) for first, count in ranges]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)
