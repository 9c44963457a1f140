"""What happens in the arrays of each layer of a program, one cell at a time."""

from __future__ import annotations

from epimc.backends.crossbar.core.program import Program
from epimc.backends.crossbar.instructions.layers import mvm_layers
from epimc.backends.crossbar.instructions.mvm import Mvm
from epimc.backends.crossbar.sim.simulator import Arrays, Simulator
from epimc.ir.semantics.quantization import quantize_input
from epimc.ir.semantics.windows import gather
from tests.backends.crossbar.programs import sum_and_mean
from tests.backends.crossbar.slow_arrays import SlowArrays, Tally


def layer_tallies(program: Program, inputs: Arrays, path: str) -> dict[int, Tally]:
    """What happens with the activations of a path, by the map with a layer's result."""
    maps = Simulator(program, path=path, host=sum_and_mean).run_collect(inputs)[1]
    for port in program.chip_inputs:
        kept = program.maps[port.map]
        real = inputs[port.name].reshape(-1, *kept.dims)
        maps[kept.name] = quantize_input(real, port.scale, kept.zero_point, kept.bits)
    layers = mvm_layers(program).items()
    return {number: _tally(program, parts, maps) for number, parts in layers}


def _tally(program: Program, parts: list[Mvm], maps: Arrays) -> Tally:
    """What happens in all parts of a layer."""
    tally = Tally()
    for part in parts:
        source = program.maps[part.source]
        x = maps[source.name].reshape(-1, *source.dims)
        height = part.window.output_size(source.height, 0)
        windows = gather(x, part.window, source.zero_point, 0, height)
        flat = windows.transpose(0, 4, 5, 1, 2, 3).reshape(-1, windows[0, ..., 0, 0].size)
        slow = SlowArrays(part, source.bits, source.zero_point, program.chip)
        slow.tally = tally
        for window in flat.tolist():
            slow.outputs(window)
    return tally
