"""How many samples are run at once: what they take is known before anything is allocated."""

from __future__ import annotations

import math

from epimc.backends.base import CompiledProgram
from epimc.support.diagnostics import error
from epimc.support.port_types import PortType
from epimc.support.sample_types import NUMPY_TYPES

DEFAULT_BATCH = 64

# Of every integer of a map and of every real at the borders, which are there twice: as they come,
# and as what runs takes them.
INTEGER_BYTES, REAL_BYTES, COPIES = 4, 8, 2


HOW = "A sample: all maps of the program, its inputs and its outputs."


def sample_bytes(program: CompiledProgram) -> int:
    """What one sample takes at most: all maps of the program at once, its inputs and its outputs.

    4 bytes for every integer of a map; inputs and outputs twice.  Weights, which no batch makes
    larger, are not counted.
    """
    maps = sum(math.prod(feature.dims) for feature in program.maps)
    borders = sum(port_bytes(port.port_type) for port in (*program.inputs, *program.outputs))
    return INTEGER_BYTES * maps + COPIES * borders


def port_bytes(kind: PortType) -> int:
    """The bytes of one sample of an input or output; 0 where these depend on the data."""
    if kind.shape is None:
        return 0
    element = NUMPY_TYPES.get(kind.kind.removeprefix("tensor(").removesuffix(")"), "")
    width = {"float32": 4, "uint8": 1, "int8": 1, "bool": 1}.get(element, REAL_BYTES)
    return width * math.prod(kind.shape)


def batch_size(program: CompiledProgram, wanted: int | None, jobs: int, limit_bytes: int) -> int:
    """How many samples are run at once in each process.

    Args:
        program: What runs.
        wanted: By the user; None: DEFAULT_BATCH, or fewer.
        jobs: Processes.
        limit_bytes: What the batches of all processes may take together.

    Raises:
        EpimcError: So many do not fit.
    """
    one = max(1, sample_bytes(program))
    most = limit_bytes // (one * jobs)
    among = f" in {jobs} processes" if jobs > 1 else ""
    if most < 1:
        raise error(
            f"A sample takes up to {one * jobs} bytes{among}; the limit is {limit_bytes}.",
            notes=[HOW],
            hint="Raise the limit (--limit-bytes)" + (", or use fewer jobs." if among else "."),
        )
    if wanted is None:
        return min(DEFAULT_BATCH, most)
    if wanted > most:
        raise error(
            f"A batch of {wanted} samples takes up to {wanted * one * jobs} bytes{among}; "
            f"the limit is {limit_bytes}.",
            notes=[HOW],
            hint=f"Use --batch {most}, or raise the limit (--limit-bytes).",
        )
    return wanted
