"""The crossbar backend, as the driver sees it; what is used is imported on use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from epimc.backends.base import (
    Arrays,
    Backend,
    CompiledProgram,
    Executor,
    Host,
    HostCall,
    Pages,
    PlannedLayer,
    Target,
)
from epimc.backends.crossbar.bundle.program_files import REQUIRED
from epimc.backends.crossbar.core.program import FeatureMap, Program
from epimc.backends.crossbar.instructions.host import CHIP, host_tables, host_value
from epimc.backends.crossbar.target.schema import MOST_ADC_BITS, builtin_targets, load_target
from epimc.backends.crossbar.target.schema import Target as CrossbarTarget
from epimc.backends.forms import Claim
from epimc.support.diagnostics import Diagnostic, counted, did_you_mean, error, render
from epimc.support.files import File
from epimc.support.results import Result

if TYPE_CHECKING:
    from epimc.backends.crossbar.costs import CrossbarCosts
    from epimc.backends.crossbar.lower.planning import CrossbarCounts
    from epimc.backends.crossbar.sim.counters import Counters
    from epimc.backends.crossbar.sim.simulator import Simulator
    from epimc.backends.crossbar.summary import CrossbarSummary
    from epimc.ir.core.module import Module


class CrossbarExecutor(Executor):
    """A program on the bundled simulator."""

    def __init__(self, simulator: Simulator) -> None:
        """Run the program that the simulator was made for, with its engine and its host."""
        self.simulator = simulator

    @property
    def is_lossless(self) -> bool:
        """Whether no ADC can clip or round, or none is asked."""
        return self.simulator.is_lossless

    def run(self, inputs: Arrays, observers: Sequence[Any] = ()) -> Arrays:
        """The outputs; observers are `isa.execution.Observer`."""
        return {**self.simulator.run(inputs, observers)}

    def run_collect(self, inputs: Arrays) -> tuple[Arrays, Arrays]:
        """The outputs, and all computed maps."""
        outputs, maps = self.simulator.run_collect(inputs)
        return {**outputs}, {**maps}


class CrossbarProgram(CompiledProgram):
    """A program for crossbars, and the target that it is for."""

    backend = "crossbar"

    def __init__(self, program: Program, target: CrossbarTarget) -> None:
        """Put both together; the program's chip is `target.sized(len(program.streams))`."""
        self.program = program
        self.target: CrossbarTarget = target
        self.inputs, self.outputs = program.inputs, program.outputs
        self.maps = [feature for feature in program.maps if not feature.is_token]
        self.computed_maps = computed_maps_of(program)
        self.host_calls = host_calls_of(program)
        instructions = sum(len(stream) for stream in program.streams)
        tiles = len(program.streams)
        self.size = f"{counted(instructions, 'instruction')} on {counted(tiles, 'tile')}"

    def files(self) -> Mapping[str, File]:
        """Its files by name, those of `bundle/program_files.py`; EpimcError beyond their limits."""
        from epimc.backends.crossbar.bundle.program_files import program_files

        return program_files(self.program, self.target)

    def executor(self, host: Host | None = None, **options: Any) -> CrossbarExecutor:
        """The options are those of `Simulator`: path, batch, engine, strategy, threads; adc_bits.

        With `adc_bits` the ADCs have so many bits, and the range that the target says.
        """
        from epimc.backends.crossbar.sim.simulator import Simulator

        check_options(options)
        bits = options.pop("adc_bits", None)
        if bits is not None and options.get("path") == "fused":
            raise error(
                "The fused path reads no ADC, and so none of other bits.",
                hint="Leave the path, or the bits of the ADCs, out.",
            )
        program = self.program if bits is None else self.with_adc_bits(bits).program
        return CrossbarExecutor(Simulator(program, host=host, **options))

    def with_adc_bits(self, bits: int) -> CrossbarProgram:
        """The program on a chip with ADCs of other bits.

        Raises:
            EpimcError: There are no such ADCs, or as `converted`.
        """
        from epimc.backends.crossbar.lower.converters import with_steps

        if not 1 <= bits <= MOST_ADC_BITS:
            raise error(f"An ADC has 1 to {MOST_ADC_BITS} bits, not {bits}.")
        converters = self.target.converters
        if converters.adc_range == "calibrated" and bits != converters.adc_bits:
            raise error(
                f"The range of these ADCs was calibrated for {converters.adc_bits} bits, not for "
                f"{bits}.",
                hint="Compile for a target whose ADCs have as many bits.",
            )
        program = replace(self.program, chip=replace(self.program.chip, adc_bits=bits))
        return self.converted(with_steps(program, self.target))

    def converted(self, program: Program) -> CrossbarProgram:
        """The program with other converters.

        Raises:
            EpimcError: They may lose so much that numbers exceed their bits.
        """
        from epimc.backends.crossbar.check.checker import CONVERTERS, check

        if problems := check(program, CONVERTERS):
            raise error(
                f"With {program.chip.adc_bits}-bit ADCs the program would compute wrong numbers.",
                notes=[render(diagnostic) for diagnostic in problems],
                hint="Use ADCs that lose less.",
            )
        return CrossbarProgram(program, self.target)

    @property
    def is_calibrated(self) -> bool:
        """Where the target's range of ADCs says so: then their steps follow from samples."""
        return self.target.converters.adc_range == "calibrated"

    def calibrated(self, samples: Arrays, host: Host | None = None) -> CrossbarProgram:
        """The program with the steps that the first samples need; EpimcError as `converted`."""
        from epimc.backends.crossbar.lower.converters import with_layer_steps
        from epimc.backends.crossbar.sim.calibration import calibrated_steps

        steps = calibrated_steps(self.program, samples, host)
        return self.converted(with_layer_steps(self.program, steps))

    def lossless_executor(self, host: Host | None = None, **options: Any) -> CrossbarExecutor:
        """What the arrays hold, multiplied: the fused path, whatever the options say."""
        return self.executor(host, **{**options, "path": "fused"})

    def claims(self) -> Iterator[Claim]:
        """From the program's tables."""
        from epimc.backends.crossbar.proof import claims

        return claims(self.program)

    def problems(self) -> list[Diagnostic]:
        """What the checker says."""
        from epimc.backends.crossbar.check.checker import check

        return check(self.program)

    def setting_mismatches(
        self, weight_bits: int, layer_bits: Mapping[str, int], activation_bits: int
    ) -> dict[str, int]:
        """Maps and tables of other bits, and of another mapping than the target's."""
        from epimc.backends.crossbar.proof import setting_mismatches

        mapping = self.target.crossbar.mapping
        return setting_mismatches(self.program, weight_bits, layer_bits, activation_bits, mapping)

    def describe(self) -> CrossbarSummary:
        """Layers, crossbars, tiles and instructions."""
        from epimc.backends.crossbar.summary import program_summary

        return program_summary(self.program)

    def warnings(self) -> list[str]:
        """That ADCs may clip or round, which makes results inexact; in which layers, how far."""
        from epimc.backends.crossbar.summary import layer_summaries, loss_warnings

        layers = layer_summaries(self.program)
        return list(loss_warnings(layers, self.target.converters.adc_bits, self.target.name))

    def listing(self) -> str:
        """The assembly with comments."""
        from epimc.backends.crossbar.isa.listing import list_program

        return list_program(self.program)

    def cost_meter(self) -> Counters:
        """Counts of what executed instructions use."""
        from epimc.backends.crossbar.sim.counters import Counters

        return Counters(self.program)

    def costs(self, meter: Counters) -> CrossbarCosts:
        """One sample's counts, layer by layer."""
        from epimc.backends.crossbar.costs import crossbar_costs

        return crossbar_costs(self.program, meter)


