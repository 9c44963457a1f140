"""Instruction streams as arrays: what of each instruction may advance in a loop, and in which ring.

Which ring an address belongs to need not be known for certain: where the guess is wrong, the
addresses do not advance regularly, and nothing is folded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from epimc.backends.crossbar.core.operands import SIZE, OperandKind
from epimc.backends.crossbar.core.program import Instruction, Ring, aligned
from epimc.backends.crossbar.instructions.registry import BY_NAME
from epimc.ir.semantics.arrays import Ints

Advancing = tuple[tuple[int, OperandKind], ...]
"""The operands that may advance: index and kind."""


@cache
def advancing_operands(opcode: str) -> Advancing:
    """The operands of an instruction that may advance."""
    operands = enumerate(BY_NAME[opcode].operands)
    return tuple((k, operand.kind) for k, operand in operands if operand.kind.advances)


# The end of the addresses of a buffer.
_BEYOND = 1 << 32


def _limit_of(kind: OperandKind) -> int:
    """What numbers that advance are below."""
    # A stride is signed and as wide as the number: differences of larger numbers may not fit.
    return 1 << kind.parts[0].bits - 1


@dataclass(frozen=True)
class _Layout:
    """How the operands of an instruction are read.

    Attributes:
        advancing: Those that may advance: index, what their numbers are below, and these numbers.
        fixed: The others, by number.
    """

    advancing: tuple[tuple[int, int, Callable[[Any], tuple[int, ...]]], ...]
    fixed: tuple[int, ...]


@cache
def _layout_of(opcode: str) -> _Layout:
    advancing = [(k, _limit_of(kind), kind.numbers) for k, kind in advancing_operands(opcode)]
    fixed = set(range(len(BY_NAME[opcode].operands))) - {k for k, *_ in advancing}
    return _Layout(tuple(advancing), tuple(sorted(fixed)))


@dataclass(frozen=True)
class StreamArrays:
    """A stream without loops.

    Attributes:
        kinds: [instructions]: equal where all is equal that cannot advance, and the rings.
        numbers: [instructions, k]: the numbers that may advance, in order; 0 where there is none.
        lows: [instructions, k]: where the ring begins in which each number goes round.
        sizes: [instructions, k]: the bytes of that ring; 0: none.
    """

    kinds: Ints
    numbers: Ints
    lows: Ints
    sizes: Ints


def read_stream(stream: Sequence[Instruction]) -> StreamArrays:
    """The arrays of a stream without loops."""
    opcodes = {instruction.opcode for instruction in stream}
    width = max((len(advancing_operands(opcode)) for opcode in opcodes), default=0)
    reader = _Reader(width)
    for instruction in stream:
        reader.read(instruction)
    kinds = np.array(reader.kinds, np.int64)
    numbers = np.array(reader.numbers, np.int64).reshape(len(stream), width)
    lows, sizes = np.zeros_like(numbers), np.zeros_like(numbers)
    rings = _Rings(reader.examples)
    joint = kinds
    for column in range(width):
        _set_regions(
            reader.group_of_kinds(column)[kinds],
            numbers[:, column],
            reader.strides,
            rings,
            (lows[:, column], sizes[:, column]),
        )
        joint = joint_ids(joint_ids(joint, lows[:, column]), sizes[:, column])
    return StreamArrays(joint, numbers, lows, sizes)


def joint_ids(ids: Ints, column: Ints) -> Ints:
    """Ids that are equal where both ids and numbers of a column are."""
    if not len(column) or (column == column[0]).all():
        return ids
    _, codes = np.unique(column, return_inverse=True)
    _, joint = np.unique(ids * (int(codes.max()) + 1) + codes, return_inverse=True)
    result: Ints = joint.astype(np.int64, copy=False)
    return result


class _Reader:
    """Reads instructions into lists.

    Attributes:
        kinds: For each instruction the number of what it has that cannot advance.
        numbers: For each instruction, one after the other, as many numbers as arrays have columns.
        examples: For each kind the first instruction that is of it.
        strides: For each group of addresses the bytes from a row to the next.
    """

    def __init__(self, width: int) -> None:
        self.kinds: list[int] = []
        self.numbers: list[int] = []
        self.examples: list[Instruction] = []
        self.strides: list[int] = []
        self._width = width
        self._padding = [[0] * (width - count) for count in range(width + 1)]
        self._known: dict[tuple[object, ...], int] = {}
        self._same: dict[tuple[object, ...], int] = {}
        # For each kind, by column, its group; -1: nothing goes round a ring.
        self._groups: list[list[int]] = []
        self._group_numbers: dict[tuple[str, int, int], int] = {}

    def read(self, instruction: Instruction) -> None:
        """Read the next instruction."""
        operands = instruction.operands
        layout = _layout_of(instruction.opcode)
        # What advances less its first number, so that of rows their number stays.
        key: list[object] = [instruction.opcode]
        for index, limit, numbers_of in layout.advancing:
            numbers = numbers_of(operands[index])
            first = numbers[0]
            if first < limit:
                self.numbers.append(first)
                key.append(numbers[-1] - first)
            else:
                self.numbers.append(0)
                key.append(numbers)
        self.numbers.extend(self._padding[len(layout.advancing)])
        fixed = [operands[index] for index in layout.fixed]
        # Most instructions share their operands: the same object is found faster than an equal one.
        same = (*key, *map(id, fixed))
        number = self._same.get(same)
        if number is None:
            number = self._known.setdefault((*key, *fixed), len(self._known))
            self._same[same] = number
            if number == len(self._groups):
                self.examples.append(instruction)
                self._groups.append(self._groups_of(instruction))
        self.kinds.append(number)

    def group_of_kinds(self, column: int) -> Ints:
        """For each kind the group of its addresses in a column; -1: none."""
        return np.array([groups[column] for groups in self._groups], np.int64)

    def _groups_of(self, instruction: Instruction) -> list[int]:
        """For each column the instructions that are likely to move rows of the same ring."""
        opcode, size = instruction.opcode, _size(instruction)
        groups = [-1] * self._width
        for column, (index, kind) in enumerate(advancing_operands(opcode)):
            first = instruction.operands[index]
            # Only addresses go round a ring; counts and rows just advance.
            if kind.wraps and isinstance(first, int) and first < _limit_of(kind):
                key = opcode, index, size
                groups[column] = self._group_numbers.setdefault(key, len(self.strides))
                if groups[column] == len(self.strides):
                    self.strides.append(aligned(size))
        return groups


def _size(instruction: Instruction) -> int:
    """The bytes of the row that an instruction moves; 0 when it moves none."""
    operands = zip(BY_NAME[instruction.opcode].operands, instruction.operands, strict=True)
    sizes = [value for operand, value in operands if operand.kind is SIZE]
    return sizes[0] if sizes and isinstance(sizes[0], int) else 0


def _set_regions(
    groups: Ints, addresses: Ints, strides: Sequence[int], rings: _Rings, regions: tuple[Ints, Ints]
) -> None:
    """Set for each address of a group the ring (low, size) in which it goes round."""
    for group in np.unique(groups[groups >= 0]).tolist():
        members = np.flatnonzero(groups == group)
        used, places = np.unique(addresses[members], return_inverse=True)
        for values, column in zip(rings.around(used, strides[group]), regions, strict=True):
            column[members] = values[places]


class _Rings:
    """The rings between whose slots a stream moves rows."""

    def __init__(self, examples: Sequence[Instruction]) -> None:
        """The rings that instructions name, of which one of each kind is enough."""
        rings: set[Ring] = set()
        for operand in (operand for example in examples for operand in example.operands):
            items = operand if isinstance(operand, tuple) else (operand,)
            rings.update(item for item in items if isinstance(item, Ring) and item.rows > 1)
        # The smaller ring, then the lower address, decide between rings of equal use: any choice is
        # right, but it must be the same in every run.
        ordered = sorted((ring.rows, ring.address) for ring in rings)
        self.rows, self.addresses = np.array(ordered, np.int64).reshape(-1, 2).T

    def around(self, used: Ints, stride: int) -> tuple[Ints, Ints]:
        """For each address the ring with a slot there, (low, size): that with most slots in use.

        Args:
            used: All addresses at which there are rows of such a ring, ascending.
            stride: Bytes from a row to the next.
        """
        lows, sizes = np.zeros_like(used), np.zeros_like(used)
        most = np.zeros_like(used)
        if not stride:
            return lows, sizes
        # No region ends further up than addresses do, and larger numbers may not fit.
        sizes_of = np.minimum(self.rows, _BEYOND // stride + 1) * stride
        ends = np.searchsorted(used, self.addresses + sizes_of)
        firsts = np.searchsorted(used, self.addresses)
        for ring in np.flatnonzero(firsts < ends).tolist():
            first, address = int(firsts[ring]), int(self.addresses[ring])
            slots = first + np.flatnonzero((used[first : ends[ring]] - address) % stride == 0)
            # Rings come in order: of several with most slots the first one stays.
            better = slots[most[slots] < len(slots)]
            most[better] = len(slots)
            lows[better], sizes[better] = address, sizes_of[ring]
        beyond = lows + sizes > _BEYOND
        lows[beyond] = sizes[beyond] = 0
        return lows, sizes
