"""Which parts of buffers and of off-chip memory a program uses: no more of them need be there."""

from __future__ import annotations

from collections.abc import Iterable

from epimc.backends.crossbar.core.program import NO_ADDRESS, Program
from epimc.backends.crossbar.instructions.registry import BY_NAME
from epimc.backends.crossbar.isa.extremes import samples, with_counts

Region = tuple[int, int]
"""First address, and that behind the last."""


def buffer_regions(program: Program, tile: int) -> list[Region]:
    """Those of a tile's buffer that its stream names; the program is good."""
    spans: set[Region] = set()
    for _, instruction, counts in with_counts(program.streams[tile]):
        kind = BY_NAME[instruction.opcode]
        low, high, *_ = (
            list(kind.buffer_spans(program, *sample.operands))
            for sample in samples(instruction, counts)
        )
        spans.update((begin, end) for (begin, _), (_, end) in zip(low, high, strict=True))
    return joined(spans)


def off_chip_regions(program: Program) -> list[Region]:
    """Those of off-chip memory in which maps lie."""
    placed = (m for m in program.maps if m.address != NO_ADDRESS)
    return joined((m.address, m.address + m.height * m.row_stride) for m in placed)


def joined(regions: Iterable[Region]) -> list[Region]:
    """Regions that lie apart, in order, of regions in any order that may overlap or touch."""
    apart: list[Region] = []
    for begin, end in sorted(regions):
        if apart and begin <= apart[-1][1]:
            apart[-1] = apart[-1][0], max(apart[-1][1], end)
        else:
            apart.append((begin, end))
    return apart


def sample_bytes(program: Program) -> int:
    """The bytes of memory that a sample takes while a good program is executed."""
    tiles = range(len(program.streams))
    regions = [region for tile in tiles for region in buffer_regions(program, tile)]
    return sum(end - begin for begin, end in (*regions, *off_chip_regions(program)))
