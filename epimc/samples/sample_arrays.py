"""Samples from memory: arrays, mappings of them, or batches that an iterator gives."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from epimc.samples.image_options import Images
from epimc.samples.kinds import is_of, only_input
from epimc.samples.samples import (
    Samples,
    checked_samples,
    encode_samples,
    read_arrays,
    reports_broken_files,
)
from epimc.samples.sources import ImageFolder, NpyFile, Source, all_of
from epimc.support.diagnostics import EpimcError, error
from epimc.support.files import as_path, sha256_of_file
from epimc.support.limits import DEFAULT_BYTES
from epimc.support.npy_files import map_npy
from epimc.support.sample_types import (
    Array,
    Shaped,
    array_of,
    refuse_in_files,
    storable,
)

Batch: TypeAlias = "ArrayLike | Mapping[str, ArrayLike]"
"""Samples first: the arrays of a model's inputs by name, or the array of its only input."""

SampleSource: TypeAlias = "str | os.PathLike[str] | Images | Batch | Iterable[Batch]"
"""What Python users may pass as samples."""

CALIBRATION_DATA = "the calibration data"


def samples_of(
    samples: SampleSource,
    inputs: Sequence[Shaped],
    *,
    limit_bytes: int = DEFAULT_BYTES,
    source: str = CALIBRATION_DATA,
    first: int | None = None,
) -> Samples:
    """Samples, however they are passed.

    Args:
        samples: The path of an npz file, of an npy file or of a folder of images; such a folder; an
            array, for a model with one input; a mapping of arrays by name; or an iterable of such
            batches, which is read to its end.
        inputs: The inputs of the model.
        limit_bytes: Of all arrays together.
        source: What messages call samples that are passed in memory.
        first: How many are taken; None: all.

    Raises:
        EpimcError: Something is missing, unknown, too large, or of a wrong shape or type.
    """
    return SampleData(samples, limit_bytes, source, first).samples(inputs)


class SampleData:
    """Samples that are read once, though their shapes may be asked for before they are checked."""

    def __init__(
        self,
        samples: SampleSource,
        limit_bytes: int = DEFAULT_BYTES,
        source: str = CALIBRATION_DATA,
        first: int | None = None,
    ) -> None:
        """Take samples; nothing is read yet.  Arguments as of `samples_of`."""
        self.from_where, self.limit_bytes, self.first = samples, limit_bytes, first
        self.path = as_path(samples, "samples") if isinstance(samples, (str, os.PathLike)) else None
        if self.path is not None and self.path.is_dir():
            self.from_where, self.path = Images(self.path), None
        self.source = source if self.path is None else f"sample file '{self.path}'"
        self.read: dict[str, Array] | None = None

    def arrays(self, inputs: Sequence[Shaped]) -> dict[str, Array]:
        """All arrays by name, in the shapes and types that they come in.

        Raises:
            EpimcError: They cannot be read, are too large, or are no arrays.
        """
        if self.read is None:
            if self.path is not None:
                refuse_in_files("a file of samples", inputs)
                self.read = read_arrays(self.path, self.limit_bytes)
            elif not inputs and self.from_where == {}:
                self.read = {}
            else:
                batches = batches_of(self.from_where, inputs)
                self.read = joined(batches, self.limit_bytes, self.source)
        return self.read

    def shapes(self, inputs: Sequence[tuple[str, str]]) -> dict[str, tuple[int, ...]]:
        """The shapes of the arrays by name.

        Args:
            inputs: (name, type as onnxruntime says it) of all inputs.
        """
        named_only = [Shaped(name, (), kind) for name, kind in inputs]
        if isinstance(self.from_where, Images):
            shape = self.from_where.shape
            # Else they are as large as the model takes them.
            return {name: shape for name, _ in inputs if shape is not None and len(inputs) == 1}
        if self.is_npy:
            assert self.path is not None
            return {only_input(named_only, self.path).name: map_npy(self.path).shape}
        return {name: array.shape for name, array in self.arrays(named_only).items()}

    def samples(self, inputs: Sequence[Shaped]) -> Samples:
        """The samples, checked."""
        if (source := self.separate(inputs)) is not None:
            samples = all_of(source, inputs, self.limit_bytes, self.first)
        else:
            samples = checked_samples(self.arrays(inputs), inputs, self.source, "")
        taken = samples if self.first is None else samples.first(self.first)
        # Behind the check: not every array could be in a file, nor every name that of one.
        digest = self.digest(taken, inputs)
        return replace(taken, sha256=digest, origin=digest)

    @property
    def is_npy(self) -> bool:
        """Whether they are in an npy file."""
        return self.path is not None and self.path.is_file() and is_of("npy", self.path)

    def separate(self, inputs: Sequence[Shaped]) -> Source | None:
        """The source of samples that need not be read together; None of any others."""
        if isinstance(self.from_where, Images):
            return ImageFolder(self.from_where, inputs, self.limit_bytes)
        if self.is_npy:
            assert self.path is not None
            return NpyFile(self.path, only_input(inputs, self.path))
        return None

    def digest(self, taken: Samples, inputs: Sequence[Shaped]) -> str:
        """The SHA-256 of the file, or of the file that would hold the arrays.

        Args:
            taken: The samples.
            inputs: The inputs of the model.
        """
        if self.path is not None and self.first is None:
            with reports_broken_files(self.path):
                return sha256_of_file(self.path)
        is_all = self.first is None and not isinstance(self.from_where, Images)
        arrays = self.arrays(inputs) if is_all else taken.inputs
        return hashlib.sha256(encode_samples(storable(arrays))).hexdigest()


