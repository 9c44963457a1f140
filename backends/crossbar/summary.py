"""What a program for crossbars consists of: layers, crossbars, tiles, instructions, host calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from epimc.backends.base import ProgramSummary
from epimc.backends.crossbar.core.program import NO_ADDRESS, Program
from epimc.backends.crossbar.instructions.host import host_steps, host_tables
from epimc.backends.crossbar.instructions.layers import mvm_layers
from epimc.backends.crossbar.instructions.mvm import Mvm
from epimc.backends.crossbar.isa.loops import executed
from epimc.backends.crossbar.kernels.converters import converter_of, highest_sum
from epimc.ir.semantics.converters import Converter
from epimc.support.diagnostics import counted
from epimc.support.origins import call_of, elided
from epimc.support.results import OnnxNode, first_name, onnx_nodes
from epimc.support.tables import Block, Lines, dims, table

# So many calls of the host are named in the text; JSON has all of them.
MOST_CALLS = 6

# So many layers whose ADCs lose something are named in warnings; JSON has all of them.
MOST_LOSSES = 6


@dataclass(frozen=True)
class HostCallSummary:
    """A part of the program that the host runs.

    Attributes:
        name: Of its fragment.
        nodes: The ONNX nodes that it stands for.
    """

    name: str
    nodes: tuple[OnnxNode, ...]

    def __str__(self) -> str:
        """`Softmax 'probabilities'` for its first node, and how many more there are."""
        if not self.nodes:
            return self.name
        first = call_of(self.nodes[0].op, elided(self.nodes[0].name))
        others = len(self.nodes) - 1
        return f"{first} and {counted(others, 'node')} more" if others else first


@dataclass(frozen=True)
class CrossbarLayer:
    """One layer on crossbars.

    Attributes:
        name: Of the feature map with its sums.
        nodes: The ONNX nodes that it stands for.
        epitome: Rows and columns of its matrix.
        groups: Of the convolution; 1 for a matmul.
        weight_bits: Bits of a weight.
        rounds: Activation rounds of one output position.
        crossbars: Arrays that it takes.
        tiles: The tiles that have its parts, from the lowest number.
        highest_sum: The highest sum that any read of its programmed columns may deliver.
        adc_step: What one code of its ADCs stands for.
        adc_error: The most by which its ADCs may misread a column; 0 where they are lossless.
    """

    name: str
    nodes: tuple[OnnxNode, ...]
    epitome: tuple[int, ...]
    groups: int
    weight_bits: int
    rounds: int
    crossbars: int
    tiles: tuple[int, ...]
    highest_sum: int
    adc_step: int
    adc_error: int


@dataclass(frozen=True)
class CrossbarSummary(ProgramSummary):
    """A program for crossbars.

    Attributes:
        tiles: Tiles that it uses, each with an instruction stream.
        crossbars: Arrays that it uses.
        instructions: How many of each instruction are executed, by name.
        stored_instructions: Instructions as they are stored: loops make them fewer.
        spilled: The feature maps that do not fit into the buffers, and lie off chip.
        off_chip_bytes: Memory that it uses off chip, in bytes.
        lossless_adc: Whether no ADC can clip or round: else results differ from the integer
            reference.
        host_calls: What the host runs.
        layers: The layers on crossbars, in the order of the program.
    """

    tiles: int
    crossbars: int
    instructions: Mapping[str, int]
    stored_instructions: int
    spilled: tuple[str, ...]
    off_chip_bytes: int
    lossless_adc: bool
    host_calls: tuple[HostCallSummary, ...]
    layers: tuple[CrossbarLayer, ...]

    def blocks(self) -> Iterator[Block]:
        """The layers, with totals."""
        titles = ("layer", "epitome", "bits", "rounds", "crossbars", "tiles")
        rows = (
            (
                first_name(layer.name, layer.nodes),
                dims(layer.epitome),
                str(layer.weight_bits),
                str(layer.rounds),
                str(layer.crossbars),
                spans(layer.tiles),
            )
            for layer in self.layers
        )
        if self.layers:
            yield table(titles, rows)
        yield Lines(tuple(self.totals()))

    def totals(self) -> Iterator[str]:
        """Sums, and what to beware of."""
        yield (
            f"{counted(self.crossbars, 'crossbar')} on {counted(self.tiles, 'tile')}, "
            f"{counted(self.stored_instructions, 'instruction')} "
            f"({sum(self.instructions.values())} executed), "
            f"{counted(len(self.spilled), 'map')} spilled, {self.off_chip_bytes} bytes off chip"
        )
        if self.host_calls:
            count = len(self.host_calls)
            calls = [str(call) for call in self.host_calls]
            if count > MOST_CALLS:
                calls[MOST_CALLS - 1 :] = [f"{count - MOST_CALLS + 1} others"]
            yield f"{counted(count, 'host call')}: {', '.join(calls)}"
        if not self.lossless_adc:
            yield "The ADC is not lossless: results differ from the integer reference."


def loss_warnings(layers: Sequence[CrossbarLayer], adc_bits: int, target: str) -> Iterator[str]:
    """That, where and by how much a target's ADCs lose something; nothing if they do not."""
    lossy = [layer for layer in layers if layer.adc_error]
    if not lossy:
        return
    yield f"the ADC of target '{target}' is not lossless: results will not be exact"
    shown = lossy if len(lossy) <= MOST_LOSSES else lossy[: MOST_LOSSES - 1]
    for layer in shown:
        top = Converter(adc_bits, layer.adc_step).top * layer.adc_step
        read = f"{top}" if layer.adc_step == 1 else f"{top} in steps of {layer.adc_step}"
        sums = f"sums of columns reach {layer.highest_sum}, its ADC reads up to {read}"
        yield f"{first_name(layer.name, layer.nodes)}: {sums}: off by up to {layer.adc_error}"
    if others := lossy[len(shown) :]:
        worst = max(layer.adc_error for layer in others)
        yield f"{len(others)} other layers: off by up to {worst}"


