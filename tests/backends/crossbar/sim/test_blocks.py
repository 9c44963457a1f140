"""A kernel computes any number of rows at once; programs ask for one, and would show no fault."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from epimc.backends.crossbar.core.program import Program
from epimc.backends.crossbar.instructions.computing import (
    Computing,
    Data,
    KernelSetting,
    RowBlock,
)
from epimc.backends.crossbar.instructions.registry import instructions
from epimc.backends.crossbar.sim.paths import product_of
from tests.crossbars import program_in
from tests.golden_programs import CASES
from tests.helpers.onnx_networks import NETWORKS

BATCH = 2

# Together they have every instruction that computes, on maps of several rows; others cost time.
NAMES = ("fashion-tiny", "grouped-tiny", "moved-tiny", *NETWORKS)


def values(program: Program, random: np.random.Generator) -> list[Data]:
    """Something in every map: activations, or accumulators of some thousands."""
    return [
        random.integers(0, 2**feature.bits, (BATCH, *feature.dims))
        if feature.is_activation
        else random.integers(-5000, 5000, (BATCH, *feature.dims))
        for feature in program.maps
    ]


def computed(program: Program, number: int, maps: list[Data], rows: tuple[int, int]) -> Data:
    """Rows of a table's result, as the simulator has its kernel compute them."""
    table, lines = program.tables[number], program.source_rows[number]
    assert isinstance(table, Computing)
    setting = KernelSetting(program, product_of(program.chip, "auto"))
    spans = [lines.span(*rows, k) for k in range(len(table.sources))]
    blocks = [
        RowBlock(first, maps[source][:, :, first:end])
        for source, (first, end) in zip(table.sources, spans, strict=True)
    ]
    return np.asarray(table.kernel(setting)(blocks, *rows))


def test_a_block_of_rows_is_its_rows(tmp_path: Path) -> None:
    tried = set()
    for name in NAMES:
        folder = tmp_path / name
        folder.mkdir()
        program = program_in(CASES[name].compile(folder).bundle)
        tried |= {type(table) for table in check_tables(program)}
    assert tried == {kind for kind in instructions() if issubclass(kind, Computing)}


def check_tables(program: Program) -> Iterator[Computing]:
    """Compare for each table that makes several rows; yields them."""
    maps = values(program, np.random.default_rng(3))
    for number, table in enumerate(program.tables):
        height = program.maps[table.destination].height
        if not isinstance(table, Computing) or height == 1:
            continue
        single = [computed(program, number, maps, (y, y + 1)) for y in range(height)]
        for first, end in ((0, height), (0, -(-height // 2)), (height // 2, height)):
            block = computed(program, number, maps, (first, end))
            expected = np.concatenate(single[first:end], axis=2)
            np.testing.assert_array_equal(block, expected, f"{table.name} {number}: {first}:{end}")
        yield table
