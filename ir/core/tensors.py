"""Stored tensors: weights by reference, their contents beside the text.

A content-addressed folder holds one safetensors file a tensor, named by the SHA-256 of its element
type, shape and bytes.  A text may also declare up to 64 literal values or a seeded random tensor.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from epimc.ir.core.types import TensorType
from epimc.ir.semantics import quantization
from epimc.ir.semantics.arrays import pieces
from epimc.support.diagnostics import error
from epimc.support.files import File, Piece, has_contents
from epimc.support.limits import DEFAULT_BYTES
from epimc.support.tensor_files import array_pieces
from epimc.support.writing import with_folder, write_files

MAXIMUM_LITERALS = 64


@dataclass(frozen=True)
class Normal:
    """Standard normal values drawn from a seed (numpy's Philox), times `scale`."""

    seed: int
    scale: float = 1.0

    def draw(self, kind: TensorType) -> NDArray[Any]:
        """Draw the values; integer types are rounded and clipped to what they can hold."""
        generator = np.random.Generator(np.random.Philox(self.seed))
        result = np.empty(kind.size, kind.dtype)
        # Piece by piece: in float64 all values at once would take several times their memory.
        for part in pieces(kind.size, 1):
            with np.errstate(over="ignore"):
                values = generator.standard_normal(part.stop - part.start) * self.scale
                if kind.element == "f32":
                    result[part] = values
                    continue
            if kind.element[0] == "s":
                result[part] = quantization.nearest_weights(values, kind.bits)
                continue
            # Floats near 2^63 may lie beyond it.
            low, high = (-(2**62), 2**62) if kind.element == "i64" else limits(kind)
            result[part] = np.clip(np.rint(values), low, high)
        return result.reshape(kind.shape)


def limits(kind: TensorType) -> tuple[int, int]:
    """The least and the largest value of an integer type; weights (sN) are symmetric."""
    if kind.element == "i64":
        return -(2**63), 2**63 - 1
    if kind.element[0] == "u":
        return 0, 2**kind.bits - 1
    limit = quantization.weight_limit(kind.bits)
    return -limit, limit


def fits(array: NDArray[Any], kind: TensorType) -> bool:
    """Whether all values lie within the limits of an integer type."""
    if kind.element == "f32":
        return True
    if kind.element[0] == "s":
        return quantization.are_weights(array, kind.bits)
    low, high = limits(kind)
    return bool(low <= int(array.min()) and int(array.max()) <= high)


@dataclass(frozen=True, eq=False)
class Tensor:
    """One stored tensor.

    Attributes:
        type: Shape and element type.
        array: The contents, of `type.dtype`; never written to.
        random: How it is declared, when it is declared as random.
        literal: Whether the text holds its values.
    """

    type: TensorType
    array: NDArray[Any]
    random: Normal | None = None
    literal: bool = False

    @staticmethod
    def of(array: NDArray[Any], element: str) -> Tensor:
        """A tensor with these contents, converted to the element's type."""
        kind = TensorType(tuple(array.shape), element)
        # What is too large for float32 is infinite: calibration refuses what comes of it.
        with np.errstate(over="ignore"):
            return Tensor(kind, np.ascontiguousarray(array, kind.dtype))

    @cached_property
    def digest(self) -> str:
        """SHA-256 over element type, shape and little-endian bytes."""
        shape = "x".join(map(str, self.type.shape))
        hashed = hashlib.sha256(f"{self.type.element}:{shape}:".encode())
        hashed.update(np.ascontiguousarray(self.array).data)
        return hashed.hexdigest()


class TensorStore:
    """A folder of safetensors files, one a tensor, named by digest."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`; it is made when the first tensor is saved."""
        self.folder = folder

    def path(self, digest: str) -> Path:
        """The file of a tensor."""
        return self.folder / f"{digest}.safetensors"

    def save(self, tensors: Iterable[Tensor], texts: Iterable[tuple[Path, File]] = ()) -> None:
        """Write tensors that are not there, or not as they should be, then texts that declare them.

        Args:
            tensors: Stored ones, whose values stand in no text.
            texts: Paths and contents.

        Raises:
            EpimcError: The system refuses; what was there is as it was.
        """
        # Two of the same contents share a file.
        stored = list({tensor.digest: tensor for tensor in tensors}.values())
        with with_folder(self.folder) if stored else nullcontext():
            write_files(chain(self._missing(stored), texts))

    def _missing(self, tensors: Iterable[Tensor]) -> Iterator[tuple[Path, File]]:
        for tensor in tensors:
            path, pieces = self.path(tensor.digest), tensor_pieces(tensor)
            if not has_contents(path, pieces):
                yield path, partial(tensor_pieces, tensor)

    def load(self, digest: str, kind: TensorType) -> Tensor:
        """Read a tensor and check it against its declared type and digest.

        Raises:
            EpimcError: The file is missing, too large, no safetensors file, or of other contents.
        """
        path = self.path(digest)
        if not path.is_file():
            raise error(
                f"Tensor file '{path}' does not exist.",
                hint="Keep the folder 'tensors' beside the .epi file.",
            )
        refuse_larger(path.stat().st_size, kind, str(path))
        return tensor_of(path.read_bytes(), digest, kind, str(path))


class Files:
    """Tensor files in memory, as those of a bundle are; they load as from a `TensorStore`.

    Attributes:
        contents: By name, such as `tensors/DIGEST.safetensors`.
        subject: Names them in errors.
    """

    def __init__(self, contents: Mapping[str, bytes], subject: str) -> None:
        """Read from these contents; nothing is checked before `load` asks for a tensor."""
        self.contents, self.subject = contents, subject

    def load(self, digest: str, kind: TensorType) -> Tensor:
        """A tensor, checked against its declared type and digest.

        Raises:
            EpimcError: The file is missing, too large, no safetensors file, or of other contents.
        """
        name = file_name(digest)
        place = f"{self.subject}/{name}"
        if name not in self.contents:
            raise error(f"Tensor file '{place}' does not exist.")
        data = self.contents[name]
        refuse_larger(len(data), kind, place)
        return tensor_of(data, digest, kind, place)


class TensorSource(Protocol):
    """Where the tensors of a text are loaded from."""

    def load(self, digest: str, kind: TensorType) -> Tensor:
        """The tensor with this digest, which is of this type."""


def file_name(digest: str) -> str:
    """The file of a tensor, beside the text that declares it."""
    return f"tensors/{digest}.safetensors"


def refuse_larger(size: int, kind: TensorType, file: str) -> None:
    """Raise EpimcError for a file that is larger than a tensor of this type can be."""
    expected = kind.size * np.dtype(kind.dtype).itemsize
    if expected > DEFAULT_BYTES or size > expected + 4096:
        raise error(f"Tensor file '{file}' is larger than its declared type {kind}.")


def tensor_of(data: bytes, digest: str, kind: TensorType, file: str) -> Tensor:
    """The tensor in the bytes of a file, checked against its declared type and digest.

    Raises:
        EpimcError: They are no safetensors file, or hold something else.
    """
    tensor = Tensor(kind, _array_of(data, kind, file))
    if not fits(tensor.array, kind):
        raise error(f"Tensor file '{file}' holds values that do not fit into {kind.element}.")
    if tensor.digest != digest:
        raise error(f"Tensor file '{file}' does not match its digest.")
    return tensor


def tensor_bytes(tensor: Tensor) -> bytes:
    """The safetensors file of one tensor."""
    return b"".join(tensor_pieces(tensor))


def tensor_pieces(tensor: Tensor) -> list[Piece]:
    """The safetensors file of one tensor; its contents are not copied."""
    return [*array_pieces({"data": tensor.array})]


def _array_of(data: bytes, kind: TensorType, file: str) -> NDArray[Any]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        array = load(data)["data"]
    except (SafetensorError, KeyError):
        raise error(f"Tensor file '{file}' is no safetensors file of one tensor.") from None
    if array.shape != kind.shape or array.dtype != np.dtype(kind.dtype):
        raise error(f"Tensor file '{file}' does not hold its declared type {kind}.")
    return array