def batches_of(samples: Any, inputs: Sequence[Shaped]) -> Iterator[dict[str, Array]]:
    """The batches, as arrays by name."""
    if isinstance(samples, Mapping) or is_array(samples):
        yield named(samples, inputs)
        return
    if not isinstance(samples, Iterable) or isinstance(samples, (bytes, bytearray)):
        raise error(
            f"Samples cannot be of the type {type(samples).__name__}.",
            hint="Pass arrays, a mapping of them, an iterable of either, or a path.",
        )
    for batch in samples:
        yield named(batch, inputs)


def is_array(value: object) -> bool:
    """Whether a value is one array, and no iterable of batches; lists of batches are the latter."""
    return hasattr(value, "__array__")


def named(batch: Any, inputs: Sequence[Shaped]) -> dict[str, Array]:
    """A batch as arrays by name.

    Raises:
        EpimcError: It is one array, and the model has several inputs.
    """
    ports = {port.name: port for port in inputs}
    if isinstance(batch, Mapping):
        return {str(name): array_of(values, ports.get(name)) for name, values in batch.items()}
    if len(inputs) != 1:
        names = ", ".join(f"'{port.name}'" for port in inputs)
        raise error(
            f"One array of samples was passed for {len(inputs)} inputs.",
            hint=f"Pass a mapping with an array for each of {names}.",
        )
    return {inputs[0].name: array_of(batch, inputs[0])}


def joined(batches: Iterable[dict[str, Array]], limit_bytes: int, source: str) -> dict[str, Array]:
    """All batches one behind the other, by name; errors call them `source`.

    Raises:
        EpimcError: There are none, they have different names or shapes, or they are too large.
    """
    columns: dict[str, list[Array]] = {}
    size = 0
    for number, batch in enumerate(batches):
        if number and batch.keys() != columns.keys():
            raise error(
                f"Batch {number} of {source} has other arrays than the first.",
                notes=[
                    f"It has {', '.join(sorted(batch)) or 'none'}; the first has "
                    f"{', '.join(sorted(columns)) or 'none'}."
                ],
            )
        size += sum(array.nbytes for array in batch.values())
        if size > limit_bytes:
            raise too_large(limit_bytes)
        for name, array in batch.items():
            columns.setdefault(name, []).append(array)
    if not columns:
        raise error(f"There are no samples in {source}: the iterable is empty.")
    return {name: stacked(name, arrays) for name, arrays in columns.items()}


def stacked(name: str, arrays: list[Array]) -> Array:
    """The arrays of one input, one behind the other.

    Raises:
        EpimcError: They do not fit together.
    """
    if len(arrays) == 1:
        return arrays[0]
    if not all(array.ndim for array in arrays):
        raise error(f"A batch of '{name}' is one number: batches are arrays, samples first.")
    try:
        return np.concatenate(arrays)
    # TypeError: of types that have none in common.
    except (TypeError, ValueError) as problem:
        clash = "shapes" if isinstance(problem, ValueError) else "types"
        raise error(
            f"The batches of input '{name}' have different {clash}.", notes=[str(problem)]
        ) from None


def too_large(limit_bytes: int) -> EpimcError:
    """The error for more bytes of samples than are allowed."""
    return error(
        f"The samples take more than the limit of {limit_bytes} bytes.",
        hint="Pass fewer samples, or raise limit_bytes.",
    )
