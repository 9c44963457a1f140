"""Bundles of the small programs of `programs.py`."""

from __future__ import annotations

from epimc.backends.crossbar.backend import CrossbarProgram
from epimc.backends.crossbar.core.program import Program
from epimc.backends.crossbar.instructions.host import host_tables
from epimc.backends.crossbar.target.schema import Target, load_target
from epimc.bundle.bundle import Bundle
from epimc.bundle.manifest import Model, Options, new_manifest
from epimc.support.files import File
from epimc.support.placement import Placement

MODEL = Model(name="x.onnx", sha256="0" * 64)
OPTIONS = Options(
    weight_bits=4,
    layer_bits={},
    activation_bits=8,
    calibration="standard normal, seed 0",
    passes="map,emit",
)

PLACEMENT = Placement(
    nodes=1,
    nodes_on_chip=1,
    macs=8,
    macs_on_chip=8,
    result_bytes=4,
    result_bytes_on_chip=4,
    crossing_bytes=0,
)


def target_of(program: Program) -> Target:
    """The target `tiny` with the sizes of the program's chip."""
    data = load_target("tiny").to_dict()
    chip = program.chip
    data["crossbar"] |= {"rows": chip.crossbar_rows, "columns": chip.crossbar_columns}
    data["crossbar"]["cell_bits"] = chip.cell_bits
    data["converters"] = {"dac_bits": chip.dac_bits, "adc_bits": chip.adc_bits}
    data["tile"] = {"crossbars": chip.crossbars_per_tile, "buffer_bytes": chip.buffer_bytes}
    data["memory"] = {"off_chip_bytes": chip.off_chip_bytes}
    return Target.from_dict(data)


def bundle_of(program: Program, **extra_files: File) -> Bundle:
    """A bundle of a program, with extra files by their paths."""
    compiled = CrossbarProgram(program, target_of(program))
    manifest = new_manifest("epimc 0.1.0", MODEL, OPTIONS, compiled, PLACEMENT)
    fragments = {table.fragment: b"a model" for table in host_tables(program)}
    return Bundle(manifest, compiled, extra_files, fragments=fragments)
