"""All instructions by name, by opcode, and by the op of the compiler that they execute."""

from __future__ import annotations

from typing import TypeVar

from epimc.backends.crossbar.core.program import Instruction
from epimc.backends.crossbar.instructions.declaration import DeclaredInstruction

BY_NAME: dict[str, type[DeclaredInstruction]] = {}
BY_CODE: dict[int, type[DeclaredInstruction]] = {}
BY_OP: dict[str, type[DeclaredInstruction]] = {}

# The binary keeps the highest bit of an opcode for itself.
CODES = 128

D = TypeVar("D", bound=type[DeclaredInstruction])


def register(kind: D) -> D:
    """Make an instruction known to the assembler, the encoding, bundles, checker and simulator.

    Raises:
        ValueError: Its name or its opcode is taken, or the opcode does not fit.
    """
    # BY_OP never holds the empty name, which stands for no op.
    for other in (BY_NAME.get(kind.name), BY_CODE.get(kind.code), BY_OP.get(kind.lowers)):
        if other is not None:
            raise ValueError(f"instruction '{kind.name}' ({kind.code}) meets '{other.name}'")
    if not 0 <= kind.code < CODES:
        raise ValueError(f"the opcode {kind.code} of '{kind.name}' does not fit")
    BY_NAME[kind.name] = BY_CODE[kind.code] = kind
    if kind.lowers:
        BY_OP[kind.lowers] = kind
    return kind


def unregister(kind: type[DeclaredInstruction]) -> None:
    """Forget an instruction, as if it had never been registered."""
    del BY_NAME[kind.name], BY_CODE[kind.code]
    BY_OP.pop(kind.lowers, None)


def instructions() -> list[type[DeclaredInstruction]]:
    """All instructions, by opcode."""
    return [BY_CODE[code] for code in sorted(BY_CODE)]


def format_instruction(instruction: Instruction) -> str:
    """The canonical text of one instruction, on one line, without indentation."""
    kind = BY_NAME[instruction.opcode]
    pairs = zip(kind.operands, instruction.operands, strict=True)
    operands = ", ".join(f"{op.name}={op.kind.format(value)}" for op, value in pairs)
    return f"{kind.name} {operands}" if operands else kind.name
