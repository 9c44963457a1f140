"""The program as text for people: beside each instruction what it computes, moves or waits for.

Comments apart it is the canonical text, so the assembler reads it back to the same program.
"""

from __future__ import annotations

from epimc.backends.crossbar.core.program import FeatureMap, Instruction, Program
from epimc.backends.crossbar.isa.assembly import format_program
from epimc.backends.crossbar.isa.execution import DryRun
from epimc.backends.crossbar.isa.subjects import SubjectObserver
from epimc.support.origins import place_of, printable

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
    text = iter(format_program(program.streams).splitlines())
    lines = [next(text)]
    for tile, stream in enumerate(program.streams):
        lines.append(next(text))
        for number, _ in enumerate(stream):
            code, maps = next(text), trace.maps_of(tile, number)
            comment = ", ".join(dict.fromkeys(map(words, maps)))
            lines.append(f"{code.ljust(CODE_WIDTH)} ; {comment}" if comment else code)
    return "\n".join(lines) + "\n"


def words(feature: FeatureMap) -> str:
    """What is said of a map, on one line: its nodes, or its name where it has none."""
    return place_of(feature.nodes) or f"map '{printable(feature.name)}'"


class _Trace(SubjectObserver):
    """Notes the maps that each instruction of the streams works for, in all iterations."""

    def __init__(self, program: Program) -> None:
        """Execute a program without data."""
        super().__init__(program)
        # By tile and number in the stream: maps, in the order in which they are first met.
        self._maps: dict[tuple[int, int], dict[int, None]] = {}
        DryRun(program.streams, [self]).run()

    def maps_of(self, tile: int, number: int) -> list[FeatureMap]:
        """The maps that an instruction of a stream works for; one inside loops may for several."""
        return [self.program.maps[subject] for subject in self._maps.get((tile, number), ())]

    def concerns(
        self, tile: int, number: int, instruction: Instruction, subject: int | None
    ) -> None:
        """Note the map of an instruction."""
        if subject is not None:
            self._maps.setdefault((tile, number), {})[subject] = None
