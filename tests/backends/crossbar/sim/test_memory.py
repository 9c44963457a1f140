"""Memory where a program names it: nothing grows with the size of a buffer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from epimc.backends.crossbar.check.checker import check
from epimc.backends.crossbar.core.program import Program
from epimc.backends.crossbar.isa.assembly import format_program, parse_program
from epimc.backends.crossbar.isa.execution import Observer
from epimc.backends.crossbar.isa.regions import (
    buffer_regions,
    joined,
    off_chip_regions,
    sample_bytes,
)
from epimc.backends.crossbar.lower.roll import roll
from epimc.backends.crossbar.sim.memory import Memory
from epimc.backends.crossbar.sim.simulator import ENGINES, Simulator
from epimc.support.diagnostics import EpimcError
from tests.backends.crossbar.programs import PROGRAMS

FAR = 2**30 - 1024
TILES = 312


def far_away() -> Program:
    """The convolution, with a ring at the end of a buffer of 1 GiB, its output at that of 1 TiB."""
    program = PROGRAMS["conv"]()
    source, target = program.maps[0], program.maps[2]
    place = 2**40 - target.height * target.row_stride
    text = format_program(roll(program.streams)).replace("0x48:1", f"{FAR:#x}:1")
    for row in (0, target.height - 1):
        address = target.address + row * target.row_stride
        text = text.replace(f"dst={address:#x}", f"dst={place + row * target.row_stride:#x}")
    text += "".join(f".tile {tile}\nhalt\n" for tile in range(1, TILES))
    chip = replace(program.chip, tiles=TILES, buffer_bytes=2**30, off_chip_bytes=2**40)
    maps = (source, program.maps[1], replace(target, address=place))
    return replace(program, chip=chip, maps=maps, streams=parse_program(text, "p.asm"))


def test_a_program_at_the_end_of_huge_memories() -> None:
    program, huge = PROGRAMS["conv"](), far_away()
    assert check(huge) == []
    assert buffer_regions(huge, 0)[-1][1] > FAR
    assert off_chip_regions(huge)[-1][1] == 2**40
    assert sample_bytes(huge) == sample_bytes(program)
    (port,) = program.inputs
    x = {
        port.name: np.random.default_rng(0)
        .standard_normal((3, *(port.shape or ())))
        .astype(np.float32)
    }
    for path in ("fused", "bit-serial"):
        mine, theirs = (Simulator(p, path=path, engine="bytes").run(x) for p in (huge, program))
        assert all(np.array_equal(mine[name], theirs[name]) for name in theirs)


class Batches(Observer):
    """Notes how many samples each batch has."""

    watches_rows = False

    def __init__(self) -> None:
        self.counts: list[int] = []

    def begin(self, first: int, count: int) -> None:
        self.counts.append(count)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_batch_is_no_larger_than_its_memory(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = PROGRAMS["conv"]()
    needed = Simulator(program, engine=engine).engine.sample_bytes(watched=False)
    assert engine == "ssa" or needed == sample_bytes(program)
    limit = "epimc.backends.crossbar.sim.simulator.DEFAULT_BYTES"
    batches = Batches()
    inputs = {"x": np.zeros((100, *program.maps[0].dims), np.float32)}
    Simulator(program, engine=engine).run(inputs, [batches])
    assert batches.counts == [64, 36]
    monkeypatch.setattr(limit, 3 * needed + 1)
    batches = Batches()
    Simulator(program, engine=engine).run({"x": inputs["x"][:7]}, [batches])
    assert batches.counts == [3, 3, 1]
    monkeypatch.setattr(limit, needed - 1)
    with pytest.raises(EpimcError) as caught:
        Simulator(program, engine=engine)
    assert str(caught.value) == (
        f"error: A sample takes {needed} bytes of memory; the limit is {needed - 1}."
    )


def test_regions_are_joined() -> None:
    assert joined([(8, 16), (0, 8), (24, 32), (26, 28), (40, 48)]) == [(0, 16), (24, 32), (40, 48)]
    assert joined([]) == []


def test_memory_is_that_of_its_regions() -> None:
    memory = Memory(2, [(8, 24), (2**40, 2**40 + 8)])
    memory.at(2**40, 8)[...] = 7
    memory.at(16, 8)[1] = 3
    assert memory.at(2**40 + 4, 4).tolist() == [[7] * 4] * 2
    assert memory.at(8, 16).sum() == 24
