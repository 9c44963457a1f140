"""What is too much for the passes behind `place` is refused before any of it is done."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from epimc.backends.crossbar.dialect import XbarOp
from epimc.backends.crossbar.isa.assembly import format_program
from epimc.backends.crossbar.lower import work
from epimc.backends.crossbar.lower.emit import emit
from epimc.backends.crossbar.lower.work import rows_of
from epimc.backends.crossbar.target.schema import load_target
from epimc.ir.core.module import Module
from epimc.ir.dialects import nn
from epimc.support.diagnostics import EpimcError
from tests.helpers.modules import LOWERING, Net, lower, quantized


def tall(height: int = 100, **chip: dict[str, Any]) -> Module:
    """A convolution of three rows along a signal, and a relu: quantized."""
    described = load_target("tiny").to_dict()
    for table, keys in chip.items():
        described[table].update(keys)
    net = Net(0, described)
    return quantized(net.module(net.relu(net.conv(net.input(1, height, 1), 4, (3, 1)))))


def refusal(module: Module, pipeline: str) -> str:
    """What a pipeline says to a module that it refuses."""
    with pytest.raises(EpimcError) as caught:
        lower(module, pipeline)
    return str(caught.value)


def test_rows_are_counted_before_they_are_placed() -> None:
    # Of the 98 rows of the convolution each reads 3, of the relu each reads one.
    assert 98 * 4 + 98 * 2 == 588
    lower(tall(), "map,place{limit_rows=588}")
    assert refusal(tall(), "map,place{limit_rows=587}") == (
        "error: All ops together compute and read 588 rows of feature maps, and 'limit_rows' is "
        "587; for %conv0.acc alone they are 392.\n"
        "  --> node 'conv0' (Op)\n"
        "  note: in pass 'place'\n"
        "  hint: Use a smaller input, padding or kernel, or raise the limit: "
        "-O 'place{limit_rows=588}'."
    )


def test_every_part_of_a_layer_reads_its_rows() -> None:
    # 4 channels of 4 slices and a reference column: three arrays on as many tiles, and two sums.
    module = tall(crossbar={"columns": 8}, tile={"crossbars": 1}, chip={"tiles": "auto"})
    rows = 3 * 98 * 4 + 2 * 3 * 98 + 2 * 98
    placed = lower(module, f"map,place{{limit_rows={rows}}}")
    assert sum(rows_of(op) for op in placed.ops if isinstance(op, XbarOp)) == rows
    assert f"read {rows} rows" in refusal(module, f"map,place{{limit_rows={rows - 1}}}")


def test_rows_that_ops_read() -> None:
    net = Net(0)
    x = net.input(2, 6, 4)
    values = [
        net.op(nn.MaxPool, x, kernel=(9, 1), pads=(4, 0, 4, 0)),
        net.op(nn.Rearrange, x, perm=(0, 2, 1), shape=(2, 4, 6)),
        net.op(nn.Rearrange, x, perm=(2, 1, 0), shape=(24, 2, 1)),
        net.relu(x),
    ]
    module = lower(quantized(net.module(*values)), "map,place")
    assert [rows_of(op) for op in module.ops if isinstance(op, XbarOp)] == [
        # A window of more rows than there are.
        6 + 6 * 6,
        # Every row of the source, for each of the four.
        4 + 4 * 6,
        2 + 2 * 6,
        6 + 6,
    ]


def test_a_program_has_so_many_maps_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    module = tall(crossbar={"columns": 8}, tile={"crossbars": 1}, chip={"tiles": "auto"})
    monkeypatch.setattr(work, "MOST_MAPS", 6)
    lower(module, "map,place")
    monkeypatch.setattr(work, "MOST_MAPS", 5)
    assert refusal(module, "map,place") == (
        "error: The program needs 6 feature maps, and 5 is the most; for %conv0.acc alone they are "
        "5.\n"
        "  --> node 'conv0' (Op)\n"
        "  note: in pass 'place'\n"
        "  hint: A layer has a map for each of its tiles: use larger tiles, or fewer ops."
    )


def test_a_program_has_so_many_arrays_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    module = tall(crossbar={"columns": 8})
    monkeypatch.setattr(work, "MOST_ARRAYS", 3)
    lower(module, "map")
    monkeypatch.setattr(work, "MOST_ARRAYS", 2)
    assert refusal(module, "map") == (
        "error: With %conv0.acc the model needs 3 arrays, and 2 is the most.\n"
        "  --> node 'conv0' (Op)\n"
        "  note: in pass 'map'\n"
        "  hint: Use a target with larger crossbars, or smaller epitomes (--epitome)."
    )


@pytest.mark.parametrize("tiles", ["auto", 65536])
def test_a_large_chip_costs_nothing_that_the_model_does_not_use(tiles: str | int) -> None:
    large = {"crossbars": 65536, "buffer_bytes": 2**30}
    memory = {"off_chip_bytes": 2**40}
    module = tall(30, tile=large, memory=memory, chip={"tiles": tiles})
    expected = format_program(emit(lower(tall(30), LOWERING)).streams)
    tracemalloc.start()
    try:
        program = emit(lower(module, LOWERING))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert format_program(program.streams) == expected
    assert peak < 2**23
