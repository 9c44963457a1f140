"""The program as text for people: beside each instruction what it computes, moves or waits for.

Comments apart it is the canonical text, so the assembler reads it back to the same program.
"""

from __future__ import annotations

from bisect import bisect_right

from epimc.backends.crossbar.assembler import format_program
from epimc.backends.crossbar.execution import Execution
from epimc.backends.crossbar.program import FeatureMap, Program, Ring
from epimc.origins import place_of, printable

# The columns kept free for instructions; a longer one has its comment right behind it.
CODE_WIDTH = 72


def list_program(program: Program) -> str:
    """The canonical text with comments; ends in a newline.

    Behind each instruction stand the ONNX nodes whose rows it computes, moves or counts, in all
    iterations of the loops around it.

    Args:
        program: A program that the checker accepts.
    """
    trace = _Trace(program)
    trace.run()
    text = iter(format_program(program.streams).splitlines())
    lines = [next(text)]
    for tile, stream in enumerate(program.streams):
        lines.append(next(text))
        for number, _ in enumerate(stream):
            code, maps = next(text), trace.maps_of(tile, number)
            found = ", ".join(dict.fromkeys(map(words, maps)))
            lines.append(f"{code.ljust(CODE_WIDTH)} ; {found}" if found else code)
    return "\n".join(lines) + "\n"


def words(held: FeatureMap) -> str:
    """What is said of a map, on one line: its nodes, or its name where it has none."""
    return place_of(held.nodes) or f"map '{printable(held.name)}'"


class _Trace(Execution):
    """Executes a program without data, and notes the map that each instruction works for."""

    def __init__(self, program: Program) -> None:
        super().__init__(program.streams)
        self.program = program
        # By tile and number in the stream: maps, in the order in which they are first met.
        self.found: dict[tuple[int, int], list[int]] = {}
        # By tile: the map whose row lies at an address of the buffer, and the map last stored.
        self.rows: list[dict[int, int]] = [{} for _ in program.streams]
        self.stored: dict[int, int] = {}
        self.semaphores: dict[int, int] = {}
        maps = enumerate(program.maps)
        self.regions = sorted((held.address, number) for number, held in maps if held.address >= 0)

    def maps_of(self, tile: int, number: int) -> list[FeatureMap]:
        """The maps that an instruction of a stream works for; one inside loops may for several."""
        return [self.program.maps[found] for found in self.found.get((tile, number), [])]

    def note(self, tile: int, found: int) -> None:
        """The map of the instruction at which a tile stands."""
        maps = self.found.setdefault((tile, self.cursors[tile].index), [])
        if found not in maps:
            maps.append(found)

    def off_chip(self, address: int) -> int:
        """The map that lies at an off-chip address."""
        return self.regions[bisect_right(self.regions, (address, len(self.program.maps))) - 1][1]

    def load(self, tile: int, dst: int, src: int, size: int) -> None:
        self.rows[tile][dst] = self.off_chip(src)
        self.note(tile, self.rows[tile][dst])

    def store(self, tile: int, dst: int, src: int, size: int) -> None:
        self.stored[tile] = self.off_chip(dst)
        self.note(tile, self.stored[tile])

    def transfer(self, sender: int, receiver: int) -> None:
        src, _, dst, _ = self.transferred(sender, receiver)
        found = self.rows[sender][src]
        self.rows[receiver][dst] = found
        self.note(sender, found)
        self.note(receiver, found)

    def signal(self, tile: int, semaphore: int) -> None:
        super().signal(tile, semaphore)
        if tile in self.stored:
            self.semaphores[semaphore] = self.stored[tile]
            self.note(tile, self.stored[tile])

    def wait(self, tile: int, semaphore: int, count: int) -> bool:
        met = super().wait(tile, semaphore, count)
        if met and semaphore in self.semaphores:
            self.note(tile, self.semaphores[semaphore])
        return met

    def host(self, tile: int, table: int) -> None:
        self.stored[tile] = self.program.tables[table].destination
        self.note(tile, self.stored[tile])

    def compute(
        self,
        tile: int,
        operation: str,
        table: int,
        rows: tuple[int, int],
        dst: Ring,
        sources: tuple[Ring, ...],
    ) -> None:
        found = self.program.tables[table].destination
        stride = self.program.maps[found].row_stride
        for row in range(*rows):
            self.rows[tile][dst.address + row % dst.rows * stride] = found
        self.note(tile, found)
