"""What executed instructions use of the chip, counted for one sample, map by map.

`Counters` observes an execution; what an instruction uses, its class says (`events`).  Nothing here
looks at the IR or at data.  A layer that is split over tiles counts as one.
"""

from __future__ import annotations

from epimc.backends.crossbar.core.counts import Conversions, Counts
from epimc.backends.crossbar.core.program import Instruction, Program
from epimc.backends.crossbar.instructions.mvm import Mvm, driving
from epimc.backends.crossbar.instructions.registry import BY_NAME
from epimc.backends.crossbar.isa.subjects import SubjectObserver


class Counters(SubjectObserver):
    """Counts of one execution for one sample, by the feature map that an instruction concerns.

    A computing instruction concerns the map that it writes; a transfer, the map whose row it
    moves.

    Attributes:
        maps: For every feature map of the program.
        others: For instructions that only order tiles: `signal`, `wait`, `halt`.
        conversions: What the ADCs of layers did for all samples, where that is computed.
    """

    def __init__(self, program: Program) -> None:
        """Begin with nothing counted, for a program that is to be executed."""
        super().__init__(program)
        self.maps = [Counts() for _ in program.maps]
        self.others = Counts()
        self.conversions: dict[int, Conversions] = {}
        self._counting = True

    def converted(self, layer: int, conversions: Conversions) -> None:
        """Add it up over batches."""
        self.conversions.setdefault(layer, Conversions()).add(conversions)

    def begin(self, first: int, count: int) -> None:
        """Count the first batch only: every sample costs the same, and a batch counts as one."""
        self._counting = first == 0

    def executed(self, tile: int, number: int, instruction: Instruction) -> None:
        """Follow the rows while counting."""
        if self._counting:
            super().executed(tile, number, instruction)

    def concerns(
        self, tile: int, number: int, instruction: Instruction, subject: int | None
    ) -> None:
        """Add what the instruction uses."""
        kind = BY_NAME[instruction.opcode]
        # A signal or wait has a subject, for listings, but is no part of a layer's own work.
        counts = self.others if subject is None or kind.orders_tiles else self.maps[subject]
        counts.add(kind.events(self.program, *instruction.operands))

    def total(self) -> Counts:
        """All of the program."""
        total = Counts()
        for counts in (*self.layers().values(), self.others):
            total.add(counts)
        return total

    def layers(self) -> dict[int, Counts]:
        """Counts by layer: the map with its result, of a split layer the sum of its parts.

        The parts of a split layer run a round at the same time: it counts once.
        """
        homes = self.program.layer_of
        result: dict[int, Counts] = {}
        for index, counts in enumerate(self.maps):
            result.setdefault(homes[index], Counts()).add(counts)
        split: dict[int, dict[object, int]] = {}
        for table in self.program.tables_of(Mvm):
            numbers = driving(table)
            # A part whose arrays no round drives is never read, and there is nothing to divide by.
            if not numbers:
                continue
            # Every round of a part runs equally often: once a position.
            own = self.maps[table.destination].rounds // len(numbers)
            rounds = split.setdefault(homes[table.destination], {})
            rounds.update((table.rounds[k].identity, own) for k in numbers)
        for index, rounds in split.items():
            result[index].rounds = sum(rounds.values())
        return result
