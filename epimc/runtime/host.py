"""The host of a program: runs the ONNX models of its host calls in onnxruntime."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.runtime.guard import GuardedSession
from epimc.support.diagnostics import error
from epimc.support.limits import DEFAULT_BYTES

Array = NDArray[Any]


class OnnxHost:
    """Fragments by name, each loaded once."""

    def __init__(self, fragments: Mapping[str, bytes], limit_bytes: int = DEFAULT_BYTES) -> None:
        """Load the models; they run as they are written.

        Args:
            fragments: The serialized models.
            limit_bytes: Bounds what their tensors may take.

        Raises:
            EpimcError: onnxruntime refuses one.
        """
        self.fragments = {
            name: GuardedSession(model, f"the fragment '{name}'", limit_bytes=limit_bytes)
            for name, model in fragments.items()
        }

    def __call__(self, name: str, operands: Sequence[Any], samples: int) -> list[list[Any]]:
        """Run a fragment, one sample after the other.

        One by one, since a kernel may round otherwise where it gets several samples at once: so no
        result depends on what else is run.

        Args:
            name: Of the fragment.
            operands: Reals [samples, ...] in any shape of the right size, or sequences with a value
                of any ONNX type for each sample.
            samples: How many there are.

        Returns:
            For each output a value for each sample, as onnxruntime gives it.

        Raises:
            EpimcError: There is no such fragment, or it does not take or give these.
        """
        fragment = self.fragments.get(name)
        if fragment is None:
            raise error(f"The host has no fragment '{name}'.")
        shapes = fragment.inputs
        if len(shapes) != len(operands):
            raise error(
                f"The fragment '{name}' does not run.",
                notes=[f"It takes {len(shapes)} inputs, not {len(operands)}."],
            )
        results: list[list[Any]] = [[] for _ in fragment.outputs]
        for sample in range(samples):
            feeds = {
                key: taken(name, operand, sample, shape)
                for (key, shape), operand in zip(shapes.items(), operands, strict=True)
            }
            values = fragment.run(list(fragment.outputs), feeds)
            for result, value in zip(results, values, strict=True):
                result.append(value)
        return results


def taken(name: str, operand: Any, sample: int, shape: Sequence[int | str]) -> Any:
    """A sample of an operand; of reals as the fragment has them.

    Raises:
        EpimcError: They are not as many as the fragment takes.
    """
    if not isinstance(operand, np.ndarray):
        return as_stated(operand[sample], shape)
    try:
        return operand[sample].astype(np.float32, copy=False).reshape([*map(int, shape)])
    # It takes other tensors, or of sizes that are no numbers.
    except (TypeError, ValueError) as problem:
        raise error(f"The fragment '{name}' does not run.", notes=[str(problem)]) from None


def as_stated(value: Any, shape: Sequence[int | str]) -> Any:
    """A value of the host in the shape that a fragment states, if it is a tensor of its size.

    The chip may have the same reals in another shape, and with it the nodes that read them.
    """
    if not isinstance(value, np.ndarray) or value.shape == tuple(shape):
        return value
    sizes = [size for size in shape if isinstance(size, int)]
    fits = len(sizes) == len(shape) and value.size == math.prod(sizes)
    return value.reshape(sizes) if fits else value
