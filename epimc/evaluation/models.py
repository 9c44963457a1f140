"""What is evaluated: the float model, the epitomized one, the integers and the program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from epimc.bundle.bundle import Bundle
from epimc.evaluation.options import FLOAT, PROGRAM, Integers, Model
from epimc.runtime.session import host_of

if TYPE_CHECKING:
    from epimc.backends.base import Executor
    from epimc.runtime.reference import Reference

Array = NDArray[Any]
Inputs = Mapping[str, Array]


class Evaluated(Protocol):
    """What gives the outputs for a batch of samples, on which no sample's outputs depend."""

    def run(self, inputs: Inputs) -> list[Any]:
        """For each output of the program [samples, …], or a list with a value for each sample."""


class Simulated:
    """A program on the simulator."""

    def __init__(self, executor: Executor, names: Sequence[str]) -> None:
        """Take what runs it, and the names of the outputs."""
        self.executor, self.names = executor, names

    def run(self, inputs: Inputs) -> list[Any]:
        """Of a batch at once: a simulator computes each sample for itself."""
        outputs = self.executor.run(dict(inputs))
        return [outputs[name] for name in self.names]


class Referred:
    """A model in onnxruntime.

    Attributes:
        apart: Whether it gets one sample at a time: sums of floats are rounded in another order
            where several samples are multiplied at once.
    """

    def __init__(self, reference: Reference, names: Sequence[str], *, apart: bool) -> None:
        """Take the model, and the names of the outputs."""
        self.reference, self.names, self.apart = reference, names, apart

    def run(self, inputs: Inputs) -> list[Any]:
        """Sample by sample, or all at once where that is exact."""
        count = len(next(iter(inputs.values()), [None]))
        if not self.apart or self.reference.types is not None:
            return self.reference.run(self.names, inputs)
        parts = [
            self.reference.run(
                self.names, {name: array[k : k + 1] for name, array in inputs.items()}
            )
            for k in range(count)
        ]
        return [np.concatenate(columns) for columns in zip(*parts, strict=True)]


def evaluated(
    model: Model, bundle: Bundle, integers: Integers, simulator: Mapping[str, Any]
) -> Evaluated:
    """Load one of what is evaluated.

    Args:
        model: Which.
        bundle: It has them.
        integers: What computes `integers`.
        simulator: Options of the backend's simulator.

    Raises:
        EpimcError: The bundle does not have it any more, or onnxruntime refuses it.
    """
    program = bundle.program
    names = [port.name for port in program.outputs]
    name = model.name
    if name == PROGRAM:
        bits = {} if model.adc_bits is None else {"adc_bits": model.adc_bits}
        return Simulated(program.executor(host_of(bundle), **simulator, **bits), names)
    if name == "integers" and integers == "simulator":
        return Simulated(program.lossless_executor(host_of(bundle), **simulator), names)
    # Imported here: programs run without onnxruntime.
    from epimc.verification.verify import integer_reference, reference_model

    if name == "integers":
        return Referred(integer_reference(bundle, layers=False).session, names, apart=False)
    from epimc.runtime.reference import Reference
    from epimc.verification.integer_reference import types_of

    file, what = REFERENCES[name]
    reference = Reference(
        reference_model(bundle, file),
        what,
        users=name == FLOAT,
        types=types_of(program),
        limit_bytes=bundle.limit_bytes,
        threads=1,
    )
    return Referred(reference, names, apart=True)


REFERENCES = {
    "float": ("float.onnx", "the float model"),
    "epitomized": ("epi.onnx", "the epitomized model"),
}
"""The files of the bundle's reference, and what messages call them."""
