"""onnxruntime, as the reference: run an ONNX model on a batch of samples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.backends.onnx.large import LargeModel
from epimc.runtime.guard import MOST_BYTES, TENSOR_SHARE, GuardedSession
from epimc.support.diagnostics import EpimcError, error
from epimc.support.limits import DEFAULT_BYTES
from epimc.support.port_types import PortType, apart, joined

Array = NDArray[Any]


class Reference:
    """One model in onnxruntime on the CPU."""

    def __init__(
        self,
        model: bytes | LargeModel,
        what: str,
        *,
        users: bool = False,
        types: Mapping[str, PortType] | None = None,
        limit_bytes: int = DEFAULT_BYTES,
        threads: int = 0,
    ) -> None:
        """Load a model.

        Args:
            model: The serialized ONNX model, with all of its tensors in it; or one with its large
                tensors.
            what: Names it in errors.
            users: It is the user's own, which may hold one sample's constants, or shapes, though
                it takes any number of samples; it then gets one at a time.
            types: Of its inputs and outputs, where it must get one sample at a time, as what the
                host runs does; other outputs have the samples first.
            limit_bytes: Bounds what its tensors may take.
            threads: Those that compute one node; 0 leaves it to onnxruntime.

        Raises:
            EpimcError: onnxruntime refuses it.
        """
        self.what, self.users, self.limit_bytes, self.types = what, users, limit_bytes, types
        self.guarded = GuardedSession(model, what, limit_bytes=limit_bytes, threads=threads)
        self.fixed_batch = self._stated_batch()

    @property
    def inputs(self) -> dict[str, tuple[int | str, ...]]:
        """Shapes without the samples, by name."""
        return {name: shape[1:] for name, shape in self.guarded.inputs.items()}

    @property
    def outputs(self) -> dict[str, tuple[int | str, ...]]:
        """Shapes without the samples, by name."""
        return {name: shape[1:] for name, shape in self.guarded.outputs.items()}

    @property
    def properties(self) -> dict[str, str]:
        """What the model's metadata say."""
        return self.guarded.properties

    def _stated_batch(self) -> int | None:
        """How many samples the model takes at once, where it says so.

        Raises:
            EpimcError: It takes nothing, or more samples than fit into the limit.
        """
        if self.types is not None:
            return 1
        shape = next(iter(self.guarded.inputs.values()), None)
        if shape is None:
            raise error(f"onnxruntime cannot run {self.what}.", notes=["It has no inputs."])
        size = shape[0] if shape else None
        if not isinstance(size, int) or size < 1:
            return None
        numbers = size * math.prod(dim for dim in shape[1:] if isinstance(dim, int) and dim > 0)
        if 4 * numbers > min(self.limit_bytes, MOST_BYTES) * TENSOR_SHARE:
            raise error(
                f"onnxruntime cannot run {self.what}.",
                notes=[f"It takes {size} samples at once, which do not fit into the limit."],
                hint="Raise the limit (--limit-bytes), or check the shapes.",
            )
        return size

    def run(self, names: Sequence[str], inputs: Mapping[str, Array]) -> list[Array]:
        """The named outputs for all samples, samples first.

        A model with a fixed batch is run in pieces of it, the last one filled up and cut.

        Raises:
            EpimcError: onnxruntime fails on them, or an output holds NaN or infinity, with which
                nothing can be compared.
        """
        results = self.computed(names, inputs)
        for name, array in zip(names, results, strict=True):
            # What the host gives is compared as it is.
            if self.types is None and array.dtype.kind == "f" and not np.isfinite(array).all():
                raise error(
                    f"'{name}' of {self.what} holds NaN or infinity for these samples.",
                    hint="A value leaves the range of float32: try other samples, or run the "
                    "user's model in onnxruntime to see where.",
                )
        return results

    def computed(self, names: Sequence[str], inputs: Mapping[str, Array]) -> list[Array]:
        """The named outputs for all samples, whatever they are."""
        if not names:
            return []
        if self.types is not None:
            return self._one_by_one(names, inputs, self.types)
        count = len(next(iter(inputs.values())))
        if self.fixed_batch is None:
            results = self._at_once(names, inputs)
            if results and (not self.users or all(a.shape[:1] == (count,) for a in results)):
                return results
        size = self.fixed_batch or 1
        parts: list[list[Array]] = []
        for first in range(0, count, size):
            piece = {
                name: filled(array[first : first + size], size) for name, array in inputs.items()
            }
            parts.append(self._run(names, piece))
        return [np.concatenate(columns)[:count] for columns in zip(*parts, strict=True)]

    def _one_by_one(
        self, names: Sequence[str], inputs: Mapping[str, Any], types: Mapping[str, PortType]
    ) -> list[Any]:
        """The named outputs, as `joined` puts the samples together."""
        # Without inputs there is one.
        count = len(next(iter(inputs.values()), [None]))
        separate = {name: apart(types[name], values) for name, values in inputs.items()}
        columns: list[list[Any]] = [[] for _ in names]
        for sample in range(count):
            feeds = {name: values[sample] for name, values in separate.items()}
            for column, result in zip(columns, self._run(names, feeds), strict=True):
                column.append(result)
        kinds = [types.get(name, PortType()) for name in names]
        return [joined(kind, column) for kind, column in zip(kinds, columns, strict=True)]

    def _at_once(self, names: Sequence[str], inputs: Mapping[str, Array]) -> list[Array]:
        """The named outputs of one run; none where the user's model fails on so many samples."""
        try:
            return self._run(names, inputs)
        except EpimcError:
            if not self.users:
                raise
            return []

    def _run(self, names: Sequence[str], inputs: Mapping[str, Array]) -> list[Array]:
        """The named outputs of one run."""
        missing = [name for name in self.inputs if name not in inputs]
        if missing:
            notes = [f"It has an input '{name}', which the program has not." for name in missing]
            raise error(f"onnxruntime cannot run {self.what}.", notes=notes)
        return self.guarded.run(names, inputs)


def filled(array: Array, size: int) -> Array:
    """The samples, the last one repeated up to `size`."""
    missing = size - len(array)
    return np.concatenate([array, np.repeat(array[-1:], missing, axis=0)]) if missing else array
