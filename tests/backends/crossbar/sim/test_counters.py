"""What the simulator counts, against counts by hand and against what really happens."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from epimc.backends.crossbar.core.counts import Counts
from epimc.backends.crossbar.core.program import Program
from epimc.backends.crossbar.core.rounds import OfatEntry
from epimc.backends.crossbar.instructions.mvm import Mvm, position_counts
from epimc.backends.crossbar.kernels.bit_serial import BitSerialMvm, Read
from epimc.backends.crossbar.kernels.sampling import column_destinations
from epimc.backends.crossbar.sim.counters import Counters
from epimc.backends.crossbar.sim.simulator import Simulator
from epimc.ir.semantics import arrays
from tests.backends.crossbar.layer_tallies import layer_tallies
from tests.backends.crossbar.programs import PROGRAMS, sum_and_mean

pytestmark = pytest.mark.smoke


def counted(program: Program, samples: int = 1, **options: Any) -> Counters:
    """The counts of an execution on zeros."""
    counters = Counters(program)
    inputs = {p.name: np.zeros((samples, *(p.shape or ())), np.float32) for p in program.inputs}
    Simulator(program, host=sum_and_mean, **options).run(inputs, [counters])
    return counters


def by_name(program: Program, counters: Counters) -> dict[str, Counts]:
    """The counts of every layer by the name of its map."""
    return {program.maps[index].name: counts for index, counts in counters.layers().items()}


def test_an_epitome_convolution() -> None:
    """30 positions, 4 input slices; 3 rounds that drive 18 word lines of one array.

    Two epitome columns in two slices and the reference are 5 physical columns; the first round
    has two destinations for each.
    """
    program = PROGRAMS["conv"]()
    counters = counted(program)
    assert by_name(program, counters) == {
        "x": Counts(instructions=5, off_chip_read_bytes=120, buffer_written_bytes=120),
        "acc": Counts(
            instructions=5,
            rounds=3 * 30,
            array_reads=3 * 4 * 30,
            array_reads_without_reuse=(2 + 1 + 1) * 4 * 30,
            adc_conversions=3 * 5 * 4 * 30,
            dac_drives=3 * 18 * 4 * 30,
            multiply_adds=(4 + 2 + 2) * 30,
            # The first and the last row read two rows of 24 bytes, the others three.
            buffer_read_bytes=(2 + 3 + 3 + 3 + 2) * 24,
            buffer_written_bytes=5 * 192,
        ),
        "y": Counts(
            instructions=10,
            buffer_read_bytes=5 * 192 + 5 * 24,
            buffer_written_bytes=5 * 24,
            off_chip_written_bytes=5 * 24,
        ),
    }
    assert counters.others == Counts(instructions=1)


def test_a_split_layer_counts_as_one() -> None:
    """Two parts on two tiles; 7 physical columns over two arrays, and over one."""
    program = PROGRAMS["split"]()
    counters = counted(program)
    layers = by_name(program, counters)
    assert set(layers) == {"x", "acc", "y"}
    layer, first, second = layers["acc"], counters.maps[1], counters.maps[2]
    assert layer.rounds == first.rounds == second.rounds == 9
    assert (first.array_reads, second.array_reads) == (2 * 4 * 9, 4 * 9)
    assert (first.adc_conversions, second.adc_conversions) == (7 * 4 * 9, 7 * 4 * 9)
    assert (first.dac_drives, second.dac_drives) == (2 * 20 * 4 * 9, 16 * 4 * 9)
    assert layer.array_reads == 3 * 4 * 9
    assert layer.multiply_adds == 2 * 3 * 9
    # Partial sums: three rows of 72 bytes go from tile 1 to tile 0.
    assert second.sent_bytes == 3 * 72
    assert layers["x"].sent_bytes == layers["x"].off_chip_read_bytes == 6 * 24
    assert layers["x"].instructions == 3 * 6


def test_packs_of_groups() -> None:
    """16 and 4 positions, 4 input slices; arrays of several packs are driven in one round."""
    program = PROGRAMS["groups"]()
    counters = counted(program)
    # One round: 36 word lines of two arrays with 6 and 2 slices and a reference column each.
    first = counters.maps[1]
    assert first.rounds == 16
    assert first.array_reads == first.array_reads_without_reuse == 2 * 4 * 16
    assert first.adc_conversions == (7 + 3) * 4 * 16
    assert first.dac_drives == 36 * 4 * 16
    assert first.multiply_adds == 4 * 16
    # Round 0 drives all four arrays, round 1 not the one with the first rows of group 1.
    second = counters.maps[3]
    assert second.rounds == 2 * 4
    assert second.array_reads == second.array_reads_without_reuse == (4 + 3) * 4 * 4
    assert second.adc_conversions == (3 + 4 + 7 + 7 + 3 + 4 + 7) * 4 * 4
    assert second.dac_drives == 2 * (4 + 4 + 4) * 4 * 4
    assert second.multiply_adds == 2 * 6 * 4


def test_what_stands_between_layers() -> None:
    """No crossbar is read; a map of one row is read for every row that it multiplies."""
    program = PROGRAMS["vector"]()
    layers = by_name(program, counted(program))
    assert layers["bent"] == Counts(
        instructions=3, buffer_read_bytes=3 * 4, buffer_written_bytes=3 * 4
    )
    assert layers["gated"].buffer_read_bytes == 3 * (4 + 2)
    assert layers["gated"].buffer_written_bytes == 3 * 32
    assert layers["joined"].buffer_read_bytes == layers["joined"].buffer_written_bytes == 3 * 12
    # Only the rows of the map that is padded are read; six rows of 45 bytes are stored.
    assert layers["y"].buffer_read_bytes == 3 * 12 + 6 * 45
    assert layers["y"].buffer_written_bytes == layers["y"].off_chip_written_bytes == 6 * 45
    assert sum(counts.array_reads + counts.multiply_adds for counts in layers.values()) == 0


def test_spilled_rows_and_semaphores() -> None:
    program = PROGRAMS["spill"]()
    counters = counted(program)
    spilled = by_name(program, counters)["h"]
    assert spilled.off_chip_written_bytes == spilled.off_chip_read_bytes == 4 * 12
    # Four signals, four waits, two halts.
    assert counters.others == Counts(instructions=10)


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_instruction_counts_once(name: str) -> None:
    program = PROGRAMS[name]()
    expected = sum(len(stream) for stream in program.streams)
    assert counted(program).total().instructions == expected


@pytest.mark.parametrize("name", PROGRAMS)
def test_neither_samples_nor_paths_matter(name: str) -> None:
    program = PROGRAMS[name]()
    expected = counted(program).layers()
    assert counted(program, samples=5, batch=2).layers() == expected
    assert counted(program, path="bit-serial", engine="bytes").layers() == expected


def test_nothing_is_executed_for_no_samples() -> None:
    assert asdict(counted(PROGRAMS["conv"](), samples=0).total()) == asdict(Counts())


@pytest.mark.parametrize("name", PROGRAMS)
def test_counts_are_what_the_bit_serial_path_does(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reads, drives and conversions, counted where the arrays are really read."""
    program = PROGRAMS[name]()
    done: dict[int, list[int]] = {}
    original = BitSerialMvm.read

    def read(self: BitSerialMvm, read: Read, columns: arrays.Ints) -> arrays.Ints:
        lines, events = len(read.positions), columns.shape[1] * self.slices
        totals = done.setdefault(id(self.part), [0, 0, 0])
        for k, number in enumerate((1, lines, read.array.columns)):
            totals[k] += number * events
        return original(self, read, columns)

    monkeypatch.setattr(BitSerialMvm, "read", read)
    counters = counted(program, path="bit-serial", engine="bytes")
    tables = [table for table in program.tables if isinstance(table, Mvm)]
    assert set(done) == {id(table) for table in tables}
    for table in tables:
        counts = counters.maps[table.destination]
        # In these programs every round uses all columns.
        events = [counts.array_reads, counts.dac_drives, counts.adc_conversions]
        assert events == done[id(table)]


