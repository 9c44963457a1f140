"""The engine `bytes`: rows really lie as bytes in tile buffers and off-chip memory.

A wrong address therefore gives wrong data, as it does on a chip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.backends.crossbar.core.counts import SerialCounts
from epimc.backends.crossbar.core.program import (
    ELEMENTS,
    FeatureMap,
    Port,
    Program,
    Ring,
    aligned,
)
from epimc.backends.crossbar.instructions.computing import (
    Computing,
    Data,
    Kernel,
    KernelSetting,
    Product,
    ProductOf,
    RowBlock,
)
from epimc.backends.crossbar.instructions.host import host_steps
from epimc.backends.crossbar.isa.execution import Execution, Observer
from epimc.backends.crossbar.isa.regions import buffer_regions, off_chip_regions, sample_bytes
from epimc.backends.crossbar.kernels.bit_serial import BitSerialMvm
from epimc.backends.crossbar.kernels.layer_part import LayerPart
from epimc.backends.crossbar.sim.engine import Arrays, EngineOptions
from epimc.backends.crossbar.sim.known import HostValues
from epimc.backends.crossbar.sim.memory import Bytes, Memory
from epimc.backends.crossbar.sim.paths import product_of
from epimc.ir.semantics import arrays, quantization
from epimc.support.diagnostics import error
from epimc.support.port_types import apart


class ByteEngine:
    """A program with the kernels of its tables (an `engine.Engine`)."""

    def __init__(self, program: Program, options: EngineOptions) -> None:
        """Make the kernels: what takes long is done once."""
        self.counts: dict[int, SerialCounts] = {}
        self.program, self.host, self.strategy = program, options.host, options.strategy
        setting = KernelSetting(program, self.counting(product_of(program.chip, options.path)))
        self.kernels = {
            number: table.kernel(setting)
            for number, table in enumerate(program.tables)
            # The tables of host calls have no kernel: the host computes them.
            if isinstance(table, Computing)
        }
        self.regions = [buffer_regions(program, tile) for tile in range(len(program.streams))]

    def counting(self, product_of_part: ProductOf) -> ProductOf:
        """The same products, which count what the ADCs of each layer do."""

        def product(part: LayerPart, source: FeatureMap) -> Product:
            made = product_of_part(part, source)
            if isinstance(made, BitSerialMvm) and isinstance(part, Computing):
                layer = self.program.layer_of[part.destination]
                made = replace(made, counts=self.counts.setdefault(layer, SerialCounts()))
            return made

        return product

    def sample_bytes(self, *, watched: bool) -> int:
        """Those of buffers and of off-chip memory that the program names, watched or not."""
        return sample_bytes(self.program)

    def run(self, inputs: Arrays, observers: Sequence[Observer]) -> Arrays:
        """Execute the program for all samples at once.

        Raises:
            EpimcError: The program is deadlocked.
        """
        # Without inputs there is one sample.
        batch = len(next(iter(inputs.values()), [None]))
        machine = _Machine(self, batch, observers)
        # Before the first step: the host writes inputs off chip, and no instruction waits for them.
        for port in self.program.chip_inputs:
            machine.put(port, inputs[port.name])
        for entry in self.program.host_inputs:
            machine.known[entry.token] = [apart(entry.port_type, inputs[entry.name])]
        waiting = machine.run()
        if waiting:
            raise error("The program is deadlocked.", notes=waiting)
        outputs: dict[str, Any] = {p.name: machine.take(p) for p in self.program.chip_outputs}
        for result in self.program.host_outputs:
            outputs[result.name] = machine.values(result.token, result.result)
        for layer, counts in self.counts.items():
            conversions = counts.take()
            for observer in observers:
                observer.converted(layer, conversions)
        return outputs


class _Machine(HostValues, Execution):
    """One execution: the bytes of every buffer and of off-chip memory, for a batch."""

    def __init__(self, engine: ByteEngine, batch: int, observers: Sequence[Observer]) -> None:
        super().__init__(engine.program.streams, observers, engine.strategy)
        self.program, self.batch = engine.program, batch
        self.kernels: dict[int, Kernel] = engine.kernels
        self.steps, self.runner = host_steps(engine.program), engine.host
        self.known = {}
        # What the program names: the rest of it would only take memory.
        self.buffers = [Memory(batch, regions) for regions in engine.regions]
        self.off_chip = Memory(batch, off_chip_regions(self.program))

    def put(self, port: Port, x: arrays.Floats) -> None:
        """Quantize one input's samples into off-chip memory."""
        target = self.program.maps[port.map]
        q = quantization.quantize_input(x, port.scale, target.zero_point, target.bits)
        self.write_map(target, q)

    def take(self, port: Port) -> arrays.Floats:
        """One output's samples, dequantized from off-chip memory."""
        source = self.program.maps[port.map]
        real = quantization.dequantize_output(self.read_map(source), port.scale, source.zero_point)
        return real.reshape(self.batch, *port.shape)

    def load(self, tile: int, dst: int, src: int, size: int) -> None:
        self.buffers[tile].at(dst, size)[...] = self.off_chip.at(src, size)

    def store(self, tile: int, dst: int, src: int, size: int) -> None:
        self.off_chip.at(dst, size)[...] = self.buffers[tile].at(src, size)

    def transfer(self, sender: int, receiver: int) -> None:
        src, size, dst, room = self.transferred(sender, receiver)
        self.buffers[receiver].at(dst, room)[...] = self.buffers[sender].at(src, size)

    def host(self, tile: int, table: int) -> None:
        step = self.steps[table]
        target = self.program.maps[step.destination]
        result = np.broadcast_to(step.made_by(self), (self.batch, *target.dims))
        self.write_map(target, result)
        for observer in self.observers:
            observer.computed(target, 0, result)

    def compute(
        self, tile: int, table: int, rows: tuple[int, int], dst: Ring, sources: tuple[Ring, ...]
    ) -> None:
        program, buffer = self.program, self.buffers[tile]
        named, lines = program.tables[table], program.source_rows[table]
        # A source of which these rows read none still has its block, which is empty.
        blocks = []
        for k, (ring, source) in enumerate(zip(sources, named.sources, strict=True)):
            first, end = lines.span(*rows, k)
            blocks.append(
                RowBlock(first, self.read(buffer, ring, program.maps[source], first, end))
            )
        result = self.for_batch(self.kernels[table](blocks, *rows))
        target = program.maps[named.destination]
        self.write(buffer, dst, target, rows[0], result)
        for observer in self.observers:
            observer.computed(target, rows[0], result)

    def direct(self, tile: int, table: int, rows: tuple[int, int], window: int, size: int) -> None:
        program = self.program
        named, lines = program.tables[table], program.source_rows[table]
        blocks = []
        for k, source in enumerate(named.sources):
            first, end = lines.span(*rows, k)
            blocks.append(RowBlock(first, self.read_rows(program.maps[source], first, end)))
        target = program.maps[named.destination]
        result = self.for_batch(self.kernels[table](blocks, *rows))
        self.write(self.off_chip, off_chip_ring(target), target, rows[0], result)
        # What passes through the window leaves nothing there that anybody could go on with.
        self.buffers[tile].at(window, aligned(size))[...] = 0
        for observer in self.observers:
            observer.computed(target, rows[0], result)

    def for_batch(self, result: Data) -> Data:
        """A kernel's result for all samples: the rows of a constant are those of one."""
        if len(result) == self.batch:
            return result
        return np.broadcast_to(result, (self.batch, *result.shape[1:]))

    def read_rows(self, source: FeatureMap, first: int, end: int) -> Data:
        """Rows [first, end) of a map as [batch, C, rows, W], not copied from off-chip memory."""
        address, size = source.address + first * source.row_stride, end - first
        data = self.off_chip.at(address, size * source.row_stride)
        slots = data.reshape(self.batch, size, source.row_stride)[:, :, : source.row_bytes]
        shape = (self.batch, size, source.channels, source.width)
        rows: Data = slots.view(ELEMENTS[source.element].dtype).reshape(shape)
        return rows.transpose(0, 2, 1, 3)

    def read_map(self, source: FeatureMap) -> NDArray[Any]:
        """A whole map [batch, C, H, W] from off-chip memory."""
        return self.read(self.off_chip, off_chip_ring(source), source, 0, source.height)

    def write_map(self, target: FeatureMap, values: NDArray[Any]) -> None:
        """Put a whole map into off-chip memory."""
        self.write(
            self.off_chip,
            off_chip_ring(target),
            target,
            0,
            values.reshape(self.batch, *target.dims),
        )

    def read(
        self, memory: Memory, ring: Ring, source: FeatureMap, first: int, end: int
    ) -> NDArray[Any]:
        """Rows [first, end) of a ring as [batch, C, rows, W], in the map's element type."""
        slots = self.slots(memory, ring, source)
        # Between the first and the last there may be rows that are not read, whose slots hold
        # anything.
        chosen = np.arange(first, end) % ring.rows
        kind = ELEMENTS[source.element].dtype
        rows: NDArray[Any] = slots[:, chosen, : source.row_bytes].view(kind)
        shape = (self.batch, end - first, source.channels, source.width)
        # A row lies as [C, W], its channels together; kernels take maps [C, rows, W].
        return rows.reshape(shape).transpose(0, 2, 1, 3)

    def write(
        self, memory: Memory, ring: Ring, target: FeatureMap, first: int, rows: NDArray[Any]
    ) -> None:
        """Put rows [batch, C, rows, W] at first, first + 1 ... of a ring, in order."""
        slots, kind = self.slots(memory, ring, target), ELEMENTS[target.element].dtype
        shape = (self.batch, target.channels, target.width)
        # One after the other: a ring shorter than the rows keeps the last of them.
        for i in range(rows.shape[2]):
            place = slots[:, (first + i) % ring.rows, : target.row_bytes]
            place.view(kind).reshape(shape)[...] = rows[:, :, i]

    def slots(self, memory: Memory, ring: Ring, target: FeatureMap) -> Bytes:
        """A ring's bytes as [batch, rows, row stride], not copied."""
        size = ring.rows * target.row_stride
        return memory.at(ring.address, size).reshape(self.batch, ring.rows, target.row_stride)


def off_chip_ring(target: FeatureMap) -> Ring:
    """A map off chip, where every row has a slot: a ring that is never gone round."""
    return Ring(target.address, target.height)
