"""The interleaving of a program's streams, the same for the simulator and the checker.

An execution steps through the streams; which tile goes on next is for a strategy to say, and
observers are told of every instruction that is finished.  What a program computes does not depend
on the interleaving; a strategy makes its course reproducible.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from numpy.typing import NDArray

from epimc.backends.crossbar.core.counts import Conversions
from epimc.backends.crossbar.core.program import (
    FeatureMap,
    Instruction,
    Ring,
    Streams,
)
from epimc.backends.crossbar.instructions.registry import BY_NAME, format_instruction
from epimc.backends.crossbar.isa.loops import Cursor


class Observer:
    """Told of what an execution does; by itself it lets everything pass.

    Attributes:
        watches_instructions: Whether it must be told of instructions, for which streams are walked.
        watches_rows: Whether it must be told of rows, for which every map is computed by itself.
    """

    watches_instructions: ClassVar[bool] = True
    watches_rows: ClassVar[bool] = True

    def begin(self, first: int, count: int) -> None:
        """An execution begins: of `count` samples, from number `first` on."""

    def executed(self, tile: int, number: int, instruction: Instruction) -> None:
        """A tile has finished an instruction: its number in the stream, its operands of now.

        A `send` comes right before the `recv` that it meets, a `halt` when all tiles have halted.
        """

    def computed(self, target: FeatureMap, first: int, rows: NDArray[Any]) -> None:
        """Rows of a map have been computed, from row `first` on: integers [batch, C, rows, W].

        Of any type that holds them, and only until it returns.
        """

    def converted(self, layer: int, conversions: Conversions) -> None:
        """What the ADCs of a layer did for all samples of an execution, where that is computed.

        The layer is the number of the map that holds its result.
        """


class Steps(Protocol):
    """What a strategy sees of an execution."""

    @property
    def tiles(self) -> int:
        """How many there are."""

    def step(self, tile: int) -> bool:
        """Let a tile execute an instruction; False when it has to wait, or has halted."""

    def halted(self, tile: int) -> bool:
        """Whether a tile has reached its end."""


class Strategy(Protocol):
    """Decides which tile goes on next."""

    def run(self, steps: Steps) -> None:
        """Step until no tile can go on."""


class RoundRobin:
    """Tile after tile, each until it has to wait."""

    def run(self, steps: Steps) -> None:
        """Round after round, as long as a round brings any tile on."""
        running, moved = list(range(steps.tiles)), True
        while running and moved:
            moved = False
            for tile in running:
                while steps.step(tile):
                    moved = True
            running = [tile for tile in running if not steps.halted(tile)]


class Execution(ABC):
    """A machine (`instructions.Machine`) that steps through streams; subclasses move the rows.

    Attributes:
        cursors: For each tile, the instruction at which it stands.
        counts: The count of every semaphore.
        observers: Who is told of what is done, in this order.
    """

    def __init__(
        self,
        streams: Streams,
        observers: Sequence[Observer] = (),
        strategy: Strategy | None = None,
    ) -> None:
        """Stand at the beginning of all streams.

        Args:
            streams: What to execute.
            observers: Who is told.
            strategy: Which tile goes on next; RoundRobin unless told.
        """
        self.cursors = [Cursor(stream) for stream in streams]
        self.counts: dict[int, int] = defaultdict(int)
        self.observers = tuple(observers)
        self.strategy = strategy or RoundRobin()

    @property
    def tiles(self) -> int:
        """How many streams there are."""
        return len(self.cursors)

    def run(self) -> list[str]:
        """Execute all streams.

        Returns:
            Empty when every tile has halted; on a deadlock, one line for every tile that waits.
        """
        self.strategy.run(self)
        waiting = [tile for tile in range(self.tiles) if not self.halted(tile)]
        if waiting:
            return [f"{self.place(tile)} waits." for tile in waiting]
        # Only now: a tile that has halted in a deadlock has not ended a program.
        for tile, cursor in enumerate(self.cursors):
            if cursor.current is not None:
                self._tell(tile, cursor.index, cursor.current)
        return []

    def step(self, tile: int) -> bool:
        """Let a tile execute an instruction; False when it has to wait, or has halted."""
        instruction = self.cursors[tile].current
        if instruction is None:
            return False
        # A transfer finishes the instructions of two tiles at once.
        finished = BY_NAME[instruction.opcode].execute(self, tile, *instruction.operands)
        for other in finished:
            cursor = self.cursors[other]
            # Before it goes on: observers get the operands of the iteration that is finished.
            number, done = cursor.index, cursor.current
            cursor.advance()
            if self.observers and done is not None:
                self._tell(other, number, done)
        return bool(finished)

    def halted(self, tile: int) -> bool:
        """Whether a tile has reached its end."""
        instruction = self.cursors[tile].current
        return instruction is None or BY_NAME[instruction.opcode].is_last

    def _tell(self, tile: int, number: int, instruction: Instruction) -> None:
        for observer in self.observers:
            observer.executed(tile, number, instruction)

    def place(self, tile: int) -> str:
        """The instruction at which a tile stands, in words."""
        cursor = self.cursors[tile]
        assert cursor.current is not None
        return f"tile {tile}, {cursor.place}: {format_instruction(cursor.current)}"

    def current(self, tile: int) -> Instruction | None:
        """The instruction at which a tile stands; None when there is no such tile."""
        return self.cursors[tile].current if tile < len(self.cursors) else None

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
        self, tile: int, table: int, rows: tuple[int, int], dst: Ring, sources: tuple[Ring, ...]
    ) -> None:
        """Compute output rows of a table's destination map, in order."""

    @abstractmethod
    def direct(self, tile: int, table: int, rows: tuple[int, int], window: int, size: int) -> None:
        """The same from off-chip memory to off-chip memory, through bytes of the buffer."""


class DryRun(Execution):
    """Executes a program without data, for what observers make of it."""

    def load(self, tile: int, dst: int, src: int, size: int) -> None:
        """Nothing moves: observers are told the addresses."""

    def store(self, tile: int, dst: int, src: int, size: int) -> None:
        """Nothing moves: observers are told the addresses."""

    def transfer(self, sender: int, receiver: int) -> None:
        """Nothing moves, though both tiles go on."""

    def host(self, tile: int, table: int) -> None:
        """Nothing is computed, and no host is needed."""

    def compute(
        self, tile: int, table: int, rows: tuple[int, int], dst: Ring, sources: tuple[Ring, ...]
    ) -> None:
        """Nothing is computed: observers are told table and rows."""

    def direct(self, tile: int, table: int, rows: tuple[int, int], window: int, size: int) -> None:
        """Nothing is computed, as above."""