def test_columns_without_a_destination_are_not_converted() -> None:
    table = next(t for t in PROGRAMS["conv"]().tables if isinstance(t, Mvm))
    first = table.rounds[0]
    narrow = replace(first, ofat=(OfatEntry(1, 1, 0, 1, False),))
    assert column_destinations(table, first).tolist() == [2, 2, 2, 2, 1]
    assert column_destinations(table, narrow).tolist() == [0, 0, 1, 1, 1]
    counts = position_counts(replace(table, rounds=(narrow,)), 4)
    assert (counts.array_reads, counts.adc_conversions, counts.multiply_adds) == (4, 4 * 3, 1)


@pytest.mark.parametrize("name", ["conv", "split", "groups"])
@pytest.mark.parametrize("path", ["bit-serial", "auto"])
@pytest.mark.parametrize("engine", ["ssa", "bytes"])
def test_conversions_are_those_of_the_cells_one_by_one(name: str, path: str, engine: str) -> None:
    program = PROGRAMS[name]()
    program = replace(program, chip=replace(program.chip, adc_bits=2, rows_per_read=5))
    random = np.random.default_rng(5)
    ports = program.chip_inputs
    inputs = {p.name: random.uniform(-3, 30, (3, *p.shape)).astype(np.float32) for p in ports}
    tallies = layer_tallies(program, inputs, path)
    counters = Counters(program)
    # Batch after batch, on two threads.
    Simulator(program, path=path, batch=2, threads=2, engine=engine).run(inputs, [counters])
    conversions = counters.conversions
    assert {n: each.clipped for n, each in conversions.items()} == {
        n: tally.clipped for n, tally in tallies.items()
    }
    assert any(tally.clipped for tally in tallies.values())
    # Else the engine `ssa` computes only what is lost.
    complete = path == "bit-serial" or engine == "bytes"
    silent = {n: tally.silent if complete else None for n, tally in tallies.items()}
    assert {n: each.skipped for n, each in conversions.items()} == silent


@pytest.mark.parametrize("engine", ["ssa", "bytes"])
def test_the_fused_path_converts_nothing(engine: str) -> None:
    assert counted(PROGRAMS["conv"](), path="fused", engine=engine).conversions == {}
