"""The host of a program: runs the ONNX models of its host calls in onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.runtime.reference import Reference
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
            name: Reference(model, f"the fragment '{name}'", limit_bytes=limit_bytes)
            for name, model in fragments.items()
        }

    def __call__(self, name: str, operands: list[Array]) -> Array:
        """Run a fragment.

        Args:
            name: Of the fragment.
            operands: Activations, samples first, in any shape of the right size.

        Returns:
            uint8, samples first, in the shape that the fragment gives.

        Raises:
            EpimcError: There is no such fragment, or it does not take or give these.
        """
        fragment = self.fragments.get(name)
        if fragment is None:
            raise error(f"The host has no fragment '{name}'.")
        shapes = fragment.inputs
        try:
            inputs = {
                key: array.astype(np.uint8).reshape(len(array), *map(int, shape))
                for (key, shape), array in zip(shapes.items(), operands, strict=True)
            }
            (result,) = fragment.run(list(fragment.outputs), inputs)
        # It takes or gives other tensors, or of sizes that are no numbers.
        except (TypeError, ValueError) as problem:
            raise error(f"The fragment '{name}' does not run.", notes=[str(problem)]) from None
        if result.dtype != np.uint8:
            raise error(f"The fragment '{name}' gives {result.dtype}, not uint8.")
        return result
