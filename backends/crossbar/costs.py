"""What a sample costs on crossbars, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from epimc.backends.base import CostSummary
from epimc.backends.crossbar.core.counts import Conversions, Counts
from epimc.backends.crossbar.core.program import Program
from epimc.backends.crossbar.sim.counters import Counters
from epimc.support.results import INLINED, OnnxNode, onnx_nodes
from epimc.support.tables import Block, Lines, short, table

# The columns of the table: which counts each adds up.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "instr": ("instructions",),
    "rounds": ("rounds",),
    "reads": ("array_reads",),
    "no reuse": ("array_reads_without_reuse",),
    "ADC": ("adc_conversions",),
    "DAC": ("dac_drives",),
    "joint": ("multiply_adds",),
    "buffer": ("buffer_read_bytes", "buffer_written_bytes"),
    "off chip": ("off_chip_read_bytes", "off_chip_written_bytes"),
    "sent": ("sent_bytes",),
}

NOTES = (
    "for one sample; joint: multiply-adds of the joint module; no reuse: reads without "
    "output wrapping;",
    "buffer, off chip, sent: bytes; total: with signal, wait and halt",
)


CONVERSION_NOTES = (
    "for all samples; clipped: conversions of sums above the ADC's range; skipped: array reads",
    "whose input slice is 0 in all driven lines",
)


@dataclass(frozen=True)
class LayerCost:
    """What one layer costs; inputs are layers as well.

    Attributes:
        name: Of its feature map.
        nodes: The ONNX nodes that it stands for.
        input: Whether it is an input of the model, which is loaded only.
        counts: For one sample.
        conversions: What its ADCs did for all samples; null where no sums were counted, on the
            fused path.
    """

    name: str
    nodes: tuple[OnnxNode, ...]
    input: bool
    counts: Counts = field(metadata=INLINED)
    conversions: Conversions | None = None


@dataclass(frozen=True)
class CrossbarCosts(CostSummary):
    """What one sample costs, as it was executed.

    Attributes:
        total: All of the program, with what only orders tiles.
        layers: Every feature map, of a split layer all parts together.
    """

    total: Counts
    layers: tuple[LayerCost, ...]

    def blocks(self) -> Iterator[Block]:
        """The layers and the total, and what the columns mean."""
        rows = [(layer.name, *cells(layer.counts)) for layer in self.layers]
        yield table(("value", *COLUMNS), [*rows, ("total", *cells(self.total))])
        yield Lines(NOTES)
        converted = [layer for layer in self.layers if layer.conversions is not None]
        if converted:
            lines = [(layer.name, *conversion_cells(layer.conversions)) for layer in converted]
            yield table(("value", "clipped", "skipped"), lines)
            yield Lines(CONVERSION_NOTES)


def conversion_cells(conversions: Conversions | None) -> Iterator[str]:
    """The cells of one line; what is not known is `-`."""
    if conversions is not None:
        for count in (conversions.clipped, conversions.skipped):
            yield "-" if count is None else short(count)


def cells(counts: Counts) -> Iterator[str]:
    """The cells of one line."""
    for names in COLUMNS.values():
        yield short(sum(getattr(counts, name) for name in names))


def crossbar_costs(program: Program, counters: Counters) -> CrossbarCosts:
    """What counters that watched an execution of the program come to."""
    inputs = {port.map for port in program.inputs}
    layers = (
        LayerCost(
            program.maps[number].name,
            onnx_nodes(program.maps[number].nodes),
            number in inputs,
            counts,
            counters.conversions.get(number),
        )
        for number, counts in counters.layers().items()
    )
    return CrossbarCosts(counters.total(), tuple(layers))
