"""The interleaving of a program's streams, the same for the simulator and the checker.

Round robin over the tiles: each runs until it blocks (`send`, `recv`, `wait`) or halts.  What a
program computes does not depend on the interleaving; this one makes its course reproducible.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict

from epimc.backends.crossbar.isa import BY_NAME, HALT, Streams, format_instruction
from epimc.backends.crossbar.loops import Cursor, executed
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
        cursors: For each tile, the instruction at which it stands.
        counts: The count of every semaphore.
    """

    def __init__(self, streams: Streams) -> None:
        self.cursors = [Cursor(stream) for stream in streams]
        self.counts: dict[int, int] = defaultdict(int)

    def run(self) -> list[str]:
        """Execute all streams.

        Returns:
            Empty when every tile has halted; on a deadlock, one line for every tile that waits.
        """
        running = list(range(len(self.cursors)))
        while running:
            before = sum(cursor.executed for cursor in self.cursors)
            for tile in running:
                self._run_tile(tile)
            running = [tile for tile in running if not self._halted(tile)]
            if running and sum(cursor.executed for cursor in self.cursors) == before:
                return [f"{self.place(tile)} waits." for tile in running]
        return []

    def place(self, tile: int) -> str:
        """The instruction at which a tile stands, in words."""
        cursor = self.cursors[tile]
        assert cursor.current is not None
        return f"tile {tile}, {cursor.place}: {format_instruction(cursor.current)}"

    def current(self, tile: int) -> Instruction | None:
        """The instruction at which a tile stands; None when there is no such tile."""
        return self.cursors[tile].current if tile < len(self.cursors) else None

    def advance(self, tile: int) -> None:
        """Let a tile go on to its next instruction."""
        self.cursors[tile].advance()

    def loop(self, tile: int, count: int) -> None:
        """Begin a loop at the instruction at which a tile stands."""
        self.cursors[tile].loop(count)

    def end(self, tile: int) -> None:
        """Let a tile go back to the beginning of its loop, or leave it."""
        self.cursors[tile].end()

    def transferred(self, sender: int, receiver: int) -> tuple[int, int, int, int]:
        """A `send` and the `recv` that it meets: (address, bytes) of either."""
        send, recv = self.cursors[sender].current, self.cursors[receiver].current
        match send, recv:
            case (
                Instruction(operands=(_, int() as src, int() as size)),
                Instruction(operands=(_, int() as dst, int() as room)),
            ):
                return src, size, dst, room
        raise TypeError("no send that meets a recv")

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
        cursor = self.cursors[tile]
        while (instruction := cursor.current) is not None:
            if not BY_NAME[instruction.opcode].execute(self, tile, *instruction.operands):
                return
            cursor.advance()


def buffer_extent(program: Program, tile: int) -> int:
    """Bytes of a tile's buffer up to the last that its stream names, a multiple of 8.

    A ring counts whole, since some of its rows may never be written.
    """
    end = 0
    for instruction in executed(program.streams[tile]):
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
