"""What the static checker found: a bounded list of diagnostics, and the words for places."""

from __future__ import annotations

from epimc.backends.crossbar.program import (
    AddTable,
    ConcatTable,
    ConstantTable,
    HostTable,
    LookupTable,
    MultiplyTable,
    MvmTable,
    PadTable,
    PoolTable,
    Program,
    RearrangeTable,
    RequantizeTable,
    SelectTable,
)
from epimc.diagnostics import Diagnostic
from epimc.origins import place_of

LIMIT = 20

OPERATIONS: dict[type, str] = {
    MvmTable: "mvm",
    RequantizeTable: "requantize",
    PoolTable: "pool",
    RearrangeTable: "rearrange",
    AddTable: "add",
    MultiplyTable: "multiply",
    LookupTable: "lookup",
    ConcatTable: "concat",
    PadTable: "pad",
    SelectTable: "select",
    ConstantTable: "constant",
    HostTable: "host",
}


class EnoughError(Exception):
    """The report is full."""


class Report:
    """Diagnostics about one program, at most `LIMIT` of them."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.diagnostics: list[Diagnostic] = []

    def add(self, where: str, message: str, *notes: str) -> None:
        """Note a mistake; raises EnoughError when the report is full."""
        self.diagnostics.append(Diagnostic(message, where, notes))
        if len(self.diagnostics) >= LIMIT:
            raise EnoughError

    def require(self, condition: bool, where: str, message: str) -> bool:
        """Note a mistake unless a condition holds, which is returned."""
        if not condition:
            self.add(where, message)
        return condition

    def map_place(self, index: int) -> str:
        """A feature map in words."""
        return f"map {index} ({self.map_words(index)})"

    def table_place(self, index: int) -> str:
        """A table in words, with the map it computes where that exists."""
        table = self.program.tables[index]
        operation = OPERATIONS[type(table)]
        if not 0 <= table.destination < len(self.program.maps):
            return f"table {index} ({operation})"
        return f"table {index} ({operation} of {self.map_words(table.destination)})"

    def map_words(self, index: int) -> str:
        """The name of a map, and what it stands for: ONNX nodes, or an input of the model."""
        held = self.program.maps[index]
        is_input = any(port.map == index for port in self.program.inputs)
        origin = place_of(held.nodes) or ("input" if is_input else "")
        return f"'{held.name}', {origin}" if origin else f"'{held.name}'"
