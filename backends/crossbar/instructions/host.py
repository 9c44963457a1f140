"""The instructions between chip and host: a call of the host, and what comes back from it.

What the host alone knows, of any type, has a token on the chip: a map of one byte off chip, which
the host writes when it has the values.  Whatever needs the values reads the token, so that they are
ordered, loaded and waited for as maps are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from epimc.backends.crossbar.core.counts import Counts
from epimc.backends.crossbar.core.limits import FIRST_MISTAKE, STRICT, Index, Name
from epimc.backends.crossbar.core.operands import TABLE
from epimc.backends.crossbar.core.program import NO_ADDRESS, FeatureMap, Maps, Program
from epimc.backends.crossbar.instructions.computing import table_problem
from epimc.backends.crossbar.instructions.declaration import Machine, Operand, Subjects, Tiles
from epimc.backends.crossbar.instructions.registry import register
from epimc.backends.crossbar.instructions.table import (
    ACTIVATIONS,
    TOKENS,
    Lowering,
    Table,
    TableCheck,
    holds,
)
from epimc.backends.forms import Claim, HostValue, entering, leaving
from epimc.ir.semantics import quantization
from epimc.support.diagnostics import error

# It names a file, `host/NAME.onnx`.
FRAGMENT_NAME = re.compile(r"[A-Za-z0-9_.\-]+")

MOST_OPERANDS = 2**12

CHIP = -1
"""In the place of the number of a result: the map itself, which the chip has computed."""


@dataclass(frozen=True)
class HostOperand:
    """What a host call takes, or gives to the chip.

    Attributes:
        map: The map of activations; or the token of a call, or of an input of the host.
        result: Which of the values that the token stands for; -1 for activations.
    """

    __pydantic_config__ = STRICT

    map: Index
    result: Annotated[int, Field(ge=CHIP, lt=2**20)] = CHIP

    def check(self, check: TableCheck) -> None:
        """The map holds what it must, off chip."""
        check.require(self.result >= CHIP, f"There is no result {self.result}.")
        source = check.maps[self.map]
        wanted = ACTIVATIONS if self.result == CHIP else TOKENS
        check.require(
            holds(source) == wanted,
            f"'{source.name}' must hold {wanted}, not {holds(source)}.",
        )
        check.require(source.address != NO_ADDRESS, f"'{source.name}' has no place off chip.")
        single = self.result > 0 and self.map in check.program.input_tokens
        check.require(not single, f"Input '{source.name}' has no result {self.result}.")


class HostState(Protocol):
    """What the host and the chip know of each other while a program runs."""

    program: Program
    batch: int

    def read_map(self, source: FeatureMap) -> NDArray[Any]:
        """All of a map off chip, [batch, C, H, W]."""

    def values(self, token: int, result: int) -> Sequence[Any]:
        """A value of the host for each sample."""

    def call(self, token: int, fragment: str, operands: list[Any]) -> None:
        """Have the host run a fragment, and keep its results under a token."""


def host_operands(op: Any, lowering: Lowering) -> tuple[HostOperand, ...]:
    """The operands of an op: maps of its operands with the numbers of their results."""
    maps = lowering.sources(op)
    return tuple(HostOperand(*pair) for pair in zip(maps, op.results, strict=True))


class HostStep(Table):
    """What the host does for a whole map at once: from off-chip memory to off-chip memory.

    The tile waits for it.
    """

    if TYPE_CHECKING:
        # Not there at run time, where a dataclass would take it for the default of a field.
        @property
        def operands_read(self) -> tuple[HostOperand, ...]:
            """What it takes."""
            raise NotImplementedError

    operands = (Operand("table", TABLE, "The table, one of this instruction."),)
    example = ("7",)
    takes = None

    def rows(self, maps: Maps, y: int) -> Sequence[Sequence[int]]:
        """All rows of all sources: the host knows maps, not rows."""
        return [range(maps[source].height) for source in self.sources]

    def made_by(self, state: HostState) -> NDArray[Any]:
        """The map that it makes, [batch, C, H, W], or what is broadcast to that."""
        raise NotImplementedError(self.name)

    def check(self, check: TableCheck) -> None:
        """All maps hold what they must, off chip."""
        placed = check.target.address != NO_ADDRESS
        check.require(placed, f"'{check.target.name}' has no place off chip.")
        for operand in self.operands_read:
            operand.check(check)

    @classmethod
    def execute(cls, machine: Machine, tile: int, table: int) -> Tiles:
        """Have the host compute; to the tile it is one step, however long the host takes."""
        machine.host(tile, table)
        return (tile,)

    @classmethod
    def problem(cls, program: Program, tile: int, table: int) -> str:
        """It names a table of its own."""
        return table_problem(cls, program, table)

    @classmethod
    def events(cls, program: Program, table: int) -> Counts:
        """Whole maps from and to off-chip memory."""
        named, maps = program.tables[table], program.maps
        written = maps[named.destination]
        return Counts(
            instructions=1,
            off_chip_read_bytes=sum(maps[s].row_bytes * maps[s].height for s in named.sources),
            off_chip_written_bytes=written.row_bytes * written.height,
        )

    @classmethod
    def subject(cls, subjects: Subjects, tile: int, table: int) -> int:
        """The destination, which lies off chip now."""
        destination = subjects.program.tables[table].destination
        subjects.store(tile, destination)
        return destination


@register
@dataclass(frozen=True)
class Host(HostStep):
    """Has the host run the ONNX model that the table names, one sample after the other.

    Activations are dequantized before; results stay with the host, and a token says that they are
    there.

    Attributes:
        fragment: Name of the ONNX model; in a bundle, `host/NAME.onnx`.
        reads: Its inputs in order.
        destination: The token of its results.
    """

    code = 32
    lowers = "xbar.host"
    least_sources, most_sources = 0, MOST_OPERANDS
    makes = TOKENS

    fragment: Name
    reads: Annotated[tuple[HostOperand, ...], Field(max_length=MOST_OPERANDS), FIRST_MISTAKE]
    destination: Index
    type: Literal["host"] = "host"

    @property
    def sources(self) -> tuple[int, ...]:
        """Each map once, which several inputs may come from."""
        return tuple(dict.fromkeys(operand.map for operand in self.reads))

    @property
    def operands_read(self) -> tuple[HostOperand, ...]:
        """Its inputs."""
        return self.reads

    @classmethod
    def of(cls, op: Any, lowering: Lowering) -> Self:
        """The same values; the fragment is named after the call."""
        return cls(op.output.name, host_operands(op, lowering), lowering.destination(op))

    def claims(self, program: Program) -> Iterator[Claim]:
        """What leaves the chip for it; the fragment tells all else, node by node."""
        name = program.maps[self.destination].name
        for k, operand in enumerate(self.reads):
            if operand.result == CHIP:
                source = program.maps[operand.map]
                yield from leaving(name, k, source.name, source.bits)

    def check(self, check: TableCheck) -> None:
        """The name is one of a file, and all maps lie off chip."""
        super().check(check)
        good = FRAGMENT_NAME.fullmatch(self.fragment) is not None
        check.require(good, f"'{self.fragment}' is no name of a fragment.")
        name = check.target.name
        check.require(self.fragment == name, f"'{self.fragment}' is not named after '{name}'.")

    def made_by(self, state: HostState) -> NDArray[Any]:
        """The token."""
        operands: list[Any] = []
        for operand in self.reads:
            if operand.result != CHIP:
                operands.append(state.values(operand.map, operand.result))
                continue
            source = state.program.maps[operand.map]
            q = state.read_map(source)
            operands.append(quantization.dequantize_output(q, source.scale, source.zero_point))
        state.call(self.destination, self.fragment, operands)
        return np.ones((1, 1, 1, 1), np.uint8)


@register
@dataclass(frozen=True)
class Enter(HostStep):
    """Has the host quantize a tensor of reals that it has into a whole map.

    Attributes:
        value: The tensor: a result of a call, or an input of the host.
        destination: Feature map written (activations), off chip.
    """

    code = 34
    lowers = "xbar.enter"
    makes = ACTIVATIONS

    value: HostOperand
    destination: Index
    type: Literal["enter"] = "enter"

    @property
    def sources(self) -> tuple[int, ...]:
        """The token."""
        return (self.value.map,)

    @property
    def operands_read(self) -> tuple[HostOperand, ...]:
        """The tensor."""
        return (self.value,)

    @classmethod
    def of(cls, op: Any, lowering: Lowering) -> Self:
        """The same tensor."""
        (value,) = host_operands(op, lowering)
        return cls(value, lowering.destination(op))

    def claims(self, program: Program) -> Iterator[Claim]:
        """As an input of the model is quantized."""
        target = program.maps[self.destination]
        value = host_value(program, self.value)
        return entering(value, target.name, target.bits, target.dims)

    def check(self, check: TableCheck) -> None:
        """What enters is the host's, and its map lies off chip."""
        super().check(check)
        check.require(self.value.result != CHIP, "It takes what the host has, not activations.")

    def made_by(self, state: HostState) -> NDArray[Any]:
        """The quantized tensor."""
        target = state.program.maps[self.destination]
        samples = state.values(self.value.map, self.value.result)
        try:
            real = np.stack([np.asarray(x, np.float32).reshape(target.dims) for x in samples])
        # A fragment is the host's own, of which the checker knows nothing but its name.
        except (TypeError, ValueError):
            source = state.program.maps[self.value.map].name
            raise error(
                f"The host gives no {list(target.dims)} reals for '{target.name}', "
                f"result {self.value.result} of '{source}'."
            ) from None
        return quantization.quantize_input(real, target.scale, target.zero_point, target.bits)


def host_value(program: Program, operand: HostOperand) -> HostValue:
    """How the reference names a value of the host."""
    for port in program.host_inputs:
        if port.token == operand.map:
            return HostValue(port.name)
    return HostValue(program.maps[operand.map].name, operand.result)


def host_steps(program: Program) -> dict[int, HostStep]:
    """The tables of all that the host does, by their numbers."""
    return {k: table for k, table in enumerate(program.tables) if isinstance(table, HostStep)}


def host_tables(program: Program) -> list[Host]:
    """The tables of all host calls."""
    return list(program.tables_of(Host))
