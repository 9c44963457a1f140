"""What a large layer costs in memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx

# The kernels' compiler comes with it, here and not while memory is measured.
import epimc.backends.crossbar.sim.ssa.engine  # noqa: F401
from epimc.api import build
from epimc.backends.crossbar.instructions.mvm import Mvm
from epimc.backends.crossbar.proof import claims
from epimc.backends.crossbar.sim.simulator import Simulator
from epimc.bundle.bundle import read_bundle
from epimc.compiler.options import Request
from tests.crossbars import compiled_of, program_in
from tests.helpers.onnx_networks import Network

INPUTS, OUTPUTS = 4096, 1024
WEIGHTS = INPUTS * OUTPUTS

# A weight as a float is 4 bytes, as an integer of 8 bits 1 byte; as an int64 in each of the 6 parts
# of this layer it would be 48.
COMPILING, CHECKING, SIMULATING, PROVING = 24, 8, 12, 16


class Peak:
    """The most that was allocated at once, beside what was there before, in bytes a weight."""

    value = 0.0


@contextmanager
def measured() -> Iterator[Peak]:
    """Measures what its block allocates, by Python and numpy."""
    peak = Peak()
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    yield peak
    peak.value = (tracemalloc.get_traced_memory()[1] - before) / WEIGHTS


def test_a_large_matmul_that_is_split_over_tiles(tmp_path: Path) -> None:
    net = Network({"x": (INPUTS,)})
    weight = net.constant(net.floats(OUTPUTS, INPUTS, scale=INPUTS**-0.5))
    onnx.save(net.model(net.node("Gemm", "x", weight, transB=1)), tmp_path / "m.onnx")
    np.savez(tmp_path / "x.npz", x=net.floats(1, INPUTS))
    # What rounding takes beside it is another matter.
    request = Request(tmp_path / "m.onnx", calibration=tmp_path / "x.npz", effort="fast")
    tracemalloc.start()
    try:
        with measured() as compiling:
            build(request, tmp_path / "out")
        program = program_in(read_bundle(tmp_path / "out"))
        with measured() as checking:
            compiled_of(program).refuse_bad()
        with measured() as simulating:
            Simulator(program)
        with measured() as proving:
            for _ in claims(program):
                pass
    finally:
        tracemalloc.stop()
    parts = [table for table in program.tables if isinstance(table, Mvm)]
    assert len(parts) == 6
    assert len({id(part.weights) for part in parts}) == 1
    assert compiling.value < COMPILING
    assert checking.value < CHECKING
    assert simulating.value < SIMULATING
    assert proving.value < PROVING
