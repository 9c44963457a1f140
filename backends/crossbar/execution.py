"""The interleaving of a program's streams, the same for the simulator and the checker.

Round robin over the tiles: each runs until it blocks (`send`, `recv`, `wait`) or halts.  What a
program computes does not depend on the interleaving; this one makes its course reproducible.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict

from epimc.backends.crossbar.isa import BY_NAME, HALT, Streams, format_instruction
from epimc.backends.crossbar.program import (
    ALIGNMENT,
    Instruction,
    Program,
    Ring,
    table_sources,
)


class Execution(ABC):
    """A machine (`isa.Machine`) that steps through the streams; subclasses move the rows.

    Attributes:
        streams: One stream a tile.
        position: For each tile, the number of the instruction at which it stands.
        counts: The count of every semaphore.
    """

    def __init__(self, streams: Streams) -> None:
        self.streams = streams
        self.position = [0] * len(streams)
        self.counts: dict[int, int] = defaultdict(int)

    def run(self) -> list[str]:
        """Execute all streams.

        Returns:
            Empty when every tile has halted; on a deadlock, one line for every tile that waits.
        """
        running = [tile for tile, stream in enumerate(self.streams) if stream]
        while running:
            before = sum(self.position)
            for tile in running:
                self._run_tile(tile)
            running = [tile for tile in running if not self._halted(tile)]
            if running and sum(self.position) == before:
                return [f"{self.place(tile)} waits." for tile in running]
        return []

    def place(self, tile: int) -> str:
        """The instruction at which a tile stands, in words."""
        instruction = format_instruction(self.streams[tile][self.position[tile]])
        return f"tile {tile}, instruction {self.position[tile]}: {instruction}"

    def current(self, tile: int) -> Instruction | None:
        """The instruction at which a tile stands; None when there is no such tile."""
        if tile >= len(self.streams) or self.position[tile] >= len(self.streams[tile]):
            return None
        return self.streams[tile][self.position[tile]]

    def advance(self, tile: int) -> None:
        """Let a tile go on to its next instruction."""
        self.position[tile] += 1

    def signal(self, tile: int, semaphore: int) -> None:
        """Add 1 to the count of a semaphore."""
        self.counts[semaphore] += 1

    def wait(self, tile: int, semaphore: int, count: int) -> bool:
        """Whether a semaphore has reached a count."""
        return self.counts[semaphore] >= count

    @abstractmethod
    def load(self, tile: int, dst: int, src: int, size: int) -> None:
        """Move `size` bytes from off-chip memory to a tile's buffer."""

    @abstractmethod
    def store(self, tile: int, dst: int, src: int, size: int) -> None:
        """Move `size` bytes from a tile's buffer to off-chip memory."""

    @abstractmethod
    def transfer(self, sender: int, receiver: int) -> None:
        """Move a row from the `send` at which one tile stands to the other's `recv`."""

    @abstractmethod
    def host(self, tile: int, table: int) -> None:
        """Have the host compute a table's destination map, off chip."""

    @abstractmethod
    def compute(
        self,
        tile: int,
        operation: str,
        table: int,
        rows: tuple[int, int],
        dst: Ring,
        sources: tuple[Ring, ...],
    ) -> None:
        """Compute output rows of a table's destination map, in order."""

    def _halted(self, tile: int) -> bool:
        instruction = self.current(tile)
        return instruction is None or instruction.opcode == HALT

    def _run_tile(self, tile: int) -> None:
        stream, position = self.streams[tile], self.position
        while position[tile] < len(stream):
            instruction = stream[position[tile]]
            if not BY_NAME[instruction.opcode].execute(self, tile, *instruction.operands):
                return
            position[tile] += 1


def buffer_extent(program: Program, tile: int) -> int:
    """Bytes of a tile's buffer up to the last that its stream names, a multiple of 8.

    A ring counts whole, since some of its rows may never be written.
    """
    end = 0
    for instruction in program.streams[tile]:
        match instruction.opcode, instruction.operands:
            case "load", (int() as address, _, int() as size):
                end = max(end, address + size)
            case "recv", (_, int() as address, int() as size):
                end = max(end, address + size)
            case _, (int() as index, tuple(), Ring() as ring, tuple() as sources):
                table = program.tables[index]
                maps = (table.destination, *table_sources(table))
                for held, place in zip(maps, (ring, *sources), strict=True):
                    assert isinstance(place, Ring)
                    end = max(end, place.address + place.rows * program.maps[held].row_stride)
            case _:
                pass
    return -(-end // ALIGNMENT) * ALIGNMENT