def check_options(options: Mapping[str, object]) -> None:
    """Hold the options of an executor to the names and types that the simulator knows.

    Raises:
        EpimcError: One is unknown, or of another type.
    """
    from epimc.backends.crossbar.isa.execution import Strategy

    kinds = {
        "path": str,
        "batch": int,
        "engine": str,
        "strategy": Strategy,
        "threads": int,
        "adc_bits": int,
    }
    for name, value in options.items():
        if name not in kinds:
            hint = did_you_mean(name, kinds)
            raise error(f"The simulator has no option '{name}'.", hint=hint)
        if not isinstance(value, kinds[name]) or isinstance(value, bool):
            kind = type(value).__name__
            raise error(f"Option '{name}' of the simulator cannot be of the type {kind}.")


def computed_maps_of(program: Program) -> list[FeatureMap]:
    """Inputs are the host's, and of a split layer only the sum is a value."""
    joins = (table for table in program.tables if table.joins_parts)
    parts = {source for table in joins for source in table.sources}
    outside = {port.map for port in program.inputs} | parts
    return [
        feature
        for number, feature in enumerate(program.maps)
        if number not in outside and not feature.is_token
    ]


def host_calls_of(program: Program) -> list[HostCall]:
    """The instructions `host`, as their tables say."""
    maps = program.maps
    return [
        HostCall(
            table.fragment,
            tuple(
                maps[operand.map].name if operand.result == CHIP else host_value(program, operand)
                for operand in table.reads
            ),
            maps[table.destination].nodes,
        )
        for table in host_tables(program)
    ]


