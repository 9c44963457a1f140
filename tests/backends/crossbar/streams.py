"""Random streams with planted repetition, for the tests of loops, text and binary."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from epimc.backends.crossbar.core import operands
from epimc.backends.crossbar.core.operands import NESTING, OperandKind
from epimc.backends.crossbar.core.program import Advance, Instruction, Ring
from epimc.backends.crossbar.instructions import registry
from epimc.backends.crossbar.instructions.control import END, LOOP
from epimc.backends.crossbar.instructions.declaration import DeclaredInstruction

Stream = tuple[Instruction, ...]

PLAIN = [spec for spec in registry.instructions() if spec.name not in (LOOP, END)]
ROW = 32


def values(kind: OperandKind) -> st.SearchStrategy[Any]:
    """Values of a kind, small enough to advance in any loop, and few enough to repeat."""
    rings = st.builds(Ring, st.integers(0, 3).map(lambda n: n * 96), st.integers(1, 3))
    special: dict[str, st.SearchStrategy[Any]] = {
        operands.ROWS.name: st.integers(500, 502).map(lambda first: (first, first + 1)),
        operands.RING.name: rings,
        operands.RINGS.name: st.lists(rings, min_size=1, max_size=2).map(tuple),
        operands.NO_RINGS.name: st.just(()),
        operands.SIZE.name: st.just(ROW),
    }
    addresses = st.integers(0, 5).map(lambda n: n * ROW)
    large = st.integers(1 << 31, (1 << 32) - 1)
    if kind.wraps:
        return st.one_of(addresses, addresses.map(lambda n: n + 8000), large)
    return special.get(kind.name, st.integers(500, 502))


@st.composite
def advances(draw: st.DrawFn, kind: OperandKind, depth: int) -> Any:
    """A value that perhaps advances with `depth` loops."""
    first = draw(values(kind))
    strides = draw(st.lists(st.integers(-30, 30), max_size=depth))
    if not kind.advances or not strides or not strides[-1]:
        return first
    number = first[0] if isinstance(first, tuple) else first
    if not 500 <= number < 1 << 31:
        return first
    return Advance(first, tuple(strides))


@st.composite
def going_round(draw: st.DrawFn, depth: int) -> Any:
    """A buffer address that goes round a ring with `depth` loops."""
    low, rows = draw(st.integers(0, 3)) * 96, draw(st.integers(1, 3))
    first = low + draw(st.integers(0, rows - 1)) * ROW
    strides = draw(st.lists(st.integers(0, 4).map(lambda n: n * ROW), max_size=depth))
    if not strides or not strides[-1]:
        return first
    return Advance(first, tuple(strides), (low, rows * ROW))


@st.composite
def instructions(draw: st.DrawFn, depth: int) -> Instruction:
    """Any instruction but `loop` and `end`, inside `depth` loops."""
    spec: type[DeclaredInstruction] = draw(st.sampled_from(PLAIN))
    drawn = [
        draw(
            going_round(depth) if o.kind.wraps and draw(st.booleans()) else advances(o.kind, depth)
        )
        for o in spec.operands
    ]
    return Instruction(spec.name, tuple(drawn))


@st.composite
def rolled_streams(draw: st.DrawFn, depth: int = 0, least: int = 0) -> Stream:
    """A stream with loops."""
    result: list[Instruction] = []
    for _ in range(draw(st.integers(least, 3))):
        if depth < NESTING and draw(st.integers(0, 2)) == 0:
            count = draw(st.integers(1, 4))
            body = draw(rolled_streams(depth + 1, 1))
            result += [Instruction(LOOP, (count,)), *body, Instruction(END, ())]
        else:
            result.append(draw(instructions(depth)))
    return tuple(result)
