"""Which feature map each executed instruction works for: an observer that others build on."""

from __future__ import annotations

from epimc.backends.crossbar.core.program import Instruction, Program
from epimc.backends.crossbar.instructions.registry import BY_NAME
from epimc.backends.crossbar.isa.execution import Observer


class SubjectObserver(Observer):
    """Follows all rows of a good program, and tells the map of every instruction to `concerns`.

    It is what instructions put their rows into (`declaration.Subjects`).
    """

    watches_rows = False

    def __init__(self, program: Program) -> None:
        """Begin where nothing lies in any buffer."""
        self.program = program
        self._rows: list[dict[int, int]] = [{} for _ in program.streams]
        self._sent: dict[tuple[int, int], int] = {}
        self._stored: dict[int, int] = {}
        self._signalled: dict[int, int | None] = {}

    def executed(self, tile: int, number: int, instruction: Instruction) -> None:
        """Find the map, and pass it on."""
        kind = BY_NAME[instruction.opcode]
        subject = kind.subject(self, tile, *instruction.operands)
        self.concerns(tile, number, instruction, subject)

    def concerns(
        self, tile: int, number: int, instruction: Instruction, subject: int | None
    ) -> None:
        """An instruction has been executed for a map, named by its number; None: for none."""

    def put(self, tile: int, address: int, subject: int) -> None:
        """A row of a map now lies at an address of a tile's buffer."""
        self._rows[tile][address] = subject

    def at(self, tile: int, address: int) -> int:
        """The map whose row lies at an address of a tile's buffer."""
        return self._rows[tile][address]

    def send(self, sender: int, receiver: int, subject: int) -> None:
        """A row of a map is on its way from tile to tile."""
        self._sent[sender, receiver] = subject

    def receive(self, sender: int, receiver: int) -> int:
        """The map whose row has just been sent from tile to tile."""
        return self._sent.pop((sender, receiver))

    def store(self, tile: int, subject: int) -> None:
        """A tile has brought (a row of) a map off chip."""
        self._stored[tile] = subject

    def stored(self, tile: int) -> int | None:
        """The map that a tile has last brought off chip."""
        return self._stored.get(tile)

    def signal(self, semaphore: int, subject: int | None) -> None:
        """A semaphore tells of a map."""
        self._signalled[semaphore] = subject

    def signalled(self, semaphore: int) -> int | None:
        """The map that a semaphore has last told of."""
        return self._signalled.get(semaphore)