class CrossbarBackend(Backend):
    """Chips of tiles with crossbars, whose tiles stream feature maps row by row."""

    name = "crossbar"
    description = "tiles of crossbars that stream feature maps row by row"
    default_target = "epim-256"
    files = REQUIRED

    def load_dialect(self) -> None:
        """Dialect `xbar`, levels `mapped` to `allocated`."""
        from epimc.backends.crossbar import dialect  # noqa: F401  (it registers both)

    @property
    def passes(self) -> Mapping[str, str]:
        """In the order in which they run."""
        return {
            "price_bits": "epimc.backends.crossbar.lower.price_bits:PriceBits",
            "map": "epimc.backends.crossbar.lower.map:Map",
            "place": "epimc.backends.crossbar.lower.place:Place",
            "schedule": "epimc.backends.crossbar.lower.schedule:Schedule",
            "allocate": "epimc.backends.crossbar.lower.allocate:Allocate",
        }

    @property
    def pricing(self) -> str:
        """The pass that counts arrays and reads at each width."""
        return "price_bits"

    def pipeline(self, target: Target) -> str:
        """Arrays, tiles, order of rows, addresses: the target decides all of them."""
        return "map,place,schedule,allocate"

    def targets(self) -> list[str]:
        """The TOML files of `target/builtin`."""
        return builtin_targets()

    def load_target(self, name_or_path: str) -> CrossbarTarget:
        """A built-in target by its name, or the one in a TOML file."""
        return load_target(name_or_path)

    def emit(self, module: Module) -> CrossbarProgram:
        """The program of a module at level `allocated`."""
        from epimc.backends.crossbar.lower.emit import emit
        from epimc.backends.crossbar.lower.map import target_of

        return CrossbarProgram(emit(module), target_of(module))

    def read(self, files: Mapping[str, bytes], subject: str) -> CrossbarProgram:
        """The inverse of `CrossbarProgram.files`; EpimcError where a file is missing or wrong."""
        from epimc.backends.crossbar.bundle.program_files import read_program

        return CrossbarProgram(*read_program(files, subject))

    def array_rows(self, target: Target) -> int:
        """Word lines of a crossbar."""
        return crossbar_target(target).crossbar.rows

    def refuse_width(self, target: Target, weight_bits: int, where: str) -> None:
        """Refuse what the target's mapping of signs has no cells for."""
        from epimc.backends.crossbar.lower.counting import refuse_mapping

        refuse_mapping(crossbar_target(target).crossbar.mapping, weight_bits, where)

    def count(
        self, layers: Sequence[PlannedLayer], target: Target, weight_bits: int, activation_bits: int
    ) -> CrossbarCounts:
        """Crossbars by two rules, arrays, rounds and reads."""
        from epimc.backends.crossbar.lower.planning import count_layers

        return count_layers(layers, crossbar_target(target), weight_bits, activation_bits)

    def assemble(self, text: str, file: str) -> bytes:
        """The binary of a program in assembly; EpimcError names the line of a mistake."""
        from epimc.backends.crossbar.isa.assembly import parse_program
        from epimc.backends.crossbar.isa.binary import encode

        return encode(parse_program(text, file))

    def disassemble(self, data: bytes, file: str) -> str:
        """The assembly of a binary; EpimcError names the offset of the first wrong byte."""
        from epimc.backends.crossbar.isa.assembly import format_program
        from epimc.backends.crossbar.isa.binary import decode

        return format_program(decode(data, file))

    @property
    def results(self) -> tuple[type[Result], ...]:
        """Of programs, of what a sample costs and of what layers take."""
        from epimc.backends.crossbar.costs import CrossbarCosts
        from epimc.backends.crossbar.lower.planning import CrossbarCounts
        from epimc.backends.crossbar.summary import CrossbarSummary

        return CrossbarSummary, CrossbarCosts, CrossbarCounts

    @property
    def pages(self) -> Pages:
        """The instruction set, and the keys of targets."""
        from epimc.backends.crossbar.isa.page import isa_page
        from epimc.backends.crossbar.target.page import target_page

        return {"docs/isa.md": isa_page, "docs/targets.md": target_page}


def crossbar_target(target: Target) -> CrossbarTarget:
    """A target of this backend.

    Raises:
        TypeError: It is another backend's: a defect of the caller.
    """
    if not isinstance(target, CrossbarTarget):
        raise TypeError(f"'{target.name}' is no target of the crossbar backend")
    return target


BACKEND = CrossbarBackend()
