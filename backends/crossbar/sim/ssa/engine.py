"""The engine `ssa`: the tables of a program, each once for all rows of its map.

What it computes it computes for a block of samples at a time, as many as fit the processor's
cache.  Streams are only walked where an observer wants to see instructions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.backends.crossbar.compiled.border import quantize
from epimc.backends.crossbar.compiled.notice import give_notice
from epimc.backends.crossbar.core.program import FeatureMap, Port, Program
from epimc.backends.crossbar.isa.execution import DryRun, Observer
from epimc.backends.crossbar.sim.engine import Arrays, EngineOptions
from epimc.backends.crossbar.sim.known import HostValues
from epimc.backends.crossbar.sim.ssa.plan import Plan, ordered, planned
from epimc.backends.crossbar.sim.ssa.steps import AnyStep, Step, Workshop
from epimc.backends.crossbar.sim.ssa.units import Unit, joined_units, single_units
from epimc.ir.semantics import arrays, quantization
from epimc.support.diagnostics import error
from epimc.support.port_types import apart

Array = NDArray[Any]

# What the maps of a block may take: about what a core's second-level cache holds.
BLOCK_BYTES = 2**20


class SsaEngine:
    """A program with the kernels of its tables (an `engine.Engine`)."""

    def __init__(self, program: Program, options: EngineOptions) -> None:
        """Make the kernels: what takes long is done once."""
        give_notice()
        self.program, self.options = program, options
        self.workshop = Workshop(program, options.path)
        self.tables = ordered(program.tables)
        self.numbers = {feature.name: number for number, feature in enumerate(program.maps)}
        # A host's sessions are not shared by threads.
        self.threads = options.threads if options.host is None else 1
        self.plan = self._planned(joined_units(program, self.tables))

    @cached_property
    def open_plan(self) -> Plan:
        """A plan in which every map is there."""
        return self._planned(single_units(self.program, self.tables))

    def _planned(self, units: Iterable[Unit]) -> Plan:
        return planned(self.program, map(self.workshop.step, units))

    def sample_bytes(self, *, watched: bool) -> int:
        """Those of the maps that are needed at the same time; of all maps, where it is watched."""
        return (self.open_plan if watched else self.plan).layout.sample_bytes

    def run(self, inputs: Arrays, observers: Sequence[Observer]) -> Arrays:
        """The outputs; observers are told of all instructions first, and then of maps.

        Raises:
            EpimcError: The program is deadlocked, which is seen only where an observer watches
                instructions.
        """
        self._walk([observer for observer in observers if observer.watches_instructions])
        watching = [observer for observer in observers if observer.watches_rows]
        # Without inputs there is one sample.
        batch = len(next(iter(inputs.values()), [None]))
        plan = self.open_plan if watching else self.plan
        # Observers see a batch at once.
        block = batch if watching else max(1, BLOCK_BYTES // max(1, plan.layout.sample_bytes))
        outputs: Arrays = {
            port.name: np.zeros((batch, *port.shape), np.float32)
            for port in self.program.chip_outputs
        }
        outputs |= {port.name: [None] * batch for port in self.program.host_outputs}

        def do(part: slice) -> None:
            own = {name: values[part] for name, values in inputs.items()}
            with plan.arenas.taken(part.stop - part.start) as maps:
                run = _Block(self, plan, maps, part.stop - part.start, watching)
                for name, result in run.run(own).items():
                    outputs[name][part] = result

        in_threads(do, [*arrays.pieces(batch, 1, block)], self.threads)
        for layer, conversions in self.workshop.conversions():
            for observer in observers:
                observer.converted(layer, conversions)
        return outputs

    def _walk(self, observers: Sequence[Observer]) -> None:
        """Tell observers of every instruction."""
        if not observers:
            return
        waiting = DryRun(self.program.streams, observers, self.options.strategy).run()
        if waiting:
            raise error("The program is deadlocked.", notes=waiting)


def in_threads(do: Callable[[slice], None], parts: Sequence[slice], threads: int) -> None:
    """Do something for each part, by so many threads at most."""
    if min(threads, len(parts)) < 2:
        for part in parts:
            do(part)
        return
    with ThreadPoolExecutor(min(threads, len(parts))) as pool:
        for _ in pool.map(do, parts):
            pass


class _Block(HostValues):
    """A plan being done for a block of samples (an `instructions.host.HostState`)."""

    def __init__(
        self,
        engine: SsaEngine,
        plan: Plan,
        maps: Mapping[int, Array],
        batch: int,
        observers: Sequence[Observer],
    ) -> None:
        self.program, self.plan, self.maps, self.batch = engine.program, plan, maps, batch
        self.runner, self.observers = engine.options.host, observers
        self.numbers = engine.numbers
        self.known = {}

    def run(self, inputs: Arrays) -> Arrays:
        """The outputs of these samples."""
        for port in self.program.chip_inputs:
            self.put(port, inputs[port.name])
        for entry in self.program.host_inputs:
            self.known[entry.token] = [apart(entry.port_type, inputs[entry.name])]
        for step in self.plan.steps:
            self.do(step)
        outputs: Arrays = {port.name: self.take(port) for port in self.program.chip_outputs}
        for result in self.program.host_outputs:
            outputs[result.name] = self.values(result.token, result.result)
        return outputs

    def do(self, step: AnyStep) -> None:
        """One step, of which observers are told."""
        target = self.program.maps[step.destination]
        if isinstance(step, Step):
            out = self.maps[step.destination]
            step.compute([self.maps[source] for source in step.sources], out)
            rows = out.transpose(0, 3, 1, 2)
        else:
            rows = np.broadcast_to(step.made_by(self), (self.batch, *target.dims))
            if not target.is_token:
                self.maps[step.destination][...] = rows.transpose(0, 2, 3, 1)
        for observer in self.observers:
            observer.computed(target, 0, rows)

    def put(self, port: Port, x: arrays.Floats) -> None:
        """Quantize one input's samples."""
        target = self.program.maps[port.map]
        samples = x.reshape(self.batch, *target.dims)
        quantize(samples, port.scale, target.zero_point, target.bits, self.maps[port.map])

    def take(self, port: Port) -> arrays.Floats:
        """One output's samples, dequantized."""
        source = self.program.maps[port.map]
        q = self.read_map(source)
        real = quantization.dequantize_output(q, port.scale, source.zero_point)
        return real.reshape(self.batch, *port.shape)

    def read_map(self, source: FeatureMap) -> Array:
        """All of a map, [batch, C, H, W]."""
        return self.maps[self.numbers[source.name]].transpose(0, 3, 1, 2)
