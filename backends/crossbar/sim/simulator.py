"""The functional simulator: executes a program on a batch of samples, bit-exactly.

The program is taken to be one that `checker.check` accepts.  What executes it is an engine, chosen
by name; all give the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pkgutil import resolve_name
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.backends.crossbar.core.program import AnyPort, FeatureMap, HostPort, Program
from epimc.backends.crossbar.instructions.host import host_tables
from epimc.backends.crossbar.instructions.mvm import Mvm
from epimc.backends.crossbar.isa.execution import Observer, RoundRobin, Strategy
from epimc.backends.crossbar.kernels.converters import lossless
from epimc.backends.crossbar.sim.engine import Arrays, Engine, EngineOptions, HostRunner
from epimc.backends.crossbar.sim.paths import check_path
from epimc.ir.semantics import arrays
from epimc.support.diagnostics import did_you_mean, error
from epimc.support.limits import DEFAULT_BYTES
from epimc.support.port_types import joined

__all__ = ["Arrays", "Collector", "HostRunner", "Simulator"]

# Name -> "module:Class", imported on use.
ENGINES: Mapping[str, str] = {
    "ssa": "epimc.backends.crossbar.sim.ssa.engine:SsaEngine",
    "bytes": "epimc.backends.crossbar.sim.byte_engine:ByteEngine",
}


def engine_class(name: str) -> type[Engine]:
    """The class of an engine.

    Raises:
        EpimcError: There is no such engine.
    """
    if name not in ENGINES:
        raise error(f"Unknown simulation engine '{name}'.", hint=did_you_mean(name, ENGINES))
    kind: type[Engine] = resolve_name(ENGINES[name])
    return kind


class Simulator:
    """A program, prepared for execution.

    Args:
        program: A program that the checker accepts.
        path: How crossbars compute: `fused` (one integer product), `bit-serial` (every slice
            through the ADC) or `auto` (fused wherever the ADC is lossless, with the same result).
        batch: Samples executed at once, fewer where these would take more memory than
            DEFAULT_BYTES; results do not depend on it.
        host: Runs the program's host calls; not needed where there are none.
        engine: What executes the program, a name in ENGINES: `ssa`, each map at once, or `bytes`,
            instruction by instruction, with the bytes of buffers and of off-chip memory.
        strategy: Which tile goes on next; results do not depend on it.
        threads: How many the engine may use, of which `bytes` uses one; the same results.

    Raises:
        EpimcError: `path`, `engine`, `batch` or `threads` is not one of the allowed values, there
            are host calls but no host, or one sample takes more memory than DEFAULT_BYTES.
    """

    def __init__(
        self,
        program: Program,
        *,
        path: str = "auto",
        batch: int = 64,
        host: HostRunner | None = None,
        engine: str = "ssa",
        strategy: Strategy | None = None,
        threads: int = 1,
    ) -> None:
        check_path(path)
        kind = engine_class(engine)
        if batch < 1:
            raise error(f"The batch size must be at least 1, not {batch}.")
        if threads < 1:
            raise error(f"The number of threads must be at least 1, not {threads}.")
        # Here, not at the first call: that may come after minutes.
        calls = host_tables(program)
        if calls and host is None:
            raise error(f"The program calls the host for '{calls[0].fragment}', but has no host.")
        self.engine = kind(program, EngineOptions(path, host, strategy or RoundRobin(), threads))
        self.program, self.batch, self.path = program, batch, path
        self._batch(watched=False)

    @property
    def is_lossless(self) -> bool:
        """Whether no ADC can clip or round, or none is asked."""
        parts = self.program.tables_of(Mvm)
        return self.path == "fused" or all(lossless(part, self.program.chip) for part in parts)

    def _batch(self, *, watched: bool) -> int:
        """How many samples to execute at once: no more than have room in memory."""
        needed = self.engine.sample_bytes(watched=watched)
        if needed > DEFAULT_BYTES:
            fact = f"A sample takes {needed} bytes of memory"
            raise error(f"{fact}; the limit is {DEFAULT_BYTES}.")
        return min(self.batch, DEFAULT_BYTES // max(needed, 1))

    def run(self, inputs: Arrays, observers: Sequence[Observer] = ()) -> Arrays:
        """Execute the program.

        Args:
            inputs: float32 [samples, *shape] for every input port, by name; for an input of the
                host a sequence with a value for each sample.
            observers: Told of all that is done, batch after batch.

        Returns:
            float32 [samples, *shape] for every output port, by name; of an output of the host a
            list with a value for each sample.

        Raises:
            EpimcError: An input is missing, unknown or of a wrong shape, or the program
                is deadlocked.
        """
        samples = _check_inputs(self.program.inputs, inputs)
        shapes = {port.name: (samples, *port.shape) for port in self.program.chip_outputs}
        outputs: Arrays = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
        outputs |= {port.name: [None] * samples for port in self.program.host_outputs}
        watched = any(observer.watches_rows for observer in observers)
        # The last batch is smaller: engines take any number of samples.
        for part in arrays.pieces(samples, 1, self._batch(watched=watched)):
            first = part.start
            for observer in observers:
                observer.begin(first, part.stop - first)
            # An engine keeps the buffers of all its samples in memory: hence batches.
            results = self.engine.run({name: x[part] for name, x in inputs.items()}, observers)
            for name, result in results.items():
                outputs[name][part] = result
        for port in self.program.host_outputs:
            outputs[port.name] = joined(port.port_type, outputs[port.name])
        return outputs

    def run_collect(self, inputs: Arrays) -> tuple[Arrays, dict[str, NDArray[Any]]]:
        """Execute the program and keep every map that an instruction computes.

        Returns:
            The outputs, as `run`; and integers [samples, C, H, W] of every computed map, by name.

        Raises:
            EpimcError: As `run`.
        """
        collector = Collector()
        return self.run(inputs, [collector]), collector.maps()


class Collector(Observer):
    """Keeps every map that an instruction computes."""

    watches_instructions = False

    def __init__(self) -> None:
        self._batches: list[dict[str, NDArray[Any]]] = []

    def begin(self, first: int, count: int) -> None:
        """A new batch, whose rows come behind those of the last."""
        self._batches.append({})

    def computed(self, target: FeatureMap, first: int, rows: NDArray[Any]) -> None:
        """Keep rows, in the type in which they come."""
        # Rows of one map come one by one, in the order of the schedule.
        maps = self._batches[-1]
        if target.name not in maps:
            maps[target.name] = np.zeros((len(rows), *target.dims), rows.dtype)
        maps[target.name][:, :, first : first + rows.shape[2]] = rows

    def maps(self) -> dict[str, NDArray[Any]]:
        """Integers [samples, C, H, W] of every computed map, by name."""
        # One batch is not copied: all maps of many samples are large.
        if len(self._batches) == 1:
            return self._batches[0]
        # Every batch computes the same maps: it runs the same program.
        names = self._batches[0] if self._batches else {}
        return {name: np.concatenate([maps[name] for maps in self._batches]) for name in names}


def _check_inputs(ports: tuple[AnyPort, ...], inputs: Arrays) -> int:
    """The number of samples; an error names the first input that does not fit."""
    names = [port.name for port in ports]
    for name in inputs:
        if name not in names:
            raise error(f"The program has no input '{name}'.", hint=did_you_mean(name, names))
    samples: int | None = None
    for port in ports:
        if port.name not in inputs:
            raise error(f"Input '{port.name}' is missing.")
        count = _count(port, inputs[port.name])
        if samples is not None and count != samples:
            raise error(f"Input '{port.name}' has {count} samples, another has {samples}.")
        samples = count
    # Without inputs there is one.
    return 1 if samples is None else samples


def _count(port: AnyPort, values: Any) -> int:
    """How many samples there are of an input."""
    if isinstance(port, HostPort):
        return len(values)
    shape = values.shape
    if not shape or shape[1:] != port.shape:
        raise error(
            f"Input '{port.name}' has shape {shape}, not (samples, "
            f"{', '.join(map(str, port.shape))})."
        )
    return int(shape[0])
