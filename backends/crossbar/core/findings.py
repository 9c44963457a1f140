"""What the static checker finds: a bounded list of diagnostics, and the words for places."""

from __future__ import annotations

from epimc.backends.crossbar.core.program import Program
from epimc.support.diagnostics import Diagnostic
from epimc.support.origins import place_of

LIMIT = 20


class EnoughError(Exception):
    """There are `LIMIT` findings: whoever looks on finds nothing that would be reported."""


class Findings:
    """Diagnostics about one program, at most `LIMIT` of them."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.diagnostics: list[Diagnostic] = []
        self.input_maps = {port.map for port in program.inputs}

    def add(self, where: str, message: str, *notes: str) -> None:
        """Note a mistake; raises EnoughError when there are `LIMIT`."""
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
        # Asked for while that is checked: the map may be none of the program.
        if not 0 <= table.destination < len(self.program.maps):
            return f"table {index} ({table.name})"
        return f"table {index} ({table.name} of {self.map_words(table.destination)})"

    def map_words(self, index: int) -> str:
        """The name of a map, and what it stands for: ONNX nodes, or an input of the model."""
        target = self.program.maps[index]
        is_input = index in self.input_maps
        origin = place_of(target.nodes) or ("input" if is_input else "")
        return f"'{target.name}', {origin}" if origin else f"'{target.name}'"
