"""The functional simulator: executes a program on a batch of samples, bit-exactly.

Rows really lie as bytes in tile buffers and off-chip memory, so that a wrong address gives wrong
data.  The program is taken to be one that `checker.check` accepts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.backends.crossbar.counters import Counters
from epimc.backends.crossbar.execution import Execution, buffer_extent
from epimc.backends.crossbar.kernels import Kernel, kernel
from epimc.backends.crossbar.program import (
    FeatureMap,
    HostTable,
    Port,
    Program,
    Ring,
    host_tables,
    table_sources,
)
from epimc.diagnostics import did_you_mean, error
from epimc.ir import integers

Observer = Callable[[FeatureMap, int, integers.Ints], None]
"""Called with a map, the first of the computed rows and the integers [batch, C, rows, W]."""

Host = Callable[[str, list[NDArray[np.uint8]]], NDArray[np.uint8]]
"""Runs a fragment: its name, its inputs [batch, C, H, W], its output for as many samples."""

PATHS = ("auto", "fused", "bit-serial")

_TYPES: dict[str, np.dtype[Any]] = {"u8": np.dtype(np.uint8), "i64": np.dtype("<i8")}


class Simulator:
    """A program, prepared for execution.

    Args:
        program: A program that the checker accepts.
        path: How crossbars compute: `fused` (one integer product), `bit-serial` (every slice
            through the ADC) or `auto` (fused wherever the ADC is lossless, with the same result).
        batch: Samples executed at once; results do not depend on it.
        host: Runs the program's host calls; not needed where there are none.

    Raises:
        EpimcError: `path` or `batch` is not one of the allowed values, or there are host calls
            but no host.
    """

    def __init__(
        self,
        program: Program,
        *,
        path: str = "auto",
        batch: int = 64,
        host: Host | None = None,
    ) -> None:
        if path not in PATHS:
            raise error(f"Unknown simulation path '{path}'.", hint=did_you_mean(path, PATHS))
        if batch < 1:
            raise error(f"The batch size must be at least 1, not {batch}.")
        calls = host_tables(program)
        if calls and host is None:
            raise error(f"The program calls the host for '{calls[0].fragment}', but has no host.")
        self.program = program
        self.batch = batch
        self.host = host
        self.kernels = {
            number: kernel(table, program, path)
            for number, table in enumerate(program.tables)
            if not isinstance(table, HostTable)
        }
        self.extents = [buffer_extent(program, tile) for tile in range(len(program.streams))]

    def run(
        self,
        inputs: dict[str, integers.Floats],
        observe: Observer | None = None,
        counters: Counters | None = None,
    ) -> dict[str, integers.Floats]:
        """Execute the program.

        Args:
            inputs: float32 [samples, *shape] for every input port, by name.
            observe: Called after each computing instruction, batch after batch.
            counters: Told of what one sample costs; all samples cost the same.

        Returns:
            float32 [samples, *shape] for every output port, by name.

        Raises:
            EpimcError: An input is missing, unknown or of a wrong shape, or the program
                is deadlocked.
        """
        samples = _check_inputs(self.program.inputs, inputs)
        shapes = {port.name: (samples, *port.shape) for port in self.program.outputs}
        outputs = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
        for first in range(0, samples, self.batch):
            part = slice(first, min(first + self.batch, samples))
            counted = counters if first == 0 else None
            machine = _Machine(self, part.stop - first, observe, counted)
            for port in self.program.inputs:
                machine.put(port, inputs[port.name][part])
            waiting = machine.run()
            if waiting:
                raise error("The program is deadlocked.", notes=waiting)
            if counted is not None:
                counted.control(len(self.program.streams))
            for port in self.program.outputs:
                outputs[port.name][part] = machine.take(port)
        return outputs

    def run_collect(
        self, inputs: dict[str, integers.Floats]
    ) -> tuple[dict[str, integers.Floats], dict[str, integers.Ints]]:
        """Execute the program and keep every map that an instruction computes.

        Returns:
            The outputs, as `run`; and int64 [samples, C, H, W] of every computed map, by name.

        Raises:
            EpimcError: As `run`.
        """
        parts: dict[str, list[integers.Ints]] = {}

        def observe(target: FeatureMap, first: int, rows: integers.Ints) -> None:
            blocks = parts.setdefault(target.name, [])
            if first == 0:
                shape = (len(rows), target.channels, target.height, target.width)
                blocks.append(np.zeros(shape, np.int64))
            blocks[-1][:, :, first : first + rows.shape[2]] = rows

        outputs = self.run(inputs, observe)
        return outputs, {name: np.concatenate(blocks) for name, blocks in parts.items()}


def _check_inputs(ports: tuple[Port, ...], inputs: dict[str, integers.Floats]) -> int:
    """The number of samples; an error names the first input that does not fit."""
    names = [port.name for port in ports]
    for name in inputs:
        if name not in names:
            raise error(f"The program has no input '{name}'.", hint=did_you_mean(name, names))
    samples: int | None = None
    for port in ports:
        if port.name not in inputs:
            raise error(f"Input '{port.name}' is missing.")
        shape = inputs[port.name].shape
        if not shape or shape[1:] != port.shape:
            raise error(
                f"Input '{port.name}' has shape {shape}, not (samples, "
                f"{', '.join(map(str, port.shape))})."
            )
        if samples is not None and shape[0] != samples:
            raise error(f"Input '{port.name}' has {shape[0]} samples, another has {samples}.")
        samples = shape[0]
    return samples or 0


class _Machine(Execution):
    """One execution: the bytes of every buffer and of off-chip memory, for a batch."""

    def __init__(
        self,
        simulator: Simulator,
        batch: int,
        observe: Observer | None,
        counters: Counters | None,
    ) -> None:
        super().__init__(simulator.program.streams)
        self.program, self.batch, self.observe = simulator.program, batch, observe
        self.counters = counters
        self.kernels: dict[int, Kernel] = simulator.kernels
        self.runner = simulator.host
        self.buffers = [np.zeros((batch, extent), np.uint8) for extent in simulator.extents]
        self.off_chip = np.zeros((batch, self.program.off_chip_extent), np.uint8)

    def put(self, port: Port, x: integers.Floats) -> None:
        """Quantize one input's samples into off-chip memory."""
        target = self.program.maps[port.map]
        q = integers.quantize_input(x, port.scale, target.zero_point, target.bits)
        whole = Ring(target.address, target.height)
        self.write(self.off_chip, whole, target, 0, q.reshape(self.map_shape(target)))

    def take(self, port: Port) -> integers.Floats:
        """One output's samples, dequantized from off-chip memory."""
        source = self.program.maps[port.map]
        real = integers.dequantize_output(self.whole(source), port.scale, source.zero_point)
        return real.reshape(self.batch, *port.shape)

    def map_shape(self, target: FeatureMap) -> tuple[int, int, int, int]:
        """[batch, C, H, W] of a map."""
        return self.batch, target.channels, target.height, target.width

    def load(self, tile: int, dst: int, src: int, size: int) -> None:
        self.buffers[tile][:, dst : dst + size] = self.off_chip[:, src : src + size]
        if self.counters is not None:
            self.counters.load(tile, dst, src, size)

    def store(self, tile: int, dst: int, src: int, size: int) -> None:
        self.off_chip[:, dst : dst + size] = self.buffers[tile][:, src : src + size]
        if self.counters is not None:
            self.counters.store(tile, dst, src, size)

    def transfer(self, sender: int, receiver: int) -> None:
        src, size, dst, room = self.transferred(sender, receiver)
        self.buffers[receiver][:, dst : dst + room] = self.buffers[sender][:, src : src + size]
        if self.counters is not None:
            self.counters.transfer(sender, receiver, src, dst, size)

    def signal(self, tile: int, semaphore: int) -> None:
        super().signal(tile, semaphore)
        if self.counters is not None:
            self.counters.control()

    def wait(self, tile: int, semaphore: int, count: int) -> bool:
        met = super().wait(tile, semaphore, count)
        if met and self.counters is not None:
            self.counters.control()
        return met

    def host(self, tile: int, table: int) -> None:
        named, maps = self.program.tables[table], self.program.maps
        assert isinstance(named, HostTable)
        assert self.runner is not None
        sources = [self.whole(maps[source]) for source in named.sources]
        target = maps[named.destination]
        result = self.runner(named.fragment, sources).reshape(self.map_shape(target))
        self.write(self.off_chip, Ring(target.address, target.height), target, 0, result)
        if self.counters is not None:
            self.counters.host(named)
        if self.observe is not None:
            self.observe(target, 0, result.astype(np.int64))

    def whole(self, source: FeatureMap) -> NDArray[Any]:
        """A whole map [batch, C, H, W] from off-chip memory."""
        return self.read(
            self.off_chip, Ring(source.address, source.height), source, 0, source.height
        )

    def compute(
        self,
        tile: int,
        operation: str,
        table: int,
        rows: tuple[int, int],
        dst: Ring,
        sources: tuple[Ring, ...],
    ) -> None:
        named, work = self.program.tables[table], self.kernels[table]
        buffer, maps = self.buffers[tile], self.program.maps
        data = [
            self.read(buffer, ring, maps[source], *work.span(*rows, k))
            for k, (ring, source) in enumerate(zip(sources, table_sources(named), strict=True))
        ]
        result = work(data, *rows)
        if not data:
            result = np.broadcast_to(result, (self.batch, *result.shape[1:]))
        target = maps[named.destination]
        self.write(buffer, dst, target, rows[0], result)
        if self.observe is not None:
            self.observe(target, rows[0], result.astype(np.int64, copy=False))
        if self.counters is not None:
            self.counters.compute(tile, table, rows, dst)

    def read(
        self, memory: NDArray[np.uint8], ring: Ring, source: FeatureMap, first: int, end: int
    ) -> NDArray[Any]:
        """Rows [first, end) of a ring as [batch, C, rows, W], in the map's element type."""
        slots = self.slots(memory, ring, source)
        chosen = np.arange(first, end) % ring.rows
        rows: NDArray[Any] = slots[:, chosen, : source.row_bytes].view(_TYPES[source.element])
        shape = (self.batch, end - first, source.channels, source.width)
        return rows.reshape(shape).transpose(0, 2, 1, 3)

    def write(
        self,
        memory: NDArray[np.uint8],
        ring: Ring,
        target: FeatureMap,
        first: int,
        rows: NDArray[Any],
    ) -> None:
        """Put rows [batch, C, rows, W] at first, first + 1 ... of a ring, in order."""
        slots = self.slots(memory, ring, target)
        shape = (self.batch, target.channels, target.width)
        for i in range(rows.shape[2]):
            place = slots[:, (first + i) % ring.rows, : target.row_bytes]
            place.view(_TYPES[target.element]).reshape(shape)[...] = rows[:, :, i]

    def slots(self, memory: NDArray[np.uint8], ring: Ring, held: FeatureMap) -> NDArray[np.uint8]:
        """A ring's bytes as [batch, rows, row stride], not copied."""
        size = ring.rows * held.row_stride
        part = memory[:, ring.address : ring.address + size]
        return part.reshape(self.batch, ring.rows, held.row_stride)
