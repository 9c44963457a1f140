"""What a request says of a model's inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from epimc.compiler.memory import InMemory
from epimc.compiler.options import ModelOptions
from epimc.frontend import WantedInputs
from epimc.support.constants import constants_from
from epimc.support.shapes import shapes_from

if TYPE_CHECKING:
    from epimc.samples.sample_arrays import SampleData


def wanted_inputs(
    request: ModelOptions, memory: InMemory, data: SampleData | None = None
) -> WantedInputs:
    """What is said of the model's inputs.

    Args:
        request: What is asked for.
        memory: What is passed in memory.
        data: Samples, whose sizes count where the model leaves them open.
    """
    constants = {**constants_from(request.constants), **memory.constants}
    shapes = None if data is None else data.shapes
    return WantedInputs(shapes_from(request.shapes), shapes, constants=constants)
