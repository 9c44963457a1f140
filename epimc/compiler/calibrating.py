"""What a program takes from the calibration samples once it is made."""

from __future__ import annotations

from epimc.backends.base import CompiledProgram
from epimc.backends.onnx.fragments import fragments_of
from epimc.compiler.importing import Start
from epimc.ir.core.module import Module


def calibrated(program: CompiledProgram, start: Start, integers: Module) -> CompiledProgram:
    """The program with what follows from samples; most have nothing of the kind.

    Args:
        program: A good one.
        start: With the samples.
        integers: The module after `quantize`, which has what the host runs.
    """
    if not program.is_calibrated:
        return program
    fragments = fragments_of(integers)
    host = None
    if fragments:
        # Imported here: it loads onnxruntime.
        from epimc.runtime.host import OnnxHost

        host = OnnxHost(fragments)
    return program.calibrated(start.samples.inputs, host)