def program_summary(program: Program) -> CrossbarSummary:
    """Layers, crossbars, tiles and instructions of a good program."""
    tables = list(program.tables_of(Mvm))
    counts = Counter(i.opcode for stream in program.streams for i in executed(stream))
    layers = layer_summaries(program)
    calls = [program.maps[call.destination] for call in host_tables(program)]
    return CrossbarSummary(
        tiles=len(program.streams),
        crossbars=sum(len(each.arrays) for each in tables),
        instructions=dict(sorted(counts.items())),
        stored_instructions=sum(len(stream) for stream in program.streams),
        spilled=tuple(spilled_maps(program)),
        off_chip_bytes=program.off_chip_extent,
        lossless_adc=not any(layer.adc_error for layer in layers),
        host_calls=tuple(HostCallSummary(call.name, onnx_nodes(call.nodes)) for call in calls),
        layers=layers,
    )


def layer_summaries(program: Program) -> tuple[CrossbarLayer, ...]:
    """All layers, in the order of the program."""
    layers = mvm_layers(program).items()
    return tuple(layer_summary(program, number, parts) for number, parts in layers)


def spilled_maps(program: Program) -> Iterator[str]:
    """The maps that lie off chip although neither a border nor the host needs them there."""
    outside = {port.map for port in (*program.inputs, *program.outputs)}
    for step in host_steps(program).values():
        # These would lie off chip however large the buffers were.
        outside |= {*step.sources, step.destination}
    for number, feature in enumerate(program.maps):
        if feature.address != NO_ADDRESS and number not in outside:
            yield feature.name


def layer_summary(program: Program, number: int, parts: Sequence[Mvm]) -> CrossbarLayer:
    """One layer, which may have parts on several tiles."""
    feature, first = program.maps[number], parts[0]
    highest = max(highest_sum(part, program.chip) for part in parts)
    return CrossbarLayer(
        name=feature.name,
        nodes=onnx_nodes(feature.nodes),
        epitome=tuple(first.weights.shape),
        groups=first.groups,
        weight_bits=first.weight_bits,
        rounds=len(first.rounds),
        crossbars=sum(len(part.arrays) for part in parts),
        tiles=tuple(sorted(part.tile for part in parts)),
        highest_sum=highest,
        adc_step=first.adc_step,
        adc_error=converter_of(first, program.chip).worst_error(highest),
    )


def spans(numbers: Sequence[int]) -> str:
    """First and last of consecutive numbers."""
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]}-{numbers[-1]}"
