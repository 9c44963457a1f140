"""External data: tensors whose contents lie in files beside the model.

The model names these files, and models come from anyone: a location must not lead out of the
model's folder, and nothing is read before all locations are checked.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import onnx

from epimc.backends.onnx.large import (
    BESIDE,
    LARGE,
    LARGEST_MODEL,
    Array,
    LargeModel,
    fits,
    set_place,
)
from epimc.support.diagnostics import EpimcError, error
from epimc.support.limits import LIMIT_HINT

# Of the widest element.
ELEMENT_BYTES = 16


@dataclass(frozen=True)
class Piece:
    """Where the contents of a tensor lie: `length` bytes of a file, from `offset`.

    Attributes:
        is_initializer: Whether it is one of the model's own graph.
    """

    tensor: onnx.TensorProto
    is_initializer: bool
    path: Path
    offset: int
    length: int


def tensors(message: Any) -> Iterator[onnx.TensorProto]:
    """All tensors in a protobuf message, wherever they are nested."""
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for item in [value] if hasattr(value, "ListFields") else value:
            if isinstance(item, onnx.TensorProto):
                yield item
            else:
                yield from tensors(item)


def external_tensors(message: Any) -> Iterator[onnx.TensorProto]:
    """The tensors in a message whose contents lie in another file."""
    for tensor in tensors(message):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            yield tensor


def elsewhere(model: LargeModel) -> Iterator[tuple[onnx.TensorProto, bool]]:
    """The tensors that the model does not have, and whether each is an initializer of its graph."""
    # By identity: while they are kept, the model has one object for each of them.
    own = {id(tensor): tensor for tensor in model.proto.graph.initializer}
    for tensor in external_tensors(model.proto):
        if id(tensor) not in own or tensor.name not in model.tensors:
            yield tensor, id(tensor) in own


def locate(model: LargeModel, folder: Path, limit_bytes: int) -> list[Piece]:
    """Check where all external data of a model lies; reads none of it.

    Args:
        model: As parsed.
        folder: Of the model file; locations are relative to it.
        limit_bytes: The most that all pieces, and all files, may take together.

    Raises:
        EpimcError: A location leads out of the folder, a file is missing, no regular file or too
            short, an offset or length is no number, or the limit is passed.
    """
    pieces = [_piece(tensor, folder, is_initializer=own) for tensor, own in elsewhere(model)]
    used = sum(piece.length for piece in pieces)
    stored = sum(path.stat().st_size for path in {piece.path for piece in pieces})
    if max(used, stored) > limit_bytes:
        raise error(
            f"The external data of the model has {max(used, stored)} bytes; "
            f"{limit_bytes} are left of the limit.",
            hint=LIMIT_HINT,
        )
    return sorted(pieces, key=lambda piece: (piece.path, piece.offset))


def load(model: LargeModel, pieces: list[Piece]) -> LargeModel:
    """The model with the contents of its tensors; large ones stay in their files.

    Raises:
        EpimcError: Others take more than one message of protobuf holds.
    """
    size = sum(piece.length for piece in pieces if not _is_large(piece))
    if size > LARGEST_MODEL:
        raise error(
            f"External data of {size} bytes belongs to tensors within nodes, or of another size "
            f"than they say; the model holds at most {LARGEST_MODEL} of such.",
            hint="Export the model with its weights as initializers of its graph.",
        )
    large = [piece for piece in pieces if _is_large(piece)]
    maps = {path: _mapped(path) for path in {piece.path for piece in large}}
    beside = {piece.tensor.name: _bytes_of(piece, maps[piece.path]) for piece in large}
    for piece in pieces:
        if _is_large(piece):
            set_place(piece.tensor, location=BESIDE)
            continue
        with piece.path.open("rb") as file:
            file.seek(piece.offset)
            piece.tensor.raw_data = file.read(piece.length)
        piece.tensor.ClearField("data_location")
        piece.tensor.ClearField("external_data")
    return LargeModel(model.proto, {**model.tensors, **beside}, [*maps.values()])


def _is_large(piece: Piece) -> bool:
    """Whether the contents of a piece lie beside the model; those within nodes are copied."""
    return piece.is_initializer and piece.length >= LARGE and fits(piece.tensor, piece.length)


def _mapped(path: Path) -> mmap.mmap:
    """A file as memory, which the system reads where it is used."""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _bytes_of(piece: Piece, pages: mmap.mmap) -> Array:
    """The bytes of a piece, which lie in its file.

    Raises:
        EpimcError: The file has become shorter since it was looked at.
    """
    if piece.offset + piece.length > len(pages):
        raise error(f"External data file '{piece.path}' was changed while it was read.")
    data = np.frombuffer(pages, np.uint8, piece.length, piece.offset)
    # Elements must lie where the machine can read them.
    return data if piece.offset % ELEMENT_BYTES == 0 else data.copy()


def _piece(tensor: onnx.TensorProto, folder: Path, *, is_initializer: bool) -> Piece:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    path = _path(tensor, location, folder)
    size = path.stat().st_size
    offset = _number(tensor, entries, "offset", 0)
    length = _number(tensor, entries, "length", max(size - offset, 0))
    if offset + length > size:
        raise error(
            f"Tensor '{tensor.name}' lies outside its external data file '{location}'.",
            notes=[f"It ends at byte {offset + length}; the file has {size} bytes."],
            hint="Download or export the model again.",
        )
    return Piece(tensor, is_initializer, path, offset, length)


def _path(tensor: onnx.TensorProto, location: str, folder: Path) -> Path:
    absolute = PurePosixPath(location).is_absolute() or PureWindowsPath(location).anchor
    parts = re.split(r"[/\\]", location)
    if absolute or ".." in parts or "\0" in location or not location:
        raise _leaves(tensor, location)
    try:
        return _regular_file(tensor, location, folder)
    except OSError as problem:
        raise error(
            f"External data file of tensor '{tensor.name}' cannot be read: {problem.strerror}."
        ) from None


def _regular_file(tensor: onnx.TensorProto, location: str, folder: Path) -> Path:
    path = folder / location
    if not path.exists():
        raise error(
            f"External data file '{location}' of tensor '{tensor.name}' does not exist.",
            hint=f"Put it beside the model file, into '{folder}'.",
        )
    resolved = path.resolve()
    if not resolved.is_relative_to(folder.resolve()):
        raise _leaves(tensor, location)
    if not resolved.is_file():
        raise error(f"External data '{location}' of tensor '{tensor.name}' is not a file.")
    return resolved


def _leaves(tensor: onnx.TensorProto, location: str) -> EpimcError:
    return error(
        f"The external data of tensor '{tensor.name}' is not in the model's folder.",
        notes=[f"Its location is {location!r}."],
        hint="Use models from sources that you trust; external data must lie beside the model.",
    )


def _number(tensor: onnx.TensorProto, entries: dict[str, str], key: str, default: int) -> int:
    text = entries.get(key, str(default))
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise error(f"The external data of tensor '{tensor.name}' has {key} {text!r}.")
    return int(text)
